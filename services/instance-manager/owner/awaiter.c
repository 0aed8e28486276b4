#include "owner/awaiter.h"

#include "assistant_config.h"
#include "instance_store.h"
#include "owner/owner.h"
#include "owner/updates.h"
#include "store/params.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <pthread.h>
#include <sodium.h>

#define IDLE_MS      4000 /* until a thread that had nothing to do looks at the table again */
#define AGAIN_MS     1000 /* between questions that are answered at once */
#define FAILURES_MAX 5    /* questions in a row; OpenClaw then says itself what is wrong */
#define ARENA_LIMIT  ((size_t)6 << 20)
#define TRACE_BYTES  ((INSTANCE_TRACE_SIZE - 1) / 2)

#define WHY_OVER  "Nobody opened the link in time: people ask to be let in."
#define WHY_OTHER "Somebody wrote to the bot without the link: people ask to be let in."
#define WHY_AWAY  "The bot's messages could not be read: people ask to be let in."

/* lock guards what is above the line. */
struct awaiter {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool is_stopping; /* a question under way reads it without the lock, as an atomic */
	unsigned wakes;
	/* ---- */
	struct app *app;
	pthread_t threads[AWAITER_THREADS];
	size_t thread_count;
};

/* A link that this thread has taken. */
struct taken {
	char id[UUID_SIZE], user_id[UUID_SIZE];
	char nonce[OWNER_NONCE_SIZE];
	long long since_s, failures;
	bool is_over;     /* its time is */
	bool has_rest;    /* more links than threads: none is waited with */
	long long nap_ms; /* filled: until it is due again */
};

static int take(struct awaiter *w, struct arena *a, struct taken *ret, bool *ret_found,
                struct err *e)
{
	static const char sql[] =
		"UPDATE owner_links l SET next_at = now() + interval '" AWAITER_HOLD "'"
		" WHERE instance_id = (SELECT o.instance_id FROM owner_links o"
		"  JOIN instances i ON i.id = o.instance_id WHERE o.next_at <= now()"
		"  AND (i.desired = 'running' OR o.deadline <= now())"
		"  ORDER BY o.next_at LIMIT 1 FOR UPDATE OF o SKIP LOCKED)"
		" RETURNING instance_id, user_id, nonce_encrypted, failures,"
		"  floor(extract(epoch FROM created_at))::bigint AS since, deadline <= now() AS "
		"over,"
		"  (SELECT count(*) FROM owner_links) > $1::bigint AS rest";
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	const char *nonce = NULL;

	params_int(&p, AWAITER_THREADS);
	if (pg_take(w->app->db, &db, e) < 0 || pg_query(db, sql, p.values, p.count, &res, e) < 0)
		return -1;
	*ret_found = PQntuples(res) > 0;
	if (!*ret_found)
		return 0;
	*ret = (struct taken){ .is_over = pg_bool(res, 0, "over"),
		               .has_rest = pg_bool(res, 0, "rest") };
	snprintf(ret->id, sizeof(ret->id), "%s", pg_text(res, 0, "instance_id"));
	snprintf(ret->user_id, sizeof(ret->user_id), "%s", pg_text(res, 0, "user_id"));
	if (pg_int(res, 0, "failures", &ret->failures, e) < 0 ||
	    pg_int(res, 0, "since", &ret->since_s, e) < 0 ||
	    owner_nonce_open(w->app, ret->user_id, ret->id, pg_text(res, 0, "nonce_encrypted"), a,
	                     &nonce, e) < 0)
		return -1;
	snprintf(ret->nonce, sizeof(ret->nonce), "%s", nonce);
	return 0;
}

static int give_back(struct awaiter *w, struct taken *t, long long failures, long long in_ms,
                     struct err *e)
{
	static const char sql[] = "UPDATE owner_links SET next_at = now() + $3::bigint * interval "
				  "'1 ms', failures = $4"
				  " WHERE user_id = $1 AND instance_id = $2";
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct params p = { 0 };

	t->nap_ms = in_ms;
	params_text(&p, t->user_id);
	params_text(&p, t->id);
	params_int(&p, in_ms);
	params_int(&p, failures);
	if (pg_take(w->app->db, &db, e) < 0)
		return -1;
	return pg_query(db, sql, p.values, p.count, NULL, e);
}

static int end(struct awaiter *w, const struct taken *t, const char *why, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	bool is_done = false;

	if (pg_take(w->app->db, &db, e) < 0 ||
	    owner_link_end(db, t->user_id, t->id, why, &is_done, e) < 0)
		return -1;
	if (!is_done)
		return 0;
	/* A crash here: it is written, and the config follows it. */
	fault_point("owner.ended");
	log_info("an owner is no longer awaited", "instance_id", t->id, "user_id", t->user_id,
	         "why", why);
	app_wake(w->app);
	return 0;
}

static int owner_found(struct awaiter *w, const struct taken *t, long long owner_id, struct err *e)
{
	char trace[INSTANCE_TRACE_SIZE];
	const struct owner_bind b = { t->user_id, t->id, trace, owner_id, true };
	OWN(pg_conn) struct pg_conn *db = NULL;
	bool is_done = false;

	random_hex(TRACE_BYTES, trace);
	/* A crash here: the message still waits at Telegram, and is read again. */
	fault_point("owner.seen");
	if (pg_take(w->app->db, &db, e) < 0 || owner_bind(db, &b, &is_done, e) < 0)
		return -1;
	if (!is_done)
		return 0;
	/* A crash here: it is written, and the config follows it. */
	fault_point("owner.bound");
	log_info("an owner has opened the link", "instance_id", t->id, "user_id", t->user_id);
	app_wake(w->app);
	return 0;
}

