#include "svc/outbox.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#include <pthread.h>

#define BATCH_MAX "64"
#define POLL_MS   1000 /* for events that another process has left */
#define AWAY_MS   500  /* between tries while the bus or the database is away */

/* A statement for each table, made by the compiler. lock: an advisory lock's key; one publisher at a
 * time keeps the order. */
struct outbox_sql {
	const char *add, *lock, *next, *drop;
};

#define OUTBOX_SQL(table, key)                                                                  \
	{                                                                                       \
		"INSERT INTO " table " (subject, key, trace_id, body) VALUES ($1, $2, $3, $4)", \
			"SELECT pg_try_advisory_xact_lock(" key ") AS got",                     \
			"SELECT seq, id, subject, key, trace_id, body,"                         \
			" floor(extract(epoch FROM created_at) * 1000)::bigint AS time_ms"      \
			" FROM " table " ORDER BY seq LIMIT " BATCH_MAX,                        \
			"DELETE FROM " table " WHERE seq = $1"                                  \
	}

static const struct outbox_sql sqls[] = {
	[OUTBOX_INSTANCE] = OUTBOX_SQL("event_outbox", "7310579609402703105"),
	[OUTBOX_BACKUP] = OUTBOX_SQL("event_outbox_backup", "7310579609402703201"),
};

/* lock guards is_woken and is_stopping. */
struct outbox {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool is_woken, is_stopping;
	pthread_t thread;
	const struct outbox_sql *sql;
	struct pg_pool *db;
	struct bus *bus;
};

int outbox_add(struct pg_conn *c, enum outbox_table table, const struct outbox_event *ev,
               struct err *e)
{
	OWN(json_text) char *body = NULL;

	if (bus_event_text(ev->subject, ev->in, &body, e) < 0)
		return -1;
	return pg_query(c, sqls[table].add,
	                (const char *[]){ subjects[ev->subject].name, ev->key,
	                                  ev->trace_id ? ev->trace_id : "", body },
	                4, NULL, e);
}

static int subject_of(const char *name, enum subject_id *ret, struct err *e)
{
	for (int i = 0; i < SUBJ_COUNT; i++) {
		if (subjects[i].kind == SUBJECT_EVENT && strcmp(subjects[i].name, name) == 0) {
			*ret = (enum subject_id)i;
			return 0;
		}
	}
	return err_set(e, ERR_INTERNAL, "an event of an unknown subject is in the outbox");
}

static int publish_row(struct outbox *o, const PGresult *res, int row, struct err *e)
{
	struct bus_event ev = {
		.key = pg_text(res, row, "key"),
		.msg_id = pg_text(res, row, "id"),
		.trace_id = pg_text(res, row, "trace_id"),
		.json = pg_text(res, row, "body"),
	};

	if (subject_of(pg_text(res, row, "subject"), &ev.subject, e) < 0 ||
	    pg_int(res, row, "time_ms", &ev.time_ms, e) < 0)
		return -1;
	return bus_event_publish(o->bus, &ev, e);
}

/* *ret_more: there may be more at once. */
static int publish_batch(struct outbox *o, bool *ret_more, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *lock = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct err why = ERR_INIT;
	int done = 0;

	*ret_more = false;
	if (pg_take(o->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, o->sql->lock, NULL, 0, &lock, e) < 0)
		return -1;
	if (!pg_bool(lock, 0, "got"))
		return 0;
	if (pg_query(c, o->sql->next, NULL, 0, &res, e) < 0)
		return -1;
	for (; done < PQntuples(res) && publish_row(o, res, done, &why) == 0; done++) {
		const char *seq = pg_text(res, done, "seq");

		/* A crash here publishes it again, which the stream sees by its id. */
		fault_point("outbox.published");
		if (pg_query(c, o->sql->drop, &seq, 1, NULL, e) < 0)
			return -1;
	}
	if (done > 0 && pg_commit(&tx, e) < 0)
		return -1;
	if (why.code != ERR_NONE) {
		*e = why;
		return -1;
	}
	*ret_more = done > 0;
	return 0;
}

/* False: it is to end. */
static bool wait_for_work(struct outbox *o, long long ms)
{
	long long until_ms = clock_mono_ms() + ms;
	bool go_on;

	pthread_mutex_lock(&o->lock);
	while (!o->is_woken && !o->is_stopping)
		if (!clock_cond_wait(&o->woken, &o->lock, until_ms))
			break;
	o->is_woken = false;
	go_on = !o->is_stopping;
	pthread_mutex_unlock(&o->lock);
	return go_on;
}

static void *publisher(void *ctx)
{
	struct outbox *o = ctx;
	bool is_failing = false, more = true, go_on = true;

	while (go_on) {
		struct err e = ERR_INIT;
		int r = publish_batch(o, &more, &e);

		if (r < 0 && !is_failing)
			log_warn("events wait, trying again", "code", err_name(e.code), "error",
			         e.msg);
		else if (r == 0 && is_failing)
			log_info("events are published again");
		is_failing = r < 0;
		go_on = wait_for_work(o, is_failing ? AWAY_MS : more ? 0 : POLL_MS);
	}
	return NULL;
}

int outbox_start(enum outbox_table table, struct pg_pool *db, struct bus *bus, struct outbox **ret,
                 struct err *e)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (!o)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&o->lock, NULL);
	clock_cond_init(&o->woken);
	o->sql = &sqls[table];
	o->db = db;
	o->bus = bus;
	if (pthread_create(&o->thread, NULL, publisher, o) != 0) {
		free(o);
		return err_set(e, ERR_INTERNAL, "no thread for the outbox");
	}
	*ret = o;
	return 0;
}

void outbox_wake(struct outbox *o)
{
	pthread_mutex_lock(&o->lock);
	o->is_woken = true;
	pthread_cond_signal(&o->woken);
	pthread_mutex_unlock(&o->lock);
}

void outbox_stop(struct outbox *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	o->is_stopping = true;
	pthread_cond_signal(&o->woken);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	pthread_cond_destroy(&o->woken);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
