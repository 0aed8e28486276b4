#include "ws_slot.h"

#include "app.h"
#include "auth_check.h"
#include "base/log.h"
#include "base/metric.h"
#include "tier_check.h"

#include <pthread.h>
#include <stdatomic.h>

#define BUCKETS  1024
#define KEY_MAX  128
#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)

/*
 * KEYS: the user's sockets, the revoked session, the ready marker. ARGV: the member, how many there
 * may be (0: it has its place already), this gateway's id, seconds to keep it. Answers what is known
 * of the session as limit.c has it, or 3: there is no place. Whose gateway is gone is looked for where
 * that matters.
 */
static struct redis_script script = {
	.text = "if redis.call('EXISTS', KEYS[2]) == 1 then return 1 end "
		"local now, most = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2]) "
		"if most > 0 then "
		"  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) "
		"  if redis.call('ZCARD', KEYS[1]) >= most then "
		"    for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
		"      local id = string.match(m, '^[^:]*') "
		"      if id ~= ARGV[3] and redis.call('EXISTS', 'zaki:rt:gateway:' .. id) == 0 "
		"      then redis.call('ZREM', KEYS[1], m) end "
		"    end "
		"  end "
		"  if redis.call('ZCARD', KEYS[1]) >= most then return 3 end "
		"end "
		"redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1]) "
		"redis.call('EXPIRE', KEYS[1], ARGV[4]) "
		"return redis.call('EXISTS', KEYS[3]) == 1 and 0 or 2"
};

enum { SLOT_GOOD, SLOT_REVOKED, SLOT_NOT_KNOWN, SLOT_NONE_LEFT };

struct count {
	struct count *next;
	long long sockets;
	char user_id[UUID_SIZE];
};

struct ws_slots {
	pthread_mutex_t lock; /* guards buckets */
	struct count *buckets[BUCKETS];

	struct app *app;
	_Atomic unsigned long long number; /* of the last socket */
	_Atomic bool is_local;             /* Redis is away, and that was said */

	/* Of the Redis that was told that this gateway lives; the beat's thread's. */
	char run_id[REDIS_RUN_ID_SIZE];
};

int ws_slots_new(struct app *app, struct ws_slots **ret, struct err *e)
{
	struct ws_slots *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	s->app = app;
	*ret = s;
	return 0;
}

