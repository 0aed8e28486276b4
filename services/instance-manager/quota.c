#include "quota.h"

#include "instance_store.h"

int quota_of(struct app *app, const struct bus_ctx *who, struct arena *a, long long *ret,
             struct err *e)
{
	struct user_ref in = { .user_id = who->user_id };
	struct user_tier_view out;
	const struct tier *tier;
	struct bus_ctx ourselves = { 0 };

	snprintf(ourselves.trace_id, sizeof(ourselves.trace_id), "%s", who->trace_id);
	if (bus_call(app->bus, SUBJ_USER_TIER, &ourselves, &in, a, &out, e) < 0)
		return -1;
	if (tier_find(out.subscription_tier, &tier, e) < 0)
		return -1;
	*ret = app->instances[tier - tiers];
	return 0;
}

int quota_check(struct pg_conn *c, const char *user_id, long long max, struct err *e)
{
	long long count = 0;

	if (store_count(c, user_id, &count, e) < 0)
		return -1;
	if (count < max)
		return 0;
	return err_set(e, ERR_QUOTA,
	               max == 1 ? "your plan has 1 assistant, and you have it already"
	                        : "your plan has %lld assistants, and you have them already",
	               max);
}
