#include "reconcile.h"

#include "step.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

#define POKES_MAX 1024
#define SEEN_MAX  1024

/*
 * lock guards everything below it but what is set once at the start. The scheduler alone takes from
 * `seen` and `pokes` and adds to `queue`; workers add to `seen` and take from `queue`.
 */
struct reconciler {
	pthread_mutex_t lock;
	pthread_cond_t has_work; /* for workers */
	pthread_cond_t has_news; /* for the scheduler */
	bool is_stopping, is_woken, is_poked_all;
	size_t slow_count;
	struct instance *queue[RECONCILE_WORKERS];
	size_t queue_count;
	char busy[RECONCILE_WORKERS][UUID_SIZE]; /* "": that worker is idle */
	size_t busy_count;
	struct lease_seen seen[SEEN_MAX];
	size_t seen_count;
	struct lease_poke pokes[POKES_MAX];
	size_t poke_count;
	long long next_due_ms; /* monotonic; of what was written back, the soonest */

	struct app *app;
	pthread_t scheduler, workers[RECONCILE_WORKERS];
	size_t worker_count;
	bool has_scheduler;
	long long beat_ms; /* monotonic; the scheduler's own */
	bool is_failing;   /* likewise */
	bool owes_poke;    /* likewise: what was told of while the database was away */
};

struct worker {
	struct reconciler *r;
	size_t at;
};

static bool slow_begin(void *ctx)
{
	struct reconciler *r = ctx;
	bool got;

	pthread_mutex_lock(&r->lock);
	got = r->slow_count < RECONCILE_SLOW_MAX;
	r->slow_count += got;
	pthread_mutex_unlock(&r->lock);
	return got;
}

static void slow_end(void *ctx)
{
	struct reconciler *r = ctx;

	pthread_mutex_lock(&r->lock);
	r->slow_count--;
	pthread_mutex_unlock(&r->lock);
}

/* The next instance; NULL: the end. */
static struct instance *work_take(struct reconciler *r, size_t at)
{
	struct instance *row = NULL;

	pthread_mutex_lock(&r->lock);
	while (r->queue_count == 0 && !r->is_stopping)
		pthread_cond_wait(&r->has_work, &r->lock);
	if (!r->is_stopping) {
		row = r->queue[0];
		r->queue_count--;
		for (size_t i = 0; i < r->queue_count; i++)
			r->queue[i] = r->queue[i + 1];
		snprintf(r->busy[at], sizeof(r->busy[at]), "%s", row->id);
		r->busy_count++;
	}
	pthread_mutex_unlock(&r->lock);
	return row;
}

static void work_done(struct reconciler *r, size_t at, const struct lease_seen *seen)
{
	long long due_ms;

	pthread_mutex_lock(&r->lock);
	r->busy[at][0] = '\0';
	r->busy_count--;
	/* One that finds no place here has a lease that runs out by itself. */
	if (seen && r->seen_count < SEEN_MAX) {
		r->seen[r->seen_count++] = *seen;
		due_ms = clock_mono_ms() + seen->delay_ms;
		if (due_ms < r->next_due_ms)
			r->next_due_ms = due_ms;
	}
	pthread_cond_signal(&r->has_news);
	pthread_mutex_unlock(&r->lock);
}

static void *work(void *ctx)
{
	struct worker *w = ctx;
	struct reconciler *r = w->r;
	size_t at = w->at;
	const struct step_slow slow = { slow_begin, slow_end, r };
	struct instance *row;

	free(w);
	while ((row = work_take(r, at))) {
		struct lease_seen seen;
		enum step_end end = step_instance(r->app, row, &slow, &seen);

		work_done(r, at, end == STEP_SEEN ? &seen : NULL);
		explicit_bzero(row, sizeof(*row));
		free(row);
	}
	return NULL;
}

/* What the scheduler takes along to the database in one go. */
struct round {
	struct lease_seen seen[SEEN_MAX];
	struct lease_poke pokes[POKES_MAX];
	char busy[2 * RECONCILE_WORKERS][UUID_SIZE];
	size_t seen_count, poke_count, busy_count, room;
	bool is_poked_all;
};

