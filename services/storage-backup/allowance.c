#include "allowance.h"

#include "base/log.h"

#define ARENA_LIMIT 4096

static const char sql_lock[] =
	"SELECT pg_advisory_xact_lock(hashtextextended('backups of ' || $1, 0))";

static const char sql_count[] =
	"SELECT count(*) AS count, coalesce(ceil(extract(epoch FROM min(created_at)"
	" + interval '1 day' - now())), 0)::bigint AS wait_s FROM backups"
	" WHERE user_id = $1 AND kind = 'manual' AND created_at > now() - interval '1 day'";

const struct tier *allowance_of(struct app *app, const struct bus_ctx *who)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	struct user_ref in = { .user_id = who->user_id };
	struct user_tier_view out = { 0 };
	const struct tier *tier = &tiers[TIER_FREE];
	struct bus_ctx ourselves = { 0 };
	struct err e = ERR_INIT;

	snprintf(ourselves.trace_id, sizeof(ourselves.trace_id), "%s", who->trace_id);
	if (bus_call(app->bus, SUBJ_USER_TIER, &ourselves, &in, &a, &out, &e) < 0 ||
	    tier_find(out.subscription_tier, &tier, &e) < 0)
		log_info("a tier is not known, the first has to do", "user_id", who->user_id,
		         "error", e.msg);
	return tier;
}

int allowance_check(struct pg_conn *c, const char *user_id, const struct tier *tier, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0, wait_s = 0;

	if (pg_query(c, sql_lock, &user_id, 1, NULL, e) < 0 ||
	    pg_query(c, sql_count, &user_id, 1, &res, e) < 0 ||
	    pg_int(res, 0, "count", &count, e) < 0 || pg_int(res, 0, "wait_s", &wait_s, e) < 0)
		return -1;
	if (count < tier->backups_per_day)
		return 0;
	return err_busy(e, ERR_LIMIT, (int)(wait_s > 0 ? wait_s : 1),
	                "you have asked for many backups today, try again later");
}
