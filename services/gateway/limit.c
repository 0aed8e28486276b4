#include "limit.h"

#include "base/clock.h"
#include "base/log.h"
#include "gcra.h"

#include <stdatomic.h>

#define KEYS_MAX  16384 /* counted at once while Redis is away */
#define PERIOD_US "60000000"

/*
 * KEYS: the counter, and for a user the revoked session and the ready marker. ARGV: microseconds
 * between two requests. Answers {session, allowed, remaining, reset, wait}. The counter holds GCRA's
 * theoretical arrival time by Redis' own clock, which all gateways share.
 */
static struct redis_script script = {
	.text = "local got = redis.call('MGET', unpack(KEYS)) "
		"local session = 0 "
		"if #KEYS == 3 then "
		"  if got[2] then return {1, 0, 0, 0, 0} end "
		"  if not got[3] then session = 2 end "
		"end "
		"local t = redis.call('TIME') "
		"local now = t[1] * 1000000 + t[2] "
		"local step = tonumber(ARGV[1]) "
		"local tat = tonumber(got[1] or now) "
		"if tat < now then tat = now end "
		"local over = tat + step - " PERIOD_US " - now "
		"if over > 0 then return {session, 0, 0, tat - now, over} end "
		"tat = tat + step "
		"redis.call('SET', KEYS[1], string.format('%.0f', tat), "
		"  'PX', math.ceil((tat - now) / 1000)) "
		"return {session, 1, math.floor((" PERIOD_US
		" - (tat - now)) / step), tat - now, 0}"
};

struct limit {
	struct redis *redis;
	struct gcra *local;
	long long per_min[3];  /* by enum route_limit */
	_Atomic bool is_local; /* Redis is away, and that was said */
};

int limit_new(struct redis *r, long long api_per_min, long long auth_per_min, struct limit **ret,
              struct err *e)
{
	struct limit *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ERR_INTERNAL, "out of memory");
	l->redis = r;
	l->per_min[LIMIT_API] = api_per_min;
	l->per_min[LIMIT_AUTH] = auth_per_min;
	if (gcra_new(KEYS_MAX, &l->local, e) < 0) {
		limit_free(l);
		return -1;
	}
	*ret = l;
	return 0;
}

void limit_free(struct limit *l)
{
	if (!l)
		return;
	gcra_free(l->local);
	free(l);
}

static void say(struct limit *l, bool is_local, const struct err *e)
{
	if (atomic_exchange(&l->is_local, is_local) == is_local)
		return;
	if (is_local)
		log_warn("Redis is away: limits are this gateway's own, sessions are asked of auth",
		         "error", e->msg);
	else
		log_info("Redis is back: limits are shared again");
}

static void count_here(struct limit *l, const char *key, struct limit_state *ret)
{
	struct gcra_result result;

	gcra_count(l->local, key, ret->max, clock_mono_ns() / 1000, &result);
	ret->is_allowed = result.is_allowed;
	ret->remaining = result.remaining;
	ret->reset_us = result.reset_us;
	ret->wait_us = result.wait_us;
}

static bool is_answer(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5)
		return false;
	for (size_t i = 0; i < 5; i++)
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	return true;
}

/* keys[0] is the counter. */
static enum limit_session count(struct limit *l, const char *const *keys, size_t key_count,
                                struct limit_state *ret)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char step[24];
	const char *args[] = { step };
	struct err e = ERR_INIT;
	bool is_counted;

	snprintf(step, sizeof(step), "%lld", 60000000LL / ret->max);
	is_counted = redis_script_call(l->redis, &script, keys, key_count, args, COUNT(args),
	                               &reply, &e) == 0 &&
	             is_answer(reply);
	say(l, !is_counted, &e);
	if (!is_counted) {
		count_here(l, keys[0], ret);
		return SESSION_NOT_KNOWN;
	}
	ret->is_allowed = reply->element[1]->integer != 0;
	ret->remaining = reply->element[2]->integer;
	ret->reset_us = reply->element[3]->integer;
	ret->wait_us = reply->element[4]->integer;
	return reply->element[0]->integer == 1   ? SESSION_REVOKED
	       : reply->element[0]->integer == 2 ? SESSION_NOT_KNOWN
	                                         : SESSION_FINE;
}

void limit_count(struct limit *l, enum route_limit class, const char *key, struct limit_state *ret)
{
	char counter[128];
	const char *keys[] = { counter };

	*ret = (struct limit_state){ .is_allowed = true, .max = l->per_min[class] };
	if (class == LIMIT_NONE)
		return;
	ret->is_counted = true;
	snprintf(counter, sizeof(counter), "zaki:limit:%s:%s", class == LIMIT_AUTH ? "auth" : "api",
	         key);
	(void)count(l, keys, COUNT(keys), ret);
}

enum limit_session limit_count_user(struct limit *l, const char *user_id, const char *session_id,
                                    struct limit_state *ret)
{
	char counter[128], revoked[128];
	const char *keys[] = { counter, revoked, "zaki:auth:ready" };

	*ret = (struct limit_state){ .is_counted = true, .max = l->per_min[LIMIT_API] };
	snprintf(counter, sizeof(counter), "zaki:limit:api:%s", user_id);
	snprintf(revoked, sizeof(revoked), "zaki:revoked:%s", session_id);
	return count(l, keys, COUNT(keys), ret);
}
