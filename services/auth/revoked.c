#include "revoked.h"

#include "base/clock.h"
#include "base/log.h"

#define KEY_READY   "zaki:auth:ready"
#define KEY_REVOKED "zaki:revoked:"
#define KEY_SIZE    (sizeof(KEY_REVOKED) + UUID_SIZE)
#define BATCH       200
#define TEXT_(n)    #n
#define TEXT(n)     TEXT_(n)

static const char sql_for_redis[] =
	"SELECT session_id FROM ended_sessions WHERE in_redis_at IS NULL"
	" ORDER BY ended_at LIMIT " TEXT(BATCH);

static const char sql_in_redis[] =
	"UPDATE ended_sessions SET in_redis_at = now() WHERE session_id = $1";

static const char sql_for_bus[] =
	"SELECT session_id, user_id, reason, trace_id,"
	" (extract(epoch FROM ended_at) * 1000)::bigint AS ended_ms"
	" FROM ended_sessions WHERE told_at IS NULL ORDER BY ended_at LIMIT " TEXT(BATCH);

static const char sql_told[] =
	"UPDATE ended_sessions SET told_at = now(), user_id = NULL WHERE session_id = $1";

static const char sql_recent[] = "SELECT session_id FROM ended_sessions"
				 " WHERE ended_at > now() - make_interval(secs => $1::int)";

/* Marks what was written, by a key that would have gone with it: 1 when the ready key is set. */
static struct redis_script ready_if_kept = {
	.text = "if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end "
		"redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1]) "
		"redis.call('DEL', KEYS[2]) return 1"
};

/* What was last said of something in the log, so that it is said once. */
struct said {
	const char *what;
	bool is_bad;
};

/* The keeper's own memory; its thread alone. */
static struct {
	char run_id[REDIS_RUN_ID_SIZE]; /* of the Redis that has all */
	struct said postgres, redis, bus;
} keeper = { .postgres = { "PostgreSQL", false },
	     .redis = { "Redis", false },
	     .bus = { "the bus", false } };

static void say(struct said *s, bool is_bad, const struct err *e)
{
	if (is_bad && !s->is_bad)
		log_warn("ended sessions are not told yet, trying again", "to", s->what, "error",
		         e->msg);
	else if (!is_bad && s->is_bad)
		log_info("ended sessions are told again", "to", s->what);
	s->is_bad = is_bad;
}

static int set_key(struct redis *r, const char *session_id, int ttl_s, bool only_new, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char key[KEY_SIZE], ttl[12];

	snprintf(key, sizeof(key), KEY_REVOKED "%s", session_id);
	snprintf(ttl, sizeof(ttl), "%d", ttl_s);
	return only_new ? REDIS_CALL(r, &reply, e, "SET", key, "1", "EX", ttl, "NX")
	                : REDIS_CALL(r, &reply, e, "SET", key, "1", "EX", ttl);
}

void revoked_mark(struct redis *r, const char *session_id)
{
	struct err e = ERR_INIT;

	if (set_key(r, session_id, REVOKED_MARK_S, true, &e) < 0)
		log_warn("ended session will reach Redis later", "error", e.msg);
}

static int publish(struct app *app, const PGresult *res, int row, struct err *e)
{
	struct session_ended_evt in = { .session_id = pg_text(res, row, "session_id"),
		                        .reason = pg_text(res, row, "reason") };
	struct bus_event ev = { .subject = SUBJ_EVT_SESSION_ENDED,
		                .key = pg_text(res, row, "user_id"),
		                .msg_id = in.session_id,
		                .trace_id = pg_text(res, row, "trace_id") };
	OWN(json_text) char *text = NULL;

	if (pg_int(res, row, "ended_ms", &ev.time_ms, e) < 0 ||
	    bus_event_text(ev.subject, &in, &text, e) < 0)
		return -1;
	ev.json = text;
	return bus_event_publish(app->bus, &ev, e);
}

