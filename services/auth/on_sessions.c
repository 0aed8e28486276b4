/* One's own sign-ins: seen and ended. */

#include "app.h"
#include "session.h"
#include "user.h"

#define TIME(column) "to_char(" column ", 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS " column

static const char sql_list[] =
	"SELECT id, host(address) AS address, user_agent, " TIME("created_at") ", " TIME(
		"last_used_at") ", " TIME("expires_at") " FROM sessions WHERE user_id = $1"
							" AND ended_at IS NULL AND expires_at > "
							"now()"
							" ORDER BY last_used_at DESC, id LIMIT 100";

static const char sql_is_mine[] =
	"SELECT 1 FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL FOR UPDATE";

static const char *copy(const PGresult *res, int row, const char *column, struct arena *a,
                        bool *is_full)
{
	const char *text = pg_text(res, row, column);
	const char *kept = text ? arena_strdup(a, text) : NULL;

	*is_full |= text && !kept;
	return kept;
}

int on_auth_session_list(struct call *call, struct err *e)
{
	struct auth_session_list *out = CALL_OUT(call, auth_session_list);
	struct app *app = call->app;
	const char *user_id = call->ctx.user_id;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	bool is_full = false;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    pg_query(c, sql_list, &user_id, 1, &res, e) < 0)
		return -1;
	out->items_count = (size_t)PQntuples(res);
	out->items = arena_alloc(&call->arena, (out->items_count + 1) * sizeof(*out->items));
	for (size_t i = 0; out->items && i < out->items_count; i++) {
		struct auth_session_view *s = &out->items[i];
		int row = (int)i;

		s->id = copy(res, row, "id", &call->arena, &is_full);
		s->address = copy(res, row, "address", &call->arena, &is_full);
		s->device = copy(res, row, "user_agent", &call->arena, &is_full);
		s->created_at = copy(res, row, "created_at", &call->arena, &is_full);
		s->last_used_at = copy(res, row, "last_used_at", &call->arena, &is_full);
		s->expires_at = copy(res, row, "expires_at", &call->arena, &is_full);
		s->current = s->id && strcmp(s->id, call->ctx.session_id) == 0;
	}
	return out->items && !is_full ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_session_end(struct call *call, struct err *e)
{
	const struct auth_session_ref *in = CALL_IN(call, auth_session_ref);
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	const struct session_ending what = { ctx,         ctx->user_id,        in->session_id,
		                             END_REVOKED, AUDIT_SESSION_ENDED, NULL };
	const char *params[] = { in->session_id, ctx->user_id };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql_is_mine, params, COUNT(params), &res, e) < 0)
		return -1;
	/* Before anything is marked: nobody ends another's session for even a moment. */
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no session '%s'", in->session_id);
	if (session_end(app, c, &what, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->keeper);
	return 0;
}

int on_session_end_others(struct call *call, struct err *e)
{
	struct auth_sessions_ended *out = CALL_OUT(call, auth_sessions_ended);
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	const struct session_ending what = { ctx,         ctx->user_id,        NULL,
		                             END_REVOKED, AUDIT_SESSION_ENDED, ctx->session_id };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    session_end_all(app, c, &what, &out->ended, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->keeper);
	return 0;
}
