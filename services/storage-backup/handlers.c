#include "app.h"

#include "allowance.h"
#include "backup.h"
#include "job.h"
#include "target.h"
#include "tell.h"
#include "work.h"

#include "base/fault.h"
#include "base/log.h"
#include "store/params.h"

#define LIST_DEFAULT 50

static int need_user(const struct call *c, struct err *e)
{
	return c->ctx.user_id[0] ? 0 : err_set(e, ERR_UNAUTHENTICATED, "sign in first");
}

int on_backup_list(struct call *c, struct err *e)
{
	const struct backup_list_req *in = CALL_IN(c, backup_list_req);
	struct app *app = c->app;
	struct backup_page page = { .user_id = c->ctx.user_id,
		                    .instance_id = in->instance_id,
		                    .limit = in->has_limit ? in->limit : LIST_DEFAULT };
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct cursor after;

	if (need_user(c, e) < 0 || (in->cursor && cursor_parse(in->cursor, &after, e) < 0) ||
	    target_check(app, &c->ctx, in->instance_id, false, e) < 0)
		return -1;
	page.after = in->cursor ? &after : NULL;
	if (pg_take(app->db, &db, e) < 0)
		return -1;
	return backup_list_load(db, &page, &c->arena, CALL_OUT(c, backup_list), e);
}

int on_backup_get(struct call *c, struct err *e)
{
	const struct backup_ref *in = CALL_IN(c, backup_ref);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (need_user(c, e) < 0 || pg_take(app->db, &db, e) < 0)
		return -1;
	return backup_view_load(db, c->ctx.user_id, in->backup_id, &c->arena,
	                        CALL_OUT(c, backup_view), e);
}

/* Asks for work on a backup, with its event, in one transaction of the caller's. */
static int ask(struct pg_conn *db, struct job *j, const struct tell *t, struct err *e)
{
	return job_add(db, j, JOB_PERSON, NULL, e) < 0 || tell_status(db, t, e) < 0 ? -1 : 0;
}

static void about(struct job *j, const struct call *c, const char *instance_id)
{
	snprintf(j->user_id, UUID_SIZE, "%s", c->ctx.user_id);
	snprintf(j->instance_id, UUID_SIZE, "%s", instance_id);
	snprintf(j->trace_id, sizeof(j->trace_id), "%s", c->ctx.trace_id);
}

/* One that waits already is the one that was asked for. */
static int waiting(struct pg_conn *db, const struct call *c, const char *instance_id,
                   char ret_id[UUID_SIZE], struct err *e)
{
	static const char sql[] = "SELECT id FROM backups WHERE instance_id = $1 AND user_id = $2"
				  " AND status IN ('pending', 'running') AND kind = 'manual'"
				  " ORDER BY created_at LIMIT 1";
	OWN(pg_result) PGresult *res = NULL;

	ret_id[0] = '\0';
	if (pg_query(db, sql, (const char *[]){ instance_id, c->ctx.user_id }, 2, &res, e) < 0)
		return -1;
	if (PQntuples(res) > 0)
		snprintf(ret_id, UUID_SIZE, "%s", pg_text(res, 0, "id"));
	return 0;
}