static void round_begin(struct reconciler *r, struct round *n)
{
	pthread_mutex_lock(&r->lock);
	n->seen_count = r->seen_count;
	memcpy(n->seen, r->seen, r->seen_count * sizeof(r->seen[0]));
	n->poke_count = r->poke_count;
	memcpy(n->pokes, r->pokes, r->poke_count * sizeof(r->pokes[0]));
	n->is_poked_all = r->is_poked_all || r->owes_poke;
	r->seen_count = r->poke_count = 0;
	r->is_woken = r->is_poked_all = false;
	r->next_due_ms = clock_mono_ms() + RECONCILE_POLL_MS;

	n->busy_count = 0;
	for (size_t i = 0; i < RECONCILE_WORKERS; i++)
		if (r->busy[i][0])
			memcpy(n->busy[n->busy_count++], r->busy[i], UUID_SIZE);
	for (size_t i = 0; i < r->queue_count; i++)
		memcpy(n->busy[n->busy_count++], r->queue[i]->id, UUID_SIZE);
	n->room = RECONCILE_WORKERS - r->busy_count - r->queue_count;
	pthread_mutex_unlock(&r->lock);
}

/* One that this process still works on, though its lease ran out (the database was away): the one
 * who works on it has the lease again now. */
static bool is_busy(const struct round *n, const char *id)
{
	for (size_t i = 0; i < n->busy_count; i++)
		if (strcmp(n->busy[i], id) == 0)
			return true;
	return false;
}

static int hand_out(struct reconciler *r, const struct round *n, const struct instance *list,
                    size_t count, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		struct instance *row;

		if (is_busy(n, list[i].id))
			continue;
		row = calloc(1, sizeof(*row));
		if (!row)
			return err_set(e, ERR_INTERNAL, "out of memory");
		*row = list[i];
		pthread_mutex_lock(&r->lock);
		r->queue[r->queue_count++] = row;
		pthread_cond_signal(&r->has_work);
		pthread_mutex_unlock(&r->lock);
	}
	return 0;
}

/* *ret_more: there may be more that is due now. What could not be written is not tried again: leases
 * run out, and all is looked at anew. */
static int round_run(struct reconciler *r, struct round *n, bool *ret_more, struct err *e)
{
	const char *owner = bus_instance_id(r->app->bus);
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(mem) struct instance *list = NULL;
	size_t count = 0;

	*ret_more = false;
	if (pg_take(r->app->db, &db, e) < 0 ||
	    (n->seen_count && lease_seen(db, owner, n->seen, n->seen_count, e) < 0) ||
	    (n->poke_count && lease_poke(db, n->pokes, n->poke_count, e) < 0) ||
	    (n->is_poked_all && lease_poke_all(db, RECONCILE_POLL_MS, e) < 0))
		return -1;
	if (n->busy_count && clock_mono_ms() >= r->beat_ms) {
		if (lease_beat(db, owner, n->busy, n->busy_count, e) < 0)
			return -1;
		r->beat_ms = clock_mono_ms() + LEASE_BEAT_MS;
	}
	if (n->room == 0)
		return 0;
	if (lease_claim(db, owner, n->room, &list, &count, e) < 0)
		return -1;
	*ret_more = count == n->room;
	return hand_out(r, n, list, count, e);
}

/* False: it is to end. */
static bool wait_for_news(struct reconciler *r, bool has_more)
{
	bool go_on;

	pthread_mutex_lock(&r->lock);
	while (!r->is_stopping && !r->is_woken && !r->poke_count && !r->is_poked_all) {
		bool has_room = r->busy_count + r->queue_count < RECONCILE_WORKERS;

		if ((has_more && has_room) || clock_mono_ms() >= r->next_due_ms)
			break;
		(void)clock_cond_wait(&r->has_news, &r->lock, r->next_due_ms);
	}
	go_on = !r->is_stopping;
	pthread_mutex_unlock(&r->lock);
	return go_on;
}