static int token_of(struct awaiter *w, const struct taken *t, struct arena *a, const char **ret,
                    struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct instance i;

	if (pg_take(w->app->db, &db, e) < 0 || store_load(db, t->user_id, t->id, &i, e) < 0)
		return -1;
	return assistant_bot_token(w->app, db, &i, a, ret, e);
}

/* What the question came to. What OpenClaw would be told as well is left to it to name. */
static int failed(struct awaiter *w, struct taken *t, const char *token, struct arena *a,
                  const struct err *why, struct err *e)
{
	struct err ignored = ERR_INIT; /* the next question says it again */

	log_debug("an awaited owner's messages are not read", "instance_id", t->id, "error",
	          why->msg);
	if (why->code == ERR_CONFLICT && t->failures == 0)
		(void)updates_no_webhook(w->app->telegram, token, a, &ignored);
	else if (why->code == ERR_BOT_TOKEN_INVALID || why->code == ERR_CONFLICT ||
	         t->failures + 1 >= FAILURES_MAX)
		return end(w, t, WHY_AWAY, e);
	return give_back(w, t, t->failures + 1, AGAIN_MS << t->failures, e);
}

static bool is_ending(const struct awaiter *w)
{
	return __atomic_load_n(&w->is_stopping, __ATOMIC_RELAXED);
}

static int look(struct awaiter *w, struct taken *t, struct arena *a, struct err *e)
{
	struct updates_ask ask = { .nonce = t->nonce,
		                   .since_s = t->since_s,
		                   .wait_s = t->has_rest ? 0 : UPDATES_WAIT_S,
		                   .stop = &w->is_stopping };
	struct updates_seen seen = { 0 };
	struct err why = ERR_INIT;

	if (t->is_over)
		return end(w, t, WHY_OVER, e);
	if (token_of(w, t, a, &ask.token, e) < 0)
		return -1;
	if (updates_ask(w->app->telegram, &ask, a, &seen, &why) < 0 && is_ending(w))
		return give_back(w, t, t->failures, 0, e); /* to who looks after it next */
	if (why.code)
		return failed(w, t, ask.token, a, &why, e);
	switch (seen.verdict) {
	case UPDATES_OWNER:
		return owner_found(w, t, seen.owner_id, e);
	case UPDATES_OTHER:
		return end(w, t, WHY_OTHER, e);
	case UPDATES_NONE:
		break;
	}
	return give_back(w, t, 0, seen.has_any || !ask.wait_s ? AGAIN_MS : 0, e);
}

/* For how long there is nothing to do, as far as this thread knows. */
static long long run_once(struct awaiter *w)
{
	struct arena a __attribute__((cleanup(own_arena)));
	struct taken t = { 0 };
	struct err e = ERR_INIT;
	bool is_found = false;
	int r;

	arena_init(&a, ARENA_LIMIT);
	r = take(w, &a, &t, &is_found, &e);
	if (r == 0 && is_found)
		r = look(w, &t, &a, &e);
	sodium_memzero(t.nonce, sizeof(t.nonce));
	if (r < 0 && e.code != ERR_NOT_FOUND)
		log_warn("an awaited owner could not be looked for, trying again", "instance_id",
		         t.id, "code", err_name(e.code), "error", e.msg);
	return r == 0 && is_found ? t.nap_ms : IDLE_MS;
}

/* False: it is to end. */
static bool nap(struct awaiter *w, unsigned wakes, long long ms)
{
	long long at = clock_mono_ms() + ms;
	bool go_on;

	pthread_mutex_lock(&w->lock);
	while (!w->is_stopping && w->wakes == wakes)
		if (!clock_cond_wait(&w->woken, &w->lock, at))
			break;
	go_on = !w->is_stopping;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

static unsigned wakes_of(struct awaiter *w, bool *ret_stopping)
{
	unsigned wakes;

	pthread_mutex_lock(&w->lock);
	wakes = w->wakes;
	*ret_stopping = w->is_stopping;
	pthread_mutex_unlock(&w->lock);
	return wakes;
}

static void *run(void *ctx)
{
	struct awaiter *w = ctx;
	bool is_stopping = false;

	while (!is_stopping) {
		unsigned wakes = wakes_of(w, &is_stopping);

		if (!is_stopping)
			is_stopping = !nap(w, wakes, run_once(w));
	}
	return NULL;
}

int awaiter_start(struct app *app, struct awaiter **ret, struct err *e)
{
	struct awaiter *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->woken);
	w->app = app;
	*ret = w;
	for (; w->thread_count < AWAITER_THREADS; w->thread_count++)
		if (pthread_create(&w->threads[w->thread_count], NULL, run, w) != 0)
			return err_set(e, ERR_INTERNAL, "no thread to await owners");
	return 0;
}

void awaiter_wake(struct awaiter *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->wakes++;
	pthread_cond_broadcast(&w->woken);
	pthread_mutex_unlock(&w->lock);
}

void awaiter_stop(struct awaiter *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	__atomic_store_n(&w->is_stopping, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&w->woken);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->thread_count; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->woken);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
