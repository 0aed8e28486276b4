#include "run.h"

#include "damage.h"
#include "hold.h"
#include "mirror_row.h"
#include "work.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/params.h"

#define TELL_MS 1000 /* between events of progress */

bool run_go_on(struct run *r)
{
	if (!r->is_cut && !work_go_on(r->app->work))
		r->is_cut = true;
	if (!r->is_cut && r->hold_id[0] && !hold_keep(r))
		r->is_cut = true;
	return !r->is_cut;
}

/* A mirror is the operator's: people hear of what is kept for them. */
static bool is_told(const struct job *j)
{
	return j->instance_id[0] && j->work != JOB_MIRROR;
}

static int progress_write(struct run *r, const struct tell *t, struct err *e)
{
	/* Once it is stored its figures are known; so are a restore's once it is fetched. */
	static const char sql_backup[] = "UPDATE backups SET percent = $2, files = CASE WHEN "
					 "is_stored THEN files ELSE $3 END,"
					 " bytes = CASE WHEN is_stored THEN bytes ELSE $4 END"
					 " WHERE id = $1 AND status = 'running'";
	static const char sql_restore[] =
		"UPDATE restores SET percent = $2,"
		" files = CASE WHEN step IN ('fetching', 'swapping') THEN $3 ELSE files END,"
		" bytes = CASE WHEN step IN ('fetching', 'swapping') THEN $4 ELSE bytes END"
		" WHERE id = $1 AND status = 'running'";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct params p = { 0 };

	params_text(&p, r->restore_id ? r->restore_id : r->backup_id);
	params_int(&p, t->percent);
	params_int(&p, t->files);
	params_int(&p, t->bytes);
	if (pg_take(r->app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    job_step(c, &r->job, r->step, (int)t->percent, e) < 0)
		return -1;
	if (r->restore_id ? pg_query(c, sql_restore, p.values, p.count, NULL, e) < 0
	                  : r->job.work == JOB_BACKUP &&
	                            pg_query(c, sql_backup, p.values, p.count, NULL, e) < 0)
		return -1;
	if (is_told(&r->job) && tell_status(c, t, e) < 0)
		return -1;
	if (pg_commit(&tx, e) < 0)
		return -1;
	outbox_wake(r->app->outbox);
	return 0;
}

static bool on_progress(void *ctx, const struct engine_progress *p)
{
	struct run *r = ctx;
	const long long now_ms = clock_mono_ms();
	struct err e = ERR_INIT;
	struct tell t = { .job = &r->job,
		          .backup_id = r->backup_id,
		          .restore_id = r->restore_id,
		          .kind = r->kind,
		          .status = r->status,
		          .step = r->step,
		          .percent = p->percent < 100 ? p->percent : 99,
		          .files = p->files_done ? p->files_done : r->files,
		          .bytes = p->bytes_done,
		          .trial_ms = -1 };

	if (!run_go_on(r))
		return false;
	if (now_ms - r->told_ms < TELL_MS || p->percent == r->told_percent)
		return true;
	r->told_ms = now_ms;
	r->told_percent = p->percent;
	if (progress_write(r, &t, &e) < 0) {
		/* The database may be back in time: the lease says when it is too late. */
		if (e.code == ERR_CONFLICT)
			r->is_cut = true;
		else
			log_warn("progress is not written", "error", e.msg);
	}
	return !r->is_cut;
}

static void on_note(void *ctx, enum engine_note_kind kind, const char *path)
{
	struct run *r = ctx;

	/* People's file names are theirs: they are not logged. */
	if (kind == ENGINE_NOTE_BAD_OBJECT)
		damage_note(r, path);
	if (kind == ENGINE_NOTE_PLAIN_DB || kind == ENGINE_NOTE_NO_BASE)
		log_warn(kind == ENGINE_NOTE_PLAIN_DB
		                 ? "a database was kept byte by byte, SQLite would not copy it"
		                 : "an earlier backup could not be leaned on",
		         "instance_id", r->job.instance_id, "backup_id", r->backup_id);
}

struct engine_watch run_watch(struct run *r)
{
	return (struct engine_watch){ on_progress, on_note, r };
}

int run_step(struct run *r, const char *step, struct err *e)
{
	struct tell t = { .job = &r->job,
		          .backup_id = r->backup_id,
		          .restore_id = r->restore_id,
		          .kind = r->kind,
		          .status = r->status,
		          .step = step,
		          .trial_ms = -1 };

	if (!run_go_on(r))
		return err_set(e, ERR_CONFLICT, "the work was taken away");
	snprintf(r->step, sizeof(r->step), "%s", step);
	r->told_percent = 0;
	r->told_ms = 0;
	return progress_write(r, &t, e);
}

bool run_may_pass(const struct err *e)
{
	return e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT || e->code == ERR_QUOTA ||
	       e->code == ERR_LIMIT;
}

const char *run_text(const struct err *e)
{
	switch (e->code) {
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
		return "The store or another part of the platform did not answer.";
	case ERR_QUOTA:
		return "The store or a disk is full.";
	case ERR_FORBIDDEN:
		return "The store refuses the platform, or its key is not the one it was sealed "
		       "with.";
	case ERR_UPSTREAM:
		return "What lies in the store is damaged.";
	case ERR_NOT_FOUND:
		return "It is not there any more.";
	case ERR_TOO_LARGE:
		return "It is too large.";
	case ERR_INVALID:
		return "This cannot be done with this path.";
	case ERR_CONFLICT:
		return e->msg;
	default:
		return "Something of the platform failed.";
	}
}

/* Nobody waits a week for the next one. */
static int drill_soon(struct pg_conn *c, const struct run *r, struct err *e)
{
	static const char sql[] =
		"UPDATE backup_targets SET next_drill_at = least(next_drill_at,"
		" now() + interval '6 hours') WHERE instance_id = $1 AND user_id = $2";

	return pg_query(c, sql, (const char *[]){ r->job.instance_id, r->job.user_id }, 2, NULL, e);
}

int run_end(struct run *r, enum run_end how, const char *text, struct err *e)
{
	struct tell t = { .job = &r->job,
		          .backup_id = r->backup_id,
		          .restore_id = r->restore_id,
		          .kind = r->kind,
		          .status = how == RUN_DONE     ? "done"
		                    : how == RUN_FAILED ? "failed"
		                                        : "pending",
		          .percent = how == RUN_DONE ? 100 : 0,
		          .files = how == RUN_DONE ? r->files : 0,
		          .bytes = how == RUN_DONE ? r->bytes : 0,
		          .trial_ms = r->trial_ms,
		          .error = how == RUN_DONE ? NULL : text };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	long long delay_s =
		r->is_given_up ? JOB_REST_S : 15LL << (r->job.attempts < 6 ? r->job.attempts : 6);

	if (pg_take(r->app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0)
		return -1;
	if (r->job.work == JOB_BACKUP &&
	    (how == RUN_DONE ? backup_done(c, r->backup_id, r->app->retention_days, e) < 0
	                     : backup_failed(c, r->backup_id, text, how == RUN_AGAIN, e) < 0))
		return -1;
	if ((r->job.work == JOB_VERIFY || r->job.work == JOB_DRILL) && how == RUN_FAILED &&
	    !r->is_given_up && !r->is_sound)
		t.status = "damaged";
	if (how == RUN_DONE     ? job_done(c, &r->job, e) < 0
	    : how == RUN_FAILED ? job_failed(c, &r->job, text, e) < 0
	                        : job_again(c, &r->job, text, delay_s, e) < 0)
		return -1;
	if (r->job.work == JOB_DRILL && how == RUN_FAILED && drill_soon(c, r, e) < 0)
		return -1;
	if (r->is_given_up && is_told(&r->job) &&
	    tell_alert(c, r->job.instance_id, "failed", text, e) < 0)
		return -1;
	if (is_told(&r->job) && tell_status(c, &t, e) < 0)
		return -1;
	if (pg_commit(&tx, e) < 0)
		return -1;
	outbox_wake(r->app->outbox);
	if (r->job.work == JOB_BACKUP && how == RUN_DONE)
		mirror_soon(r->app, c, &r->job);
	return 0;
}