int on_backup_create(struct call *c, struct err *e)
{
	const struct backup_create_req *in = CALL_IN(c, backup_create_req);
	struct app *app = c->app;
	struct job j = { .work = JOB_BACKUP };
	struct tell t = { .job = &j, .kind = BACKUP_MANUAL, .status = "pending" };
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	const struct tier *tier;

	if (need_user(c, e) < 0 || target_check(app, &c->ctx, in->instance_id, true, e) < 0)
		return -1;
	tier = allowance_of(app, &c->ctx);
	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    waiting(db, c, in->instance_id, j.backup_id, e) < 0)
		return -1;
	if (!j.backup_id[0]) {
		if (allowance_check(db, c->ctx.user_id, tier, e) < 0)
			return -1;
		about(&j, c, in->instance_id);
		t.backup_id = j.backup_id;
		if (backup_insert(db, j.user_id, j.instance_id, BACKUP_MANUAL, j.backup_id, e) <
		            0 ||
		    ask(db, &j, &t, e) < 0)
			return -1;
	}
	if (backup_view_load(db, c->ctx.user_id, j.backup_id, &c->arena, CALL_OUT(c, backup_view),
	                     e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	fault_point("create.wanted");
	app_wake(app);
	return 0;
}

int on_backup_verify(struct call *c, struct err *e)
{
	const struct backup_ref *in = CALL_IN(c, backup_ref);
	struct app *app = c->app;
	struct job j = { .work = JOB_VERIFY };
	struct tell t = { .job = &j, .backup_id = in->backup_id };
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct backup b;

	if (need_user(c, e) < 0 || pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    backup_load(db, c->ctx.user_id, in->backup_id, &b, e) < 0)
		return -1;
	if (!b.is_stored)
		return err_set(e, ERR_CONFLICT, "this backup is %s: there is nothing to verify",
		               b.status);
	about(&j, c, b.instance_id);
	snprintf(j.backup_id, UUID_SIZE, "%s", b.id);
	t.kind = b.kind;
	t.status = b.status;
	if (ask(db, &j, &t, e) < 0 ||
	    backup_view_load(db, c->ctx.user_id, b.id, &c->arena, CALL_OUT(c, backup_view), e) <
	            0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	app_wake(app);
	return 0;
}

/* instance-manager, before something that cannot be undone: asks again until it is done. */
int on_checkpoint(struct call *c, struct err *e)
{
	static const char sql[] =
		"SELECT id, status, error FROM backups WHERE instance_id = $1 AND user_id = $2"
		" AND created_at >= $3::timestamptz ORDER BY created_at DESC LIMIT 1";
	const struct checkpoint_req *in = CALL_IN(c, checkpoint_req);
	struct checkpoint_state *out = CALL_OUT(c, checkpoint_state);
	struct app *app = c->app;
	struct job j = { .work = JOB_BACKUP };
	struct tell t = { .job = &j, .kind = BACKUP_CHECKPOINT, .status = "pending" };
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    pg_query(db, sql, (const char *[]){ in->instance_id, in->user_id, in->since }, 3, &res,
	             e) < 0)
		return -1;
	if (PQntuples(res) > 0) {
		const char *error = pg_text(res, 0, "error");

		out->backup_id = arena_strdup(&c->arena, pg_text(res, 0, "id"));
		out->status = arena_strdup(&c->arena, pg_text(res, 0, "status"));
		out->error = error ? arena_strdup(&c->arena, error) : NULL;
		return out->backup_id && out->status ? 0
		                                     : err_set(e, ERR_INTERNAL, "out of memory");
	}
	about(&j, c, in->instance_id);
	snprintf(j.user_id, UUID_SIZE, "%s", in->user_id);
	t.backup_id = j.backup_id;
	/* Once: one that is being deleted is not made live with each question. */
	if (target_learn(db, app, in->instance_id, in->user_id, e) < 0 ||
	    backup_insert(db, j.user_id, j.instance_id, BACKUP_CHECKPOINT, j.backup_id, e) < 0 ||
	    ask(db, &j, &t, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	app_wake(app);
	out->backup_id = arena_strdup(&c->arena, j.backup_id);
	out->status = "pending";
	return out->backup_id ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* The end of an account: asked again until nothing remains. */
int on_backup_purge_user(struct call *c, struct err *e)
{
	static const char sql_left[] =
		"SELECT (SELECT count(*) FROM backups WHERE user_id = $1)"
		" + (SELECT count(*) FROM backup_targets WHERE user_id = $1)"
		" + (SELECT count(*) FROM backup_users WHERE user_id = $1)"
		" + (SELECT count(*) FROM backup_jobs WHERE user_id = $1)"
		" + (SELECT count(*) FROM mirrors WHERE user_id = $1)"
		" + (SELECT count(*) FROM erased_users WHERE user_id = $1 AND stored_at IS NULL)"
		" AS n";
	static const char sql_mark[] =
		"INSERT INTO erased_users (user_id) VALUES ($1) ON CONFLICT DO NOTHING";
	static const char sql_drop[] =
		"DELETE FROM backup_jobs WHERE user_id = $1 AND work <> 'erase'"
		" AND lease_owner IS NULL";
	const struct user_ref *in = CALL_IN(c, user_ref);
	struct purge_state *out = CALL_OUT(c, purge_state);
	struct app *app = c->app;
	struct job j = { .work = JOB_ERASE };
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;
	const char *user_id = in->user_id;

	if (pg_take(app->db, &db, e) < 0 || pg_query(db, sql_mark, &user_id, 1, NULL, e) < 0 ||
	    pg_query(db, sql_left, &user_id, 1, &res, e) < 0 ||
	    pg_int(res, 0, "n", &out->remaining, e) < 0)
		return -1;
	if (out->remaining == 0)
		return 0;
	snprintf(j.user_id, UUID_SIZE, "%s", user_id);
	snprintf(j.trace_id, sizeof(j.trace_id), "%s", c->ctx.trace_id);
	if (pg_query(db, sql_drop, &user_id, 1, NULL, e) < 0 ||
	    job_add(db, &j, JOB_PERSON, NULL, e) < 0)
		return -1;
	fault_point("erase.wanted");
	app_wake(app);
	return 0;
}
