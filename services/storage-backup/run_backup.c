#include "damage.h"

#include "base/fault.h"
#include "base/log.h"

/* Makes backups. */

/* Its id is the engine's: a try that was killed after the store had it is found there again. */
static int store_it(struct run *r, const char *backup_id, bool is_full, struct err *e)
{
	struct app *app = r->app;
	struct backup_bases bases = { .count = 0 };
	struct engine_totals totals = { 0 };
	struct engine_snapshot_req req = {
		.ref = { r->job.user_id, r->job.instance_id, backup_id },
		.is_full = is_full,
		.watch = run_watch(r),
	};
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(arena) struct arena a;

	arena_init(&a, 4096);
	req.dir = arena_printf(&a, "%s/%s/%s", app->data_dir, r->job.user_id, r->job.instance_id);
	if (!req.dir)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (pg_take(app->db, &c, e) < 0 || backup_started(c, backup_id, e) < 0 ||
	    backup_bases(c, r->job.user_id, r->job.instance_id, &bases, e) < 0)
		return -1;
	pg_give(TAKE(c)); /* what follows takes its time */
	for (size_t i = 0; i < bases.count; i++)
		req.base_ids[i] = bases.ids[i];
	fault_point("backup.begun");
	if (engine_snapshot(app->engine, &req, &totals, e) < 0)
		return -1;
	r->files = totals.files;
	r->bytes = totals.bytes;
	/* A crash here: it is in the store and not in the table; the next try finds it there. */
	fault_point("backup.stored");
	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return backup_stored(c, backup_id, &totals, e);
}

static int read_back(struct run *r, const char *backup_id, struct err *e)
{
	const struct engine_ref ref = { r->job.user_id, r->job.instance_id, backup_id };
	const struct engine_watch watch = run_watch(r);
	struct engine_proof proof = { 0 };

	/* Of a restore's checkpoint the restore's own step is told. */
	if (r->job.work == JOB_BACKUP && run_step(r, "reading", e) < 0)
		return -1;
	if (engine_verify(r->app->engine, &ref, &watch, &proof, e) == 0)
		return 0;
	if (proof.bad_object[0])
		damage_note(r, proof.bad_object);
	return -1;
}

/* What was found damaged on the way is stored anew; what else needs it is good no more. */
static void spread(struct run *r)
{
	struct err e = ERR_INIT;

	if (damage_spread(r, &e) < 0)
		log_warn("which backups need what is damaged is not known", "error", e.msg);
}

/* One that does not verify leans on what is damaged, perhaps for long: it is made anew as a full one, which
 * reads back all that it leans on. A crash in between finds the first, or none: both begin this again. */
int run_snapshot(struct run *r, const char *backup_id, enum backup_kind kind, struct err *e)
{
	for (bool is_full = kind == BACKUP_FULL;; is_full = true) {
		if (store_it(r, backup_id, is_full, e) < 0)
			return -1;
		fault_point("backup.recorded");
		if (read_back(r, backup_id, e) == 0)
			break;
		if (is_full || (e->code != ERR_UPSTREAM && e->code != ERR_NOT_FOUND))
			return -1;
		log_warn("a new backup does not verify, and is made anew", "backup_id", backup_id,
		         "error", e->msg);
		*e = ERR_INIT;
		if (engine_delete(r->app->engine, r->job.user_id, backup_id, e) < 0 ||
		    (r->job.work == JOB_BACKUP && run_step(r, "copying", e) < 0))
			return -1;
	}
	spread(r);
	/* A crash here: it is read back again. */
	fault_point("backup.verified");
	return 0;
}

int run_backup(struct run *r, struct err *e)
{
	struct backup b;

	{
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (pg_take(r->app->db, &c, e) < 0 ||
		    backup_load(c, r->job.user_id, r->job.backup_id, &b, e) < 0)
			return -1;
	}
	r->kind = b.kind;
	if (run_step(r, "copying", e) < 0 || run_snapshot(r, b.id, b.kind, e) < 0)
		return -1;
	return run_end(r, RUN_DONE, NULL, e);
}
