#include "work.h"

#include "run.h"
#include "trial.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

#define WORKERS_MAX 65 /* the last is the mirrors' */
#define POLL_MS     1000
#define AWAY_MS     2000
#define SAFE_MS \
	((JOB_LEASE_S - 8) * 1000LL) /* since the last beat: past it the lease may be gone */

/* lock guards all below it but what is set once at the start. */
struct work {
	pthread_mutex_t lock;
	pthread_cond_t has_news, has_room;
	bool is_stopping;
	bool is_woken[2];  /* by lane: one does not take the other's news */
	long long beat_ms; /* monotonic; when leases were last renewed, or there was none yet */
	unsigned long long claims;
	size_t started;                            /* workers that have their number */
	char claimed[WORKERS_MAX][JOB_OWNER_SIZE]; /* by each worker, "": nothing */
	size_t busy;                               /* workers that work */
	bool is_alone;                             /* one of them works, or waits to work, alone */

	struct app *app;
	struct ticker *keeper;
	pthread_t workers[WORKERS_MAX];
	size_t worker_count;
};

bool work_go_on(struct work *w)
{
	bool go_on;

	pthread_mutex_lock(&w->lock);
	go_on = !w->is_stopping && clock_mono_ms() - w->beat_ms < SAFE_MS;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

/* As a PostgreSQL array. An owner is hexadecimal digits, a point and a number. */
static void owners_text(struct work *w, char *to, size_t size)
{
	size_t len = 1;

	to[0] = '{';
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < COUNT(w->claimed); i++)
		if (w->claimed[i][0])
			len += (size_t)snprintf(to + len, size - len, "%s%s", len > 1 ? "," : "",
			                        w->claimed[i]);
	pthread_mutex_unlock(&w->lock);
	snprintf(to + len, size - len, "}");
}

/* Only what is worked on is kept: where the end of work could not be written, its lease runs out. */
static void beat(void *ctx)
{
	struct work *w = ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	char owners[WORKERS_MAX * JOB_OWNER_SIZE + 3];
	struct err e = ERR_INIT;
	long long begin_ms = clock_mono_ms();
	bool has_voided = false;

	owners_text(w, owners, sizeof(owners));
	if (pg_take(w->app->db, &c, &e) < 0 || job_beat(c, owners, &e) < 0 ||
	    job_void_dead(c, &has_voided, &e) < 0) {
		log_warn("leases are not renewed", "error", e.msg);
		return;
	}
	pthread_mutex_lock(&w->lock);
	w->beat_ms = begin_ms;
	pthread_mutex_unlock(&w->lock);
	if (has_voided)
		work_wake(w);
}

