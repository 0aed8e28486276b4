/* The account itself: users/me, and what other services may know of it. */

#include "app.h"
#include "audit.h"
#include "deletion.h"
#include "user.h"

static const char sql_update[] =
	"UPDATE users SET name = $2, updated_at = now() WHERE id = $1 AND status = 'active'"
	" RETURNING " USER_COLUMNS;

static const char sql_tier[] =
	"SELECT subscription_tier, status = 'leaving' AS is_leaving FROM users"
	" WHERE id = $1 AND status <> 'deleting'";

int on_user_get(struct call *call, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0)
		return -1;
	return user_load(c, call->ctx.user_id, &call->arena, CALL_OUT(call, user_view), e);
}

static int update(struct call *call, struct pg_conn *c, const char *name, struct user_view *out,
                  struct err *e)
{
	const char *params[] = { call->ctx.user_id, name };
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql_update, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return user_load(c, call->ctx.user_id, &call->arena, out, e) < 0
		               ? -1
		               : err_set(e, ERR_CONFLICT,
		                         "the account is to be deleted; restore it first");
	if (user_from_row(res, 0, &call->arena, out, e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_USER_UPDATED, call->ctx.user_id, call->ctx.session_id,
	                e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

int on_user_update(struct call *call, struct err *e)
{
	const struct user_update_req *in = CALL_IN(call, user_update_req);
	struct user_view *out = CALL_OUT(call, user_view);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0)
		return -1;
	if (!in->name)
		return user_load(c, call->ctx.user_id, &call->arena, out, e);
	return update(call, c, in->name, out, e);
}

int on_user_delete(struct call *call, struct err *e)
{
	struct user_deletion *out = CALL_OUT(call, user_deletion);

	if (user_actor(call, e) < 0 || deletion_begin(call, &out->deletes_at, e) < 0)
		return -1;
	out->id = call->ctx.user_id;
	out->status = out->deletes_at ? "leaving" : "deleting";
	return 0;
}

int on_user_restore(struct call *call, struct err *e)
{
	if (user_actor(call, e) < 0)
		return -1;
	return deletion_undo(call, CALL_OUT(call, user_view), e);
}

int on_user_tier(struct call *call, struct err *e)
{
	const struct user_ref *in = CALL_IN(call, user_ref);
	struct user_tier_view *out = CALL_OUT(call, user_tier_view);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_tier, &in->user_id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such user");
	if (pg_bool(res, 0, "is_leaving"))
		return err_set(e, ERR_CONFLICT, "the account is to be deleted; restore it first");
	out->subscription_tier = arena_strdup(&call->arena, pg_text(res, 0, "subscription_tier"));
	return out->subscription_tier ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