static void *schedule(void *ctx)
{
	struct reconciler *r = ctx;
	struct round *n = calloc(1, sizeof(*n));
	bool has_more = false;

	if (!n) {
		log_error("nothing is reconciled", "error", "out of memory");
		return NULL;
	}
	do {
		struct err e = ERR_INIT;
		int status;

		round_begin(r, n);
		status = round_run(r, n, &has_more, &e);
		if (status < 0 && !r->is_failing)
			log_warn("instances cannot be claimed, trying again", "code",
			         err_name(e.code), "error", e.msg);
		else if (status == 0 && r->is_failing)
			log_info("instances are claimed again");
		r->is_failing = status < 0;
		r->owes_poke = status < 0 && (n->poke_count || n->is_poked_all);
	} while (wait_for_news(r, has_more));
	free(n);
	return NULL;
}

static int workers_start(struct reconciler *r, struct err *e)
{
	for (size_t i = 0; i < RECONCILE_WORKERS; i++) {
		struct worker *w = calloc(1, sizeof(*w));

		if (w)
			*w = (struct worker){ r, i };
		if (!w || pthread_create(&r->workers[i], NULL, work, w) != 0) {
			free(w);
			return err_set(e, ERR_INTERNAL, "no thread for the reconciler");
		}
		r->worker_count++;
	}
	if (pthread_create(&r->scheduler, NULL, schedule, r) != 0)
		return err_set(e, ERR_INTERNAL, "no thread for the reconciler");
	r->has_scheduler = true;
	return 0;
}

int reconcile_start(struct app *app, struct reconciler **ret, struct err *e)
{
	struct reconciler *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->has_work, NULL);
	clock_cond_init(&r->has_news);
	r->app = app;
	r->is_poked_all = true; /* much may have happened while nobody looked */
	if (workers_start(r, e) < 0) {
		reconcile_stop(r);
		return -1;
	}
	*ret = r;
	return 0;
}

void reconcile_wake(struct reconciler *r)
{
	pthread_mutex_lock(&r->lock);
	r->is_woken = true;
	pthread_cond_signal(&r->has_news);
	pthread_mutex_unlock(&r->lock);
}

/* With the lock. */
static bool is_being_worked_on(const struct reconciler *r, const char *id)
{
	for (size_t i = 0; i < RECONCILE_WORKERS; i++)
		if (strcmp(r->busy[i], id) == 0)
			return true;
	return false;
}

void reconcile_poke(struct reconciler *r, const struct lease_poke *poke)
{
	pthread_mutex_lock(&r->lock);
	if (poke && poke->is_minor && is_being_worked_on(r, poke->id)) {
		pthread_mutex_unlock(&r->lock);
		return;
	}
	if (poke && r->poke_count < POKES_MAX)
		r->pokes[r->poke_count++] = *poke;
	else
		r->is_poked_all = true;
	pthread_cond_signal(&r->has_news);
	pthread_mutex_unlock(&r->lock);
}

static void leases_give_back(struct reconciler *r)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct err e = ERR_INIT;

	if (pg_take(r->app->db, &db, &e) < 0 ||
	    lease_release_all(db, bus_instance_id(r->app->bus), &e) < 0)
		log_warn("leases could not be given back, they run out", "error", e.msg);
}

void reconcile_stop(struct reconciler *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->is_stopping = true;
	pthread_cond_broadcast(&r->has_work);
	pthread_cond_broadcast(&r->has_news);
	pthread_mutex_unlock(&r->lock);
	if (r->has_scheduler)
		pthread_join(r->scheduler, NULL);
	for (size_t i = 0; i < r->worker_count; i++)
		pthread_join(r->workers[i], NULL);
	for (size_t i = 0; i < r->queue_count; i++)
		free(r->queue[i]);
	if (r->has_scheduler)
		leases_give_back(r);
	pthread_cond_destroy(&r->has_news);
	pthread_cond_destroy(&r->has_work);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