/* False: it is to end. */
static bool wait_for_work(struct work *w, enum job_lane lane, long long ms)
{
	long long until_ms = clock_mono_ms() + ms;
	bool go_on;

	pthread_mutex_lock(&w->lock);
	while (!w->is_woken[lane] && !w->is_stopping)
		if (!clock_cond_wait(&w->has_news, &w->lock, until_ms))
			break;
	w->is_woken[lane] = false;
	go_on = !w->is_stopping;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

static enum job_lane lane_of(const struct work *w, size_t worker)
{
	return worker == (size_t)w->app->backups_at_once ? JOB_LANE_MIRRORS : JOB_LANE_BACKUPS;
}

static int claim(struct work *w, size_t worker, struct job *ret, bool *ret_got, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	char owner[JOB_OWNER_SIZE];

	pthread_mutex_lock(&w->lock);
	snprintf(owner, sizeof(owner), "%s.%llu", bus_instance_id(w->app->bus), ++w->claims);
	memcpy(w->claimed[worker], owner, sizeof(owner));
	pthread_mutex_unlock(&w->lock);
	if (pg_take(w->app->db, &c, e) < 0)
		return -1;
	return job_claim(c, owner, lane_of(w, worker), ret, ret_got, e);
}

static void unclaim(struct work *w, size_t worker)
{
	pthread_mutex_lock(&w->lock);
	w->claimed[worker][0] = '\0';
	pthread_mutex_unlock(&w->lock);
}

/*
 * Work under which a process has died before is done alone: should it end this one, too, nothing else
 * of this process is counted as having done so. False: the process ends; there is nothing to leave.
 */
static bool enter(struct work *w, bool is_alone)
{
	bool go_on;

	pthread_mutex_lock(&w->lock);
	while (w->is_alone && !w->is_stopping)
		pthread_cond_wait(&w->has_room, &w->lock);
	if (is_alone)
		w->is_alone = true;
	while (is_alone && w->busy > 0 && !w->is_stopping)
		pthread_cond_wait(&w->has_room, &w->lock);
	go_on = !w->is_stopping;
	if (go_on)
		w->busy++;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

static void leave(struct work *w, bool is_alone)
{
	pthread_mutex_lock(&w->lock);
	w->busy--;
	if (is_alone)
		w->is_alone = false;
	pthread_cond_broadcast(&w->has_room);
	pthread_mutex_unlock(&w->lock);
}

static int do_work(struct run *r, struct err *e)
{
	switch (r->job.work) {
	case JOB_BACKUP:
		return run_backup(r, e);
	case JOB_VERIFY:
		return run_verify(r, e);
	case JOB_DRILL:
		return run_drill(r, e);
	case JOB_RESTORE:
		return run_restore(r, e);
	case JOB_PRUNE:
		return run_prune(r, e);
	case JOB_DUMP:
		return run_dump(r, e);
	case JOB_MIRROR:
		return run_mirror(r, e);
	default:
		return run_erase(r, e);
	}
}

/* Put down as it is: the process ends, or the lease was lost. */
static void put_down(struct run *r)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	/* Another's by now: fine. The database is away: the lease runs out. */
	if (pg_take(r->app->db, &c, &e) == 0)
		(void)job_put_down(c, &r->job, &e);
	log_info("work is put down, to be taken up again", "work", job_work_name(r->job.work),
	         "instance_id", r->job.instance_id, "step", r->step);
}

/* What is kept for ever is tried for ever. */
static bool is_kept(const struct job *j)
{
	return j->work == JOB_ERASE || j->work == JOB_PRUNE || j->work == JOB_MIRROR;
}

static void end_badly(struct run *r, const struct err *why)
{
	bool is_last = r->job.attempts >= JOB_ATTEMPTS_MAX || !run_may_pass(why);
	enum run_end how = is_last && !is_kept(&r->job) ? RUN_FAILED : RUN_AGAIN;
	struct err e = ERR_INIT;

	log_error(how == RUN_FAILED ? "work failed" : "work failed, trying again", "work",
	          job_work_name(r->job.work), "instance_id", r->job.instance_id, "user_id",
	          r->job.user_id, "backup_id", r->backup_id, "step", r->step, "code",
	          err_name(why->code), "error", why->msg);
	if (how == RUN_FAILED && r->job.work == JOB_RESTORE &&
	    run_restore_failed(r, run_text(why), &e) < 0)
		log_warn("a failed restore could not be written, its lease runs out", "error",
		         e.msg);
	else if (run_end(r, how, run_text(why), &e) < 0)
		log_warn("a failure could not be written, its lease runs out", "error", e.msg);
}

/* What it is about may be what ends the process: as little as can be is done with it. */
static void give_up(struct run *r)
{
	static const char text[] = "It has brought the backup service down each time it was tried.";
	struct err e = ERR_INIT;
	int done;

	r->is_given_up = true;
	log_error("work is given up: it ends the process", "work", job_work_name(r->job.work),
	          "instance_id", r->job.instance_id, "user_id", r->job.user_id, "backup_id",
	          r->backup_id, "step", r->job.step);
	if (r->job.work == JOB_DRILL && trial_clear(r, &e) < 0)
		log_warn("what a trial left is not cleared away", "error", e.msg);
	e = ERR_INIT;
	if (r->job.work == JOB_RESTORE)
		done = run_restore_failed(r, text, &e);
	else
		done = run_end(r, is_kept(&r->job) ? RUN_AGAIN : RUN_FAILED, text, &e);
	if (done < 0)
		log_warn("it is not written that work is given up", "error", e.msg);
}

static int begin_work(struct run *r, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(r->app->db, &c, e) < 0)
		return -1;
	return job_begin(c, &r->job, e);
}

