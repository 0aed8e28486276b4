#include "limit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "gcra.h"

#include <stdatomic.h>

#define KEYS_MAX  16384 /* counted at once while Redis is away */
#define PERIOD_US "60000000"
#define PERIOD_S  "60"

/*
 * KEYS: the counter, and for a user the revoked session and the ready marker. ARGV: how many there
 * may be in the period. Answers {session, allowed, remaining, reset, wait}. The counter is a list of
 * the times, in microseconds of Redis' own clock, which all gateways share; GCRA would need one number
 * in place of a list, and lets up to twice as many through in a minute that begins with a burst. What
 * has left the period goes from its front, at most a hundred at a time so that no call is long: one
 * that is allowed adds one, so that they never pile up.
 */
static struct redis_script script = {
	.text = "local session = 0 "
		"if #KEYS == 3 then "
		"  local got = redis.call('MGET', KEYS[2], KEYS[3]) "
		"  if got[1] then return {1, 0, 0, 0, 0} end "
		"  if not got[2] then session = 2 end "
		"end "
		"local t = redis.call('TIME') "
		"local now = t[1] * 1000000 + t[2] "
		"local max = tonumber(ARGV[1]) "
		"local old = now - " PERIOD_US " "
		"local first = redis.call('LINDEX', KEYS[1], 0) "
		"for i = 1, 100 do "
		"  if not first or tonumber(first) > old then break end "
		"  redis.call('LPOP', KEYS[1]) "
		"  first = redis.call('LINDEX', KEYS[1], 0) "
		"end "
		"local count = first and redis.call('LLEN', KEYS[1]) or 0 "
		"if count >= max then "
		"  return {session, 0, 0, redis.call('LINDEX', KEYS[1], -1) - old, "
		"    math.min(" PERIOD_US ", math.max(1, first - old))} "
		"end "
		"redis.call('RPUSH', KEYS[1], string.format('%.0f', now)) "
		"redis.call('EXPIRE', KEYS[1], " PERIOD_S ") "
		"return {session, 1, max - count - 1, " PERIOD_US ", 0}"
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
	metric_set(METRIC_LIMITS_LOCAL, is_local);
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
	char max[24];
	const char *args[] = { max };
	struct err e = ERR_INIT;
	bool is_counted;

	snprintf(max, sizeof(max), "%lld", ret->max);
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

	*ret = (struct limit_state){ .class = class, .is_allowed = true, .max = l->per_min[class] };
	if (class == LIMIT_NONE)
		return;
	ret->is_counted = true;
	snprintf(counter, sizeof(counter), "zaki:rate:%s:%s", class == LIMIT_AUTH ? "auth" : "api",
	         key);
	(void)count(l, keys, COUNT(keys), ret);
}

enum limit_session limit_count_user(struct limit *l, const struct limit_user *who,
                                    struct limit_state *ret)
{
	char counter[128], revoked[128];
	const char *keys[] = { counter, revoked, "zaki:auth:ready" };

	*ret = (struct limit_state){ .class = LIMIT_API, .is_counted = true, .max = who->max };
	snprintf(counter, sizeof(counter), "zaki:rate:api:%s", who->user_id);
	snprintf(revoked, sizeof(revoked), "zaki:revoked:%s", who->session_id);
	return count(l, keys, COUNT(keys), ret);
}
