#include "app.h"

#include "backup.h"
#include "job.h"
#include "path_text.h"
#include "restore_ask.h"
#include "target.h"
#include "tell.h"

#include "base/fault.h"

/* clang-format off */
#define MS(column) "floor(extract(epoch FROM " column ") * 1000)::bigint"
/* clang-format on */

static int view_load(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                     struct restore_view *v, struct err *e)
{
	static const char sql[] =
		"SELECT id, backup_id, instance_id, path, status, step, percent, files, bytes,"
		" error, checkpoint_id, " MS("created_at") " AS created_ms, " MS(
			"finished_at") " AS finished_ms FROM restores WHERE id = $1 AND user_id = "
				       "$2";
	const struct {
		const char *column;
		const char **to;
	} texts[] = { { "id", &v->id },       { "backup_id", &v->backup_id },
		      { "path", &v->path },   { "instance_id", &v->instance_id },
		      { "step", &v->step },   { "status", &v->status },
		      { "error", &v->error }, { "checkpoint_id", &v->checkpoint_id } };
	OWN(pg_result) PGresult *res = NULL;
	char when[CLOCK_TEXT_SIZE];
	long long created_ms, finished_ms;

	if (pg_query(c, sql, (const char *[]){ id, user_id }, 2, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no restore '%s'", id);
	for (size_t i = 0; i < COUNT(texts); i++) {
		const char *text = pg_text(res, 0, texts[i].column);

		*texts[i].to = text ? arena_strdup(a, text) : NULL;
		if (text && !*texts[i].to)
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	if (pg_int(res, 0, "percent", &v->percent, e) < 0 ||
	    pg_int(res, 0, "files", &v->files, e) < 0 ||
	    pg_int(res, 0, "bytes", &v->bytes, e) < 0 ||
	    pg_int(res, 0, "created_ms", &created_ms, e) < 0)
		return -1;
	v->created_at = arena_strdup(a, clock_text(created_ms, when));
	if (pg_text(res, 0, "finished_ms")) {
		if (pg_int(res, 0, "finished_ms", &finished_ms, e) < 0)
			return -1;
		v->finished_at = arena_strdup(a, clock_text(finished_ms, when));
	}
	return v->created_at ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_restore_get(struct call *c, struct err *e)
{
	const struct restore_ref *in = CALL_IN(c, restore_ref);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (pg_take(app->db, &db, e) < 0)
		return -1;
	return view_load(db, c->ctx.user_id, in->restore_id, &c->arena, CALL_OUT(c, restore_view),
	                 e);
}

int restore_ask(struct pg_conn *db, struct job *j, const char *path, struct err *e)
{
	static const char sql[] = "INSERT INTO restores (id, backup_id, instance_id, user_id, path)"
				  " VALUES ($1, $2, $3, $4, $5)";
	struct tell t = { .job = j,
		          .backup_id = j->backup_id,
		          .restore_id = j->id,
		          .kind = BACKUP_MANUAL,
		          .status = "pending" };
	struct backup b;

	uuid_make(j->id);
	if (backup_load(db, j->user_id, j->backup_id, &b, e) < 0)
		return -1;
	t.kind = b.kind;
	if (pg_query(db, sql,
	             (const char *[]){ j->id, j->backup_id, j->instance_id, j->user_id, path }, 5,
	             NULL, e) < 0 ||
	    job_add(db, j, JOB_PERSON, NULL, e) < 0)
		return -1;
	return tell_status(db, &t, e);
}

/* One restore of an assistant at a time: a second would undo the first. */
static int none_under_way(struct pg_conn *db, const char *instance_id, struct err *e)
{
	static const char sql[] = "SELECT 1 FROM restores WHERE instance_id = $1"
				  " AND finished_at IS NULL";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(db, sql, &instance_id, 1, &res, e) < 0)
		return -1;
	return PQntuples(res) == 0
	               ? 0
	               : err_set(e, ERR_CONFLICT, "this assistant is being restored already");
}

int on_restore(struct call *c, struct err *e)
{
	const struct restore_req *in = CALL_IN(c, restore_req);
	struct app *app = c->app;
	struct job j = { .work = JOB_RESTORE };
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct backup b;
	const char *into;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if ((in->path && path_check(in->path, "path", e) < 0) || pg_take(app->db, &db, e) < 0 ||
	    backup_load(db, c->ctx.user_id, in->backup_id, &b, e) < 0)
		return -1;
	if (strcmp(b.status, "done") != 0)
		return err_set(e, ERR_CONFLICT, "this backup is %s and cannot be restored",
		               b.status);
	pg_give(TAKE(db));
	into = in->to_instance ? in->to_instance : b.instance_id;
	if (target_check(app, &c->ctx, into, true, e) < 0)
		return -1;

	snprintf(j.user_id, UUID_SIZE, "%s", c->ctx.user_id);
	snprintf(j.instance_id, UUID_SIZE, "%s", into);
	snprintf(j.backup_id, UUID_SIZE, "%s", b.id);
	snprintf(j.trace_id, sizeof(j.trace_id), "%s", c->ctx.trace_id);
	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    none_under_way(db, into, e) < 0 || restore_ask(db, &j, in->path, e) < 0 ||
	    view_load(db, c->ctx.user_id, j.id, &c->arena, CALL_OUT(c, restore_view), e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	fault_point("restore.wanted");
	app_wake(app);
	return 0;
}
