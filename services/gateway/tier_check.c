#include "tier_check.h"

#include "base/clock.h"
#include "tier_cache.h"

#define ARENA_LIMIT 4096

static const struct tier *ask(struct app *app, const char *user_id, const char *trace_id,
                              const struct tier *before)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	const struct user_ref in = { .user_id = user_id };
	const struct tier *tier = before ? before : &tiers[0];
	struct user_tier_view out = { 0 };
	struct bus_ctx ours = { 0 };
	struct err e = ERR_INIT;

	snprintf(ours.trace_id, sizeof(ours.trace_id), "%s", trace_id);
	/* Whatever has failed: it decides nothing but how much, and is asked again. */
	if (bus_call(app->bus, SUBJ_USER_TIER, &ours, &in, &a, &out, &e) == 0)
		(void)tier_find(out.subscription_tier, &tier, &e);
	return tier;
}

static const struct tier *tier_of(struct app *app, const char *user_id, const char *trace_id)
{
	long long now_ms = clock_mono_ms();
	bool is_fresh;
	const struct tier *tier = tier_cache_find(app->tiers, user_id, now_ms, &is_fresh);

	if (is_fresh)
		return tier;
	tier = ask(app, user_id, trace_id, tier);
	tier_cache_put(app->tiers, user_id, now_ms, tier);
	return tier;
}

long long tier_requests_per_min(struct app *app, const char *user_id, const char *trace_id)
{
	return app->rate_api_per_min ? app->rate_api_per_min
	                             : tier_of(app, user_id, trace_id)->requests_per_min;
}

long long tier_sockets(struct app *app, const char *user_id, const char *trace_id)
{
	return app->ws_per_user ? app->ws_per_user : tier_of(app, user_id, trace_id)->sockets;
}

long long tier_requests_of_strangers(const struct app *app)
{
	return app->rate_api_per_min ? app->rate_api_per_min : tiers[0].requests_per_min;
}