static int tell_redis(struct app *app, struct pg_conn *c, struct err *e)
{
	int count = BATCH;

	while (count == BATCH) {
		OWN(pg_result) PGresult *res = NULL;

		if (pg_query(c, sql_for_redis, NULL, 0, &res, e) < 0)
			return -1;
		count = PQntuples(res);
		for (int i = 0; i < count; i++) {
			const char *id = pg_text(res, i, "session_id");

			if (set_key(app->redis, id, REVOKED_S, false, e) < 0 ||
			    pg_query(c, sql_in_redis, &id, 1, NULL, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* The stream takes an event that it has already once more without keeping it twice (msg_id). */
static int tell_bus(struct app *app, struct pg_conn *c, struct err *e)
{
	int count = BATCH;

	while (count == BATCH) {
		OWN(pg_result) PGresult *res = NULL;

		if (pg_query(c, sql_for_bus, NULL, 0, &res, e) < 0)
			return -1;
		count = PQntuples(res);
		for (int i = 0; i < count; i++) {
			const char *id = pg_text(res, i, "session_id");

			if (publish(app, res, i, e) < 0 ||
			    pg_query(c, sql_told, &id, 1, NULL, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* All that ended within an access token's life, and then the ready key. */
static int reload(struct app *app, struct pg_conn *c, const char *run_id, struct err *e)
{
	char loading[64] = "zaki:auth:loading:", random[33], window[12], ready[12];
	const char *param = window, *keys[] = { KEY_READY, loading };
	const char *args[] = { ready, run_id };
	OWN(pg_result) PGresult *res = NULL;
	OWN(redis_reply) redisReply *set = NULL;
	OWN(redis_reply) redisReply *done = NULL;

	random_hex(16, random);
	snprintf(loading, sizeof(loading), "zaki:auth:loading:%s", random);
	snprintf(window, sizeof(window), "%d", REVOKED_S);
	snprintf(ready, sizeof(ready), "%d", READY_S);
	if (REDIS_CALL(app->redis, &set, e, "SET", loading, "1", "EX", "60") < 0 ||
	    pg_query(c, sql_recent, &param, 1, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++)
		if (set_key(app->redis, pg_text(res, i, "session_id"), REVOKED_S, false, e) < 0)
			return -1;
	if (redis_script_call(app->redis, &ready_if_kept, keys, COUNT(keys), args, COUNT(args),
	                      &done, e) < 0)
		return -1;
	if (done->type != REDIS_REPLY_INTEGER || done->integer != 1)
		return err_set(e, ERR_UNAVAILABLE, "Redis lost what was just written");
	snprintf(keeper.run_id, sizeof(keeper.run_id), "%s", run_id);
	snprintf(window, sizeof(window), "%d", PQntuples(res));
	log_info("Redis knows the ended sessions", "sessions", window);
	return 0;
}

/* Keeps the ready key where it is, and of this run of the server; sets it anew where it is not. */
static int keep_ready(struct app *app, struct pg_conn *c, struct err *e)
{
	OWN(redis_reply) redisReply *kept = NULL;
	OWN(redis_reply) redisReply *gone = NULL;
	char run_id[REDIS_RUN_ID_SIZE], ttl[12];

	if (redis_run_id(app->redis, run_id, e) < 0)
		return -1;
	if (strcmp(run_id, keeper.run_id) == 0) {
		snprintf(ttl, sizeof(ttl), "%d", READY_S);
		if (REDIS_CALL(app->redis, &kept, e, "SET", KEY_READY, run_id, "EX", ttl, "XX") < 0)
			return -1;
		if (kept->type == REDIS_REPLY_STATUS)
			return 0;
	} else if (REDIS_CALL(app->redis, &gone, e, "DEL", KEY_READY) < 0) {
		return -1;
	}
	return reload(app, c, run_id, e);
}

void revoked_keep(void *ctx)
{
	struct app *app = ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	int r = pg_take(app->db, &c, &e);

	/* Without PostgreSQL nothing can end: what Redis knows stays all there is, but nobody vouches
	 * for it, and the ready key lapses. */
	say(&keeper.postgres, r < 0, &e);
	if (r < 0)
		return;
	r = tell_redis(app, c, &e);
	if (r == 0)
		r = keep_ready(app, c, &e);
	say(&keeper.redis, r < 0, &e);
	say(&keeper.bus, tell_bus(app, c, &e) < 0, &e);
}
