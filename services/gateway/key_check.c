#include "key_check.h"

#include "base/clock.h"
#include "client_address.h"
#include "key_cache.h"
#include "tier_check.h"

#define ARENA_LIMIT 4096

static int not_good(struct err *e)
{
	return err_set(e, ERR_UNAUTHENTICATED, "this API key is not valid");
}

/* Guessing is hopeless, and still costs auth a query a try: so many an address, and no more. */
static int count_asking(const struct exchange *x, struct err *e)
{
	char network[ADDRESS_TEXT_SIZE];
	struct limit_state state;

	client_network(x->ctx.client_address, network);
	limit_count(x->app->limit, LIMIT_API, network, &state);
	return state.is_allowed ? 0
	                        : err_busy(e, ERR_LIMIT, (int)((state.wait_us + 999999) / 1000000),
	                                   "too many requests, try again in a moment");
}

static int ask(const struct exchange *x, const char *hash, struct key_info *ret, struct err *e)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	struct key_check_req in = { .hash = hash };
	struct key_state out = { 0 };
	struct bus_ctx ours = { 0 };

	if (count_asking(x, e) < 0)
		return -1;
	memcpy(ours.trace_id, x->ctx.trace_id, sizeof(ours.trace_id));
	if (bus_call(x->app->bus, SUBJ_KEY_CHECK, &ours, &in, &a, &out, e) < 0)
		return -1;
	if (!out.active || !out.key_id || !out.user_id || !out.scope)
		return not_good(e);
	*ret = (struct key_info){ .may_write = strcmp(out.scope, "write") == 0,
		                  .expires_s = out.expires_s };
	memcpy(ret->key_id, out.key_id, UUID_SIZE);
	memcpy(ret->user_id, out.user_id, UUID_SIZE);
	key_cache_put(x->app->key_cache, hash, clock_mono_ms(), ret);
	return 0;
}

/* Whether it was revoked since auth was asked. Where Redis cannot tell, auth is asked again. */
static int check_revoked(struct exchange *x, const char *hash, struct key_info *info, bool is_fresh,
                         struct err *e)
{
	const struct limit_user who = { info->user_id, info->key_id,
		                        tier_requests_per_min(x->app, info->user_id,
		                                              x->ctx.trace_id) };

	switch (limit_count_user(x->app->limit, &who, &x->limit)) {
	case SESSION_FINE:
		return 0;
	case SESSION_REVOKED:
		return not_good(e);
	case SESSION_NOT_KNOWN:
		break;
	}
	/* One that is over the limit costs auth nothing. */
	return is_fresh || !x->limit.is_allowed ? 0 : ask(x, hash, info, e);
}

int key_check(struct exchange *x, const char *key, struct err *e)
{
	char hash[API_KEY_HASH_SIZE];
	struct key_info info = { .key_id = "" };
	bool is_kept;

	if (!api_key_is_one(key))
		return not_good(e);
	api_key_hash(key, hash);
	is_kept = key_cache_find(x->app->key_cache, hash, clock_mono_ms(), &info);
	if (!is_kept && ask(x, hash, &info, e) < 0)
		return -1;
	if (check_revoked(x, hash, &info, !is_kept, e) < 0)
		return -1;
	if (info.expires_s && info.expires_s <= clock_now_ms() / 1000)
		return not_good(e);
	memcpy(x->ctx.user_id, info.user_id, sizeof(x->ctx.user_id));
	memcpy(x->ctx.session_id, info.key_id, sizeof(x->ctx.session_id));

	if (x->route->needs == NEEDS_SELF)
		return err_set(e, ERR_FORBIDDEN, "an API key may not do this: sign in");
	if (!info.may_write && exchange_changes(x))
		return err_set(e, ERR_FORBIDDEN, "this API key may only read");
	return 0;
}