static void work_off(struct app *app, const struct job *j)
{
	struct run r = {
		.app = app, .job = *j, .status = "running", .kind = BACKUP_MANUAL, .trial_ms = -1
	};
	struct err e = ERR_INIT;
	char took[24];
	long long begin_ms = clock_mono_ms();

	log_trace_set(j->trace_id);
	snprintf(r.backup_id, sizeof(r.backup_id), "%s", j->backup_id);
	if (begin_work(&r, &e) < 0) {
		log_warn("work is not begun", "error", e.msg);
		put_down(&r);
	} else if (j->deaths >= JOB_DEATHS_MAX) {
		give_up(&r);
	} else if (do_work(&r, &e) == 0) {
		snprintf(took, sizeof(took), "%lld", clock_mono_ms() - begin_ms);
		log_info("work done", "work", job_work_name(j->work), "instance_id", j->instance_id,
		         "user_id", j->user_id, "backup_id", r.backup_id, "duration_ms", took);
	} else if (r.is_cut) {
		put_down(&r);
	} else {
		end_badly(&r, &e);
	}
	log_trace_set(NULL);
}

/* Its lease is kept until this returns. */
static void work_on(struct work *w, const struct job *j)
{
	bool is_alone = j->deaths > 0;

	if (!enter(w, is_alone))
		return; /* not begun: the process ends, and its leases with it */
	work_off(w->app, j);
	leave(w, is_alone);
}

static void *worker(void *ctx)
{
	struct work *w = ctx;
	bool go_on = true, got = false;
	enum job_lane lane;
	size_t self;

	pthread_mutex_lock(&w->lock);
	self = w->started++;
	pthread_mutex_unlock(&w->lock);
	lane = lane_of(w, self);

	while (go_on) {
		struct err e = ERR_INIT;
		struct job j = { 0 };
		int r = work_go_on(w) ? claim(w, self, &j, &got, &e) : 0;

		if (r < 0)
			log_warn("work waits for the database", "error", e.msg);
		if (r == 0 && got) {
			got = false;
			work_on(w, &j);
			unclaim(w, self);
			go_on = wait_for_work(w, lane, 0);
		} else {
			unclaim(w, self);
			go_on = wait_for_work(w, lane, r < 0 ? AWAY_MS : POLL_MS);
		}
	}
	return NULL;
}

int work_start(struct app *app, struct work **ret, struct err *e)
{
	struct work *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->has_news);
	pthread_cond_init(&w->has_room, NULL);
	w->app = app;
	w->beat_ms = clock_mono_ms();
	*ret = w; /* before the workers ask for it; work_stop() takes a half-started one */
	if (ticker_start(beat, w, JOB_BEAT_MS, &w->keeper, e) < 0)
		return -1;
	for (; w->worker_count < (size_t)app->backups_at_once + 1; w->worker_count++)
		if (pthread_create(&w->workers[w->worker_count], NULL, worker, w) != 0)
			return err_set(e, ERR_INTERNAL, "no thread for backups");
	return 0;
}

void work_wake(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < COUNT(w->is_woken); i++)
		w->is_woken[i] = true;
	pthread_cond_broadcast(&w->has_news);
	pthread_mutex_unlock(&w->lock);
}

void work_stop(struct work *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_stopping = true;
	pthread_cond_broadcast(&w->has_news);
	pthread_cond_broadcast(&w->has_room);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->worker_count; i++)
		pthread_join(w->workers[i], NULL);
	ticker_stop(w->keeper);
	pthread_cond_destroy(&w->has_news);
	pthread_cond_destroy(&w->has_room);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
