#include "damage.h"
#include "trial.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"

/* Proves backups: read back, or restored aside and started from. */

/* The damage is written down, and a full backup is due at once: it checks all that it relies on. */
static int damaged(struct run *r, const struct engine_proof *proof, const struct err *why,
                   struct err *e)
{
	static const char sql[] =
		"UPDATE backup_targets SET next_full_at = least(next_full_at, now())"
		" WHERE instance_id = $1 AND user_id = $2 AND is_live";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	log_error("a backup is damaged", "backup_id", r->backup_id, "instance_id",
	          r->job.instance_id, "object", proof->bad_object, "error", why->msg);
	if (pg_take(r->app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    backup_damaged(c, r->backup_id, run_text(why), e) < 0 ||
	    pg_query(c, sql, (const char *[]){ r->job.instance_id, r->job.user_id }, 2, NULL, e) <
	            0)
		return -1;
	return pg_commit(&tx, e);
}

/* A drill reads what files need, in their order; which object is at fault a reading of all says. */
static void find_object(struct run *r, struct engine_proof *proof)
{
	const struct engine_ref ref = { r->job.user_id, NULL, r->job.backup_id };
	const struct engine_watch watch = run_watch(r);
	struct err ignored = ERR_INIT;

	if (!proof->bad_object[0])
		(void)engine_verify(r->app->engine, &ref, &watch, proof, &ignored);
}

static int not_proven(struct run *r, struct engine_proof *proof, const struct err *why,
                      struct err *e)
{
	*e = *why;
	if (why->code != ERR_UPSTREAM && why->code != ERR_NOT_FOUND) {
		r->is_sound = true; /* as far as is known */
		return -1;
	}
	find_object(r, proof);
	if (proof->bad_object[0])
		damage_note(r, proof->bad_object);
	if (damaged(r, proof, why, e) < 0 || damage_spread(r, e) < 0)
		return -1;
	*e = *why;
	return -1;
}

int run_verify(struct run *r, struct err *e)
{
	const struct engine_ref ref = { r->job.user_id, NULL, r->job.backup_id };
	const struct engine_watch watch = run_watch(r);
	struct engine_proof proof = { 0 };
	struct err why = ERR_INIT;
	int done;

	if (run_step(r, "reading", e) < 0)
		return -1;
	done = engine_verify(r->app->engine, &ref, &watch, &proof, &why);
	fault_point("verify.proven");
	if (done < 0)
		return not_proven(r, &proof, &why, e);
	r->files = proof.files;
	r->bytes = proof.bytes;
	{
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (pg_take(r->app->db, &c, e) < 0 || backup_verified(c, r->backup_id, e) < 0)
			return -1;
	}
	return run_end(r, RUN_DONE, NULL, e);
}

/* Restored and compared: into the trial's place where the assistant is to be started from it. */
static int restored(struct run *r, bool is_tried, struct err *e)
{
	const struct engine_ref ref = { r->job.user_id, NULL, r->job.backup_id };
	const struct engine_watch watch = run_watch(r);
	struct engine_proof proof = { 0 };
	struct err why = ERR_INIT;
	char path[TRIAL_PATH_SIZE];
	int done;

	trial_path(r, path);
	done = engine_drill(r->app->engine, &ref, is_tried ? path : NULL, &watch, &proof, &why);
	/* A crash here: the job is taken up again, and restores anew. */
	fault_point("drill.proven");
	r->files = proof.files;
	r->bytes = proof.bytes;
	return done < 0 ? not_proven(r, &proof, &why, e) : 0;
}

/* Proven, and started from, as far as there was an assistant to start. */
static int record(struct run *r, const struct trial_result *t, struct err *e)
{
	const struct backup_trial trial = { .ms = t->ms, .error = t->error[0] ? t->error : NULL };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_take(r->app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    (t->is_tried && backup_tried(c, r->backup_id, &trial, e) < 0) ||
	    (!t->error[0] && backup_proven(c, r->backup_id, e) < 0))
		return -1;
	return pg_commit(&tx, e);
}

/* Not the files' fault as far as anyone can tell: they are what was backed up, bit by bit. */
static int not_started(struct run *r, const struct trial_result *t, struct err *e)
{
	log_error("an assistant does not start from its backup", "backup_id", r->backup_id,
	          "instance_id", r->job.instance_id, "error", t->error);
	r->is_sound = true;
	return err_set(e, ERR_CONFLICT, "The assistant does not start from it: %s", t->error);
}

/* The trial's end comes first, then what is written of it: a crash between the two tries it again. */
static int proven(struct run *r, bool is_tried, struct trial_result *ret, struct err *e)
{
	struct err left = ERR_INIT;
	int done = restored(r, is_tried, e);

	if (!is_tried)
		return done;
	if (done == 0)
		done = run_step(r, "starting", e);
	if (done == 0)
		done = trial_run(r, ret, e);
	if (trial_clear(r, &left) < 0) {
		log_warn("what a trial left is not cleared away yet", "error", left.msg);
		if (done == 0)
			*e = left;
		return -1;
	}
	return done;
}

int run_drill(struct run *r, struct err *e)
{
	const bool is_tried = r->app->drill_start && r->job.instance_id[0];
	struct trial_result t = { .is_tried = false };

	/* Of a process that died in the middle of it. */
	if (is_tried && r->job.step[0] && trial_clear(r, e) < 0)
		return -1;
	if (run_step(r, "restoring", e) < 0 || proven(r, is_tried, &t, e) < 0)
		return -1;
	fault_point("drill.cleared");
	if (record(r, &t, e) < 0)
		return -1;
	if (t.is_tried) {
		metric_add(t.error[0] ? METRIC_TRIALS_FAILED : METRIC_TRIALS_STARTED, 1);
		metric_set(METRIC_TRIAL_SECONDS, t.ms / 1000);
	}
	if (t.error[0])
		return not_started(r, &t, e);
	r->trial_ms = t.is_tried ? t.ms : -1;
	return run_end(r, RUN_DONE, NULL, e);
}
