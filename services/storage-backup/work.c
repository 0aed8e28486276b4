#include "work.h"

#include "run.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

#define WORKERS_MAX 64
#define POLL_MS     1000
#define AWAY_MS     2000
#define SAFE_MS \
	((JOB_LEASE_S - 8) * 1000LL) /* since the last beat: past it the lease may be gone */

/* lock guards all below it but what is set once at the start. */
struct work {
	pthread_mutex_t lock;
	pthread_cond_t has_news;
	bool is_stopping, is_woken;
	long long beat_ms; /* monotonic; when leases were last renewed, or there was none yet */
	unsigned long long claims;

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

static void beat(void *ctx)
{
	struct work *w = ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	long long begin_ms = clock_mono_ms();

	if (pg_take(w->app->db, &c, &e) < 0 || job_beat(c, bus_instance_id(w->app->bus), &e) < 0 ||
	    job_void_dead(c, &e) < 0) {
		log_warn("leases are not renewed", "error", e.msg);
		return;
	}
	pthread_mutex_lock(&w->lock);
	w->beat_ms = begin_ms;
	pthread_mutex_unlock(&w->lock);
}

/* False: it is to end. */
static bool wait_for_work(struct work *w, long long ms)
{
	long long until_ns = clock_mono_ns() + ms * 1000000;
	struct timespec until = { .tv_sec = until_ns / 1000000000,
		                  .tv_nsec = until_ns % 1000000000 };
	bool go_on;

	pthread_mutex_lock(&w->lock);
	while (!w->is_woken && !w->is_stopping)
		if (pthread_cond_timedwait(&w->has_news, &w->lock, &until) != 0)
			break;
	w->is_woken = false;
	go_on = !w->is_stopping;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

static int claim(struct work *w, struct job *ret, bool *ret_got, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	char owner[JOB_OWNER_SIZE];

	pthread_mutex_lock(&w->lock);
	snprintf(owner, sizeof(owner), "%s.%llu", bus_instance_id(w->app->bus), ++w->claims);
	pthread_mutex_unlock(&w->lock);
	if (pg_take(w->app->db, &c, e) < 0)
		return -1;
	return job_claim(c, owner, ret, ret_got, e);
}

static int do_work(struct run *r, struct err *e)
{
	switch (r->job.work) {
	case JOB_BACKUP:
		return run_backup(r, e);
	case JOB_VERIFY:
	case JOB_DRILL:
		return run_proof(r, e);
	case JOB_RESTORE:
		return run_restore(r, e);
	case JOB_PRUNE:
		return run_prune(r, e);
	case JOB_DUMP:
		return run_dump(r, e);
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

static void end_badly(struct run *r, const struct err *why)
{
	bool is_last = r->job.attempts >= JOB_ATTEMPTS_MAX || !run_may_pass(why);
	/* What is kept for ever is tried for ever. */
	bool is_kept = r->job.work == JOB_ERASE || r->job.work == JOB_PRUNE;
	enum run_end how = is_last && !is_kept ? RUN_FAILED : RUN_AGAIN;
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

static void work_off(struct app *app, const struct job *j)
{
	struct run r = { .app = app, .job = *j, .status = "running", .kind = BACKUP_MANUAL };
	struct err e = ERR_INIT;
	char took[24];
	long long begin_ms = clock_mono_ms();

	log_trace_set(j->trace_id);
	snprintf(r.backup_id, sizeof(r.backup_id), "%s", j->backup_id);
	if (do_work(&r, &e) == 0) {
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

static void *worker(void *ctx)
{
	struct work *w = ctx;
	bool go_on = true, got = false;

	while (go_on) {
		struct err e = ERR_INIT;
		struct job j;
		int r = work_go_on(w) ? claim(w, &j, &got, &e) : 0;

		if (r < 0)
			log_warn("work waits for the database", "error", e.msg);
		if (r == 0 && got) {
			got = false;
			work_off(w->app, &j);
			go_on = wait_for_work(w, 0);
		} else {
			go_on = wait_for_work(w, r < 0 ? AWAY_MS : POLL_MS);
		}
	}
	return NULL;
}

int work_start(struct app *app, struct work **ret, struct err *e)
{
	struct work *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->has_news, &attr);
	pthread_condattr_destroy(&attr);
	w->app = app;
	w->beat_ms = clock_mono_ms();
	*ret = w; /* before the workers ask for it; work_stop() takes a half-started one */
	if (ticker_start(beat, w, JOB_BEAT_MS, &w->keeper, e) < 0)
		return -1;
	for (; w->worker_count < (size_t)app->backups_at_once; w->worker_count++)
		if (pthread_create(&w->workers[w->worker_count], NULL, worker, w) != 0)
			return err_set(e, ERR_INTERNAL, "no thread for backups");
	return 0;
}

void work_wake(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	w->is_woken = true;
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
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->worker_count; i++)
		pthread_join(w->workers[i], NULL);
	ticker_stop(w->keeper);
	pthread_cond_destroy(&w->has_news);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