void ws_slots_free(struct ws_slots *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (s->buckets[i]) {
			struct count *c = s->buckets[i];

			s->buckets[i] = c->next;
			free(c);
		}
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* With the lock: the user's count, or the place where it would be. */
static struct count **find(struct ws_slots *s, const char *user_id)
{
	unsigned long hash = strtoul(user_id, NULL, 16);
	struct count **at = &s->buckets[hash % BUCKETS];

	while (*at && strcmp((*at)->user_id, user_id) != 0)
		at = &(*at)->next;
	return at;
}

static int count_up(struct ws_slots *s, const char *user_id, long long max, struct err *e)
{
	struct count **at;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	at = find(s, user_id);
	if (!*at && (*at = calloc(1, sizeof(**at))))
		memcpy((*at)->user_id, user_id, UUID_SIZE);
	if (!*at)
		r = err_set(e, ERR_INTERNAL, "out of memory");
	else if ((*at)->sockets >= max)
		r = err_busy(e, ERR_LIMIT, 10, "you have too many WebSockets open");
	else
		(*at)->sockets++;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void ws_slot_forget(struct ws_slots *s, const struct ws_person *p)
{
	struct count **at, *c;

	pthread_mutex_lock(&s->lock);
	at = find(s, p->user_id);
	c = *at;
	if (c && --c->sockets == 0) {
		*at = c->next;
		free(c);
	}
	pthread_mutex_unlock(&s->lock);
}

static void say(struct ws_slots *s, bool is_local, const struct err *e)
{
	if (atomic_exchange(&s->is_local, is_local) == is_local)
		return;
	metric_set(METRIC_SOCKETS_LOCAL, is_local);
	if (is_local)
		log_warn("Redis is away: sockets of a user are counted by this gateway alone",
		         "error", e->msg);
	else
		log_info("Redis is back: sockets of a user are counted together again");
}

/* max: 0 to keep. */
static int ask(struct ws_slots *s, const struct ws_person *p, long long max)
{
	char sockets[KEY_MAX], revoked[KEY_MAX], most[24];
	const char *keys[] = { sockets, revoked, "zaki:auth:ready" };
	const char *args[] = { p->slot, most, bus_instance_id(s->app->bus), TEXT(WS_SLOT_S) };
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;
	bool is_answer;

	snprintf(sockets, sizeof(sockets), "zaki:ws:%s", p->user_id);
	snprintf(revoked, sizeof(revoked), "zaki:revoked:%s", p->session_id);
	snprintf(most, sizeof(most), "%lld", max);
	is_answer = redis_script_call(s->app->redis, &script, keys, COUNT(keys), args, COUNT(args),
	                              &reply, &e) == 0 &&
	            reply->type == REDIS_REPLY_INTEGER;
	say(s, !is_answer, &e);
	return is_answer ? (int)reply->integer : SLOT_NOT_KNOWN;
}

static int judge(struct ws_slots *s, const struct ws_person *p, int answer, struct err *e)
{
	struct bus_ctx ctx;

	switch (answer) {
	case SLOT_GOOD:
		return 0;
	case SLOT_NONE_LEFT:
		return err_busy(e, ERR_LIMIT, 10, "you have too many WebSockets open");
	case SLOT_REVOKED:
		return err_set(e, ERR_UNAUTHENTICATED, "this session has ended");
	default:
		ctx = ws_person_ctx(p, NULL);
		return auth_check_session(s->app, &ctx, e);
	}
}

int ws_slot_take(struct ws_slots *s, struct ws_person *p, struct err *e)
{
	long long max = tier_sockets(s->app, p->user_id, p->trace_id);

	snprintf(p->slot, sizeof(p->slot), "%s:%llu", bus_instance_id(s->app->bus),
	         atomic_fetch_add(&s->number, 1));
	if (count_up(s, p->user_id, max, e) < 0)
		return -1;
	if (judge(s, p, ask(s, p, max), e) < 0) {
		ws_slot_give(s, p);
		return -1;
	}
	return 0;
}

void ws_slot_give(struct ws_slots *s, const struct ws_person *p)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_MAX];
	struct err e = ERR_INIT;

	ws_slot_forget(s, p);
	snprintf(key, sizeof(key), "zaki:ws:%s", p->user_id);
	if (REDIS_CALL(s->app->redis, &reply, &e, "ZREM", key, p->slot) < 0)
		say(s, true, &e);
}

int ws_slot_keep(struct ws_slots *s, const struct ws_person *p, struct err *e)
{
	return judge(s, p, ask(s, p, 0), e);
}

static void key_of_gateway(const struct ws_slots *s, char ret[KEY_MAX])
{
	snprintf(ret, KEY_MAX, "zaki:rt:gateway:%s", bus_instance_id(s->app->bus));
}

int ws_slots_begin(struct ws_slots *s, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_MAX], run_id[REDIS_RUN_ID_SIZE];

	key_of_gateway(s, key);
	/* One that ends between the two is met again by the next beat. */
	if (redis_run_id(s->app->redis, run_id, e) < 0 ||
	    REDIS_CALL(s->app->redis, &reply, e, "SET", key, "1", "EX", TEXT(WS_BEAT_S)) < 0)
		return -1;
	memcpy(s->run_id, run_id, sizeof(s->run_id));
	return 0;
}

/* Never makes the key: what a time-out leaves open would be whether it had been lost. */
int ws_slots_beat(struct ws_slots *s, bool *ret_is_lost, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_MAX], run_id[REDIS_RUN_ID_SIZE];

	key_of_gateway(s, key);
	if (redis_run_id(s->app->redis, run_id, e) < 0 ||
	    REDIS_CALL(s->app->redis, &reply, e, "SET", key, "1", "EX", TEXT(WS_BEAT_S), "XX") < 0)
		return -1;
	/* A Redis that began anew from a file may know the gateway, but not its latest topics. */
	*ret_is_lost = reply->type == REDIS_REPLY_NIL || strcmp(run_id, s->run_id) != 0;
	return 0;
}

void ws_slots_end(struct ws_slots *s)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;
	char key[KEY_MAX];

	key_of_gateway(s, key);
	if (REDIS_CALL(s->app->redis, &reply, &e, "DEL", key) < 0)
		log_warn("Redis was not told that this gateway ends; it will see", "error", e.msg);
}
