#include "app.h"

#include "backup.h"
#include "job.h"
#include "path_text.h"
#include "restore_ask.h"
#include "tell.h"

#include "base/log.h"

/* What the operator asks through zakictl. Only its own user of the bus may (deploy/nats). */

#define LIST_DEFAULT 50

int on_admin_list(struct call *c, struct err *e)
{
	const struct backup_admin_list_req *in = CALL_IN(c, backup_admin_list_req);
	struct app *app = c->app;
	struct backup_page page = { .instance_id = in->instance_id,
		                    .limit = in->has_limit ? in->limit : LIST_DEFAULT };
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct cursor after;

	if (in->cursor && cursor_parse(in->cursor, &after, e) < 0)
		return -1;
	page.after = in->cursor ? &after : NULL;
	if (pg_take(app->db, &db, e) < 0)
		return -1;
	return backup_list_load(db, &page, &c->arena, CALL_OUT(c, backup_list), e);
}

/* Whose assistant it is that is backed up. */
static int target_load(struct pg_conn *db, const char *instance_id, struct job *j, struct err *e)
{
	static const char sql[] = "SELECT user_id FROM backup_targets WHERE instance_id = $1";
	OWN(pg_result) PGresult *res = NULL;

	if (!instance_id)
		return err_field(e, "instance_id", "is needed for this");
	if (pg_query(db, sql, &instance_id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no assistant '%s' is backed up", instance_id);
	snprintf(j->instance_id, UUID_SIZE, "%s", instance_id);
	snprintf(j->user_id, UUID_SIZE, "%s", pg_text(res, 0, "user_id"));
	return 0;
}

static int of_backup(struct pg_conn *db, const char *backup_id, const char *status, struct job *j,
                     struct err *e)
{
	struct backup b;

	if (!backup_id)
		return err_field(e, "backup_id", "is needed for this");
	if (backup_load(db, NULL, backup_id, &b, e) < 0)
		return -1;
	if (status ? strcmp(b.status, status) != 0 : !b.is_stored)
		return err_set(e, ERR_CONFLICT, "this backup is %s", b.status);
	snprintf(j->backup_id, UUID_SIZE, "%s", b.id);
	snprintf(j->instance_id, UUID_SIZE, "%s", b.instance_id);
	snprintf(j->user_id, UUID_SIZE, "%s", b.user_id);
	return 0;
}

static int ask_for(struct pg_conn *db, const struct backup_admin_req *in, struct job *j,
                   struct err *e)
{
	const char *action = in->action;

	if (strcmp(action, "create") == 0) {
		j->work = JOB_BACKUP;
		if (target_load(db, in->instance_id, j, e) < 0 ||
		    backup_insert(db, j->user_id, j->instance_id, BACKUP_MANUAL, j->backup_id, e) <
		            0)
			return -1;
	} else if (strcmp(action, "restore") == 0) {
		j->work = JOB_RESTORE;
		if ((in->path && path_check(in->path, "path", e) < 0) ||
		    of_backup(db, in->backup_id, "done", j, e) < 0)
			return -1;
		return restore_ask(db, j, in->path, e);
	} else if (strcmp(action, "dump") == 0) {
		j->work = JOB_DUMP;
		snprintf(j->user_id, UUID_SIZE, "%s", JOB_PLATFORM);
	} else if (strcmp(action, "prune") == 0) {
		j->work = JOB_PRUNE;
		if (!in->user_id)
			return err_field(e, "user_id", "is needed for this");
		snprintf(j->user_id, UUID_SIZE, "%s", in->user_id);
	} else {
		j->work = strcmp(action, "drill") == 0 ? JOB_DRILL : JOB_VERIFY;
		if (of_backup(db, in->backup_id, NULL, j, e) < 0)
			return -1;
	}
	return job_add(db, j, JOB_PERSON, NULL, e);
}

int on_admin_do(struct call *c, struct err *e)
{
	const struct backup_admin_req *in = CALL_IN(c, backup_admin_req);
	struct backup_admin_job *out = CALL_OUT(c, backup_admin_job);
	struct app *app = c->app;
	struct job j = { .work = JOB_BACKUP };
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	snprintf(j.trace_id, sizeof(j.trace_id), "%s", c->ctx.trace_id);
	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    ask_for(db, in, &j, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	log_info("the operator asked", "action", in->action, "instance_id", j.instance_id,
	         "user_id", j.user_id, "backup_id", j.backup_id, "job_id", j.id);
	app_wake(app);
	out->job_id = arena_strdup(&c->arena, j.id);
	out->backup_id = j.backup_id[0] ? arena_strdup(&c->arena, j.backup_id) : NULL;
	return out->job_id ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_admin_job(struct call *c, struct err *e)
{
	static const char sql[] =
		"SELECT j.work, j.status, j.step, j.percent, j.error,"
		" CASE WHEN j.work = 'drill' AND b.trial_at >= j.created_at THEN b.trial_ms END"
		"  AS trial_ms"
		" FROM backup_jobs j LEFT JOIN backups b ON b.id = j.backup_id WHERE j.id = $1";
	const struct backup_job_ref *in = CALL_IN(c, backup_job_ref);
	struct backup_job *out = CALL_OUT(c, backup_job);
	struct app *app = c->app;
	const char *id = in->job_id, *step, *error;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &db, e) < 0 || pg_query(db, sql, &id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no job '%s'", id);
	step = pg_text(res, 0, "step");
	error = pg_text(res, 0, "error");
	out->job_id = in->job_id;
	out->work = arena_strdup(&c->arena, pg_text(res, 0, "work"));
	out->status = arena_strdup(&c->arena, pg_text(res, 0, "status"));
	out->step = step ? arena_strdup(&c->arena, step) : NULL;
	out->error = error ? arena_strdup(&c->arena, error) : NULL;
	if (!out->work || !out->status || (step && !out->step) || (error && !out->error))
		return err_set(e, ERR_INTERNAL, "out of memory");
	out->has_trial_ms = pg_text(res, 0, "trial_ms") != NULL;
	if (out->has_trial_ms && pg_int(res, 0, "trial_ms", &out->trial_ms, e) < 0)
		return -1;
	return pg_int(res, 0, "percent", &out->percent, e);
}

int on_admin_usage(struct call *c, struct err *e)
{
	const struct user_ref *in = CALL_IN(c, user_ref);
	struct backup_usage_view *out = CALL_OUT(c, backup_usage_view);
	struct app *app = c->app;
	struct engine_usage usage = { 0 };

	if (engine_usage(app->engine, in->user_id, &usage, e) < 0)
		return -1;
	out->user_id = in->user_id;
	out->backups = usage.backups;
	out->objects = usage.objects;
	out->bytes = usage.bytes;
	return 0;
}
