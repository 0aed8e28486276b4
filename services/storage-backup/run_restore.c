#include "run.h"

#include "hold.h"

#include "base/fault.h"
#include "base/log.h"
#include "store/params.h"

#include <errno.h>

/*
 * A restore: fetched beside while the assistant runs; then the assistant is held, a checkpoint made
 * of what it has now, the two are swapped by one rename, and the assistant is let go. Each step
 * is repeated after a crash; before the swap the old state is there, after it the new one.
 */
struct restore {
	char path[ENGINE_PATH_MAX + 1]; /* "": all */
	char step[32];
	char from_instance[UUID_SIZE];
	bool has_totals; /* else an earlier try has written them down */
	struct engine_totals totals;
};

static int load(struct run *r, struct restore *ret, struct err *e)
{
	static const char sql[] = "SELECT path, step FROM restores WHERE id = $1 AND user_id = $2";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct backup b;

	if (pg_take(r->app->db, &c, e) < 0 ||
	    pg_query(c, sql, (const char *[]){ r->job.id, r->job.user_id }, 2, &res, e) < 0 ||
	    backup_load(c, r->job.user_id, r->job.backup_id, &b, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no restore '%s'", r->job.id);
	*ret = (struct restore){ .path = "" };
	if (pg_text(res, 0, "path"))
		snprintf(ret->path, sizeof(ret->path), "%s", pg_text(res, 0, "path"));
	snprintf(ret->step, sizeof(ret->step), "%s", pg_text(res, 0, "step"));
	snprintf(ret->from_instance, UUID_SIZE, "%s", b.instance_id);
	r->kind = b.kind;
	return 0;
}

static int step(struct run *r, const char *name, struct err *e)
{
	static const char sql[] =
		"UPDATE restores SET step = $2, status = 'running', error = NULL WHERE id = $1";
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(r->app->db, &c, e) < 0 ||
	    pg_query(c, sql, (const char *[]){ r->job.id, name }, 2, NULL, e) < 0)
		return -1;
	pg_give(TAKE(c));
	return run_step(r, name, e);
}

/* What the assistant has now, as a backup of its own. A new one each time: where the hold ran out
 * under a process that died, it has gone on writing since the one before. */
static int checkpoint(struct run *r, struct err *e)
{
	static const char sql[] = "UPDATE restores SET checkpoint_id = coalesce(checkpoint_id, $2)"
				  " WHERE id = $1";
	char id[UUID_SIZE];
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct err ignored = ERR_INIT;

	if (pg_take(r->app->db, &c, e) < 0 ||
	    backup_insert(c, r->job.user_id, r->job.instance_id, BACKUP_CHECKPOINT, id, e) < 0)
		return -1;
	pg_give(TAKE(c));
	if (run_snapshot(r, id, BACKUP_CHECKPOINT, e) < 0) {
		if (pg_take(r->app->db, &c, &ignored) == 0)
			(void)backup_failed(c, id, run_text(e), false, &ignored);
		return -1;
	}
	if (pg_take(r->app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    backup_done(c, id, r->app->retention_days, e) < 0 ||
	    pg_query(c, sql, (const char *[]){ r->job.id, id }, 2, NULL, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

static struct engine_restore_req request(struct run *r, const struct restore *it)
{
	return (struct engine_restore_req){
		.ref = { r->job.user_id, it->from_instance, r->job.backup_id },
		.data_dir = r->app->data_dir,
		.instance_id = r->job.instance_id,
		.restore_id = r->job.id,
		.watch = run_watch(r),
	};
}

/* What is put in, of a restore of all. */
static int fetch(struct run *r, struct restore *it, struct err *e)
{
	const struct engine_restore_req req = request(r, it);

	if (step(r, "fetching", e) < 0 ||
	    engine_restore_fetch(r->app->engine, &req, &it->totals, e) < 0)
		return -1;
	it->has_totals = true;
	fault_point("restore.fetched");
	return 0;
}

static int put_in(struct run *r, struct restore *it, struct err *e)
{
	const struct engine_restore_req req = request(r, it);
	bool is_new = false;

	if (step(r, "swapping", e) < 0)
		return -1;
	fault_point("restore.swapping");
	if (it->path[0] ? engine_restore_path(r->app->engine, &req, it->path, &it->totals, e) < 0
	                : engine_restore_swap(r->app->engine, &req, &is_new, e) < 0)
		return -1;
	it->has_totals |= it->path[0] != '\0';
	/* A crash here: the new state is there; it is found so and not swapped back. */
	fault_point("restore.swapped");
	return 0;
}

static int finish(struct run *r, const struct restore *it, struct err *e)
{
	static const char sql[] =
		"UPDATE restores SET status = 'done', step = 'done', percent = 100,"
		" finished_at = now(), files = coalesce($2, files), bytes = coalesce($3, bytes)"
		" WHERE id = $1 RETURNING files, bytes";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, r->job.id);
	if (it->has_totals) {
		params_int(&p, it->totals.files);
		params_int(&p, it->totals.bytes);
	} else {
		params_text(&p, NULL);
		params_text(&p, NULL);
	}
	if (pg_take(r->app->db, &c, e) < 0 || pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	pg_give(TAKE(c));
	if (PQntuples(res) > 0 && (pg_int(res, 0, "files", &r->files, e) < 0 ||
	                           pg_int(res, 0, "bytes", &r->bytes, e) < 0))
		return -1;
	return run_end(r, RUN_DONE, NULL, e);
}

static bool has_files(const struct run *r)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s/%s", r->app->data_dir, r->job.user_id,
	         r->job.instance_id);
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Held from here on; the caller lets go. */
static int held(struct run *r, struct restore *it, struct err *e)
{
	if (step(r, "stopping", e) < 0 || hold_begin(r, e) < 0)
		return -1;
	fault_point("restore.held");
	/* After the loss of a machine there is nothing of it here yet. */
	if (step(r, "checkpoint", e) < 0 || (has_files(r) && checkpoint(r, e) < 0))
		return -1;
	fault_point("restore.checkpoint");
	return put_in(r, it, e);
}

int run_restore(struct run *r, struct err *e)
{
	struct restore it = { .path = "" };
	struct engine_restore_req req;
	struct err ignored = ERR_INIT;

	r->restore_id = r->job.id;
	if (load(r, &it, e) < 0)
		return -1;
	req = request(r, &it);
	/* Past the fetching, what was fetched is there, beside or swapped in already. */
	if (!it.path[0] && (strcmp(it.step, "waiting") == 0 || strcmp(it.step, "fetching") == 0) &&
	    fetch(r, &it, e) < 0)
		return -1;
	if (strcmp(it.step, "starting") != 0 && held(r, &it, e) < 0) {
		if (!r->is_cut && hold_end(r, &ignored) < 0)
			log_warn("the hold is not given back, it runs out", "error", ignored.msg);
		return -1;
	}
	if (step(r, "starting", e) < 0)
		return -1;
	snprintf(r->hold_id, sizeof(r->hold_id), "%s", r->job.id); /* of an earlier try, perhaps */
	if (hold_end(r, e) < 0)
		return -1;
	fault_point("restore.released");
	if (!it.path[0] && engine_restore_clean(r->app->engine, &req, e) < 0)
		return -1;
	fault_point("restore.cleaned");
	return finish(r, &it, e);
}

int run_restore_failed(struct run *r, const char *text, struct err *e)
{
	static const char sql[] = "UPDATE restores SET status = 'failed', error = $2,"
				  " finished_at = now() WHERE id = $1";
	struct restore it = { .path = "" };
	struct err why = ERR_INIT;

	r->restore_id = r->job.id;
	if (r->is_given_up) { /* of the try whose process died */
		snprintf(r->hold_id, sizeof(r->hold_id), "%s", r->job.id);
		if (hold_end(r, &why) < 0)
			log_warn("the hold is not given back, it runs out", "error", why.msg);
	}
	/* Even this may be what ends the process: it is tried once. */
	if (r->job.deaths <= JOB_DEATHS_MAX && load(r, &it, &why) == 0 && !it.path[0]) {
		struct engine_restore_req req = request(r, &it);

		if (engine_restore_clean(r->app->engine, &req, &why) < 0)
			log_warn("what was fetched for a restore is left", "error", why.msg);
	}
	{
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (pg_take(r->app->db, &c, e) < 0 ||
		    pg_query(c, sql, (const char *[]){ r->job.id, text }, 2, NULL, e) < 0)
			return -1;
	}
	return run_end(r, RUN_FAILED, text, e);
}
