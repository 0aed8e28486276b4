/* Setting another password, and showing that one knows it. On the hash pool's threads. */

#include "app.h"
#include "attempt.h"
#include "link.h"
#include "mail/outbox.h"
#include "password.h"
#include "prove.h"
#include "session.h"
#include "user.h"

static const char sql_email[] = "SELECT email FROM users WHERE id = $1 AND status <> 'deleting'";

/* The link came to an address: it is whose it was said to be. */
static const char sql_reset[] = "UPDATE users SET password_hash = $2, updated_at = now(),"
				" email_verified = email_verified OR email = $3"
				" WHERE id = $1 AND status <> 'deleting' RETURNING email";

/* Only while the password is the one that was proven: of two changes at once one is refused. */
static const char sql_change[] = "UPDATE users SET password_hash = $2, updated_at = now()"
				 " WHERE id = $1 AND password_hash = $3 AND status <> 'deleting'"
				 " RETURNING email";

static const char sql_proven[] = "UPDATE sessions SET proven_at = now()"
				 " WHERE id = $1 AND user_id = $2 AND ended_at IS NULL";

/* What goes with a new password: links to set one and other sessions end, the person is told. */
static int settle(struct call *call, struct pg_conn *c, const struct session_ending *end,
                  const char *email, struct err *e)
{
	const struct outbox_mail note = { MAIL_PASSWORD_CHANGED, email, end->user_id, NULL };

	if (link_spend(c, end->user_id, LINK_RESET, e) < 0 ||
	    session_end_all(call->app, c, end, NULL, e) < 0 || attempt_forget(c, email, e) < 0)
		return -1;
	return outbox_add(c, &call->ctx, &note, e);
}

static void wake(struct app *app)
{
	ticker_wake(app->keeper);
	ticker_wake(app->courier);
}

/* Whether the link is good and the password one that may be, before anything is hashed for it. */
static int look(struct call *call, const struct auth_reset_req *in, struct err *e)
{
	struct app *app = call->app;
	struct link link = { .purpose = LINK_NONE };
	const char *user_id = link.user_id;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 ||
	    link_look(c, in->token, 1U << LINK_RESET, &link, e) < 0 ||
	    pg_query(c, sql_email, &user_id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_LINK, "the link was used, or is too old; ask for a new one");
	return password_check(in->password, pg_text(res, 0, "email"), e);
}

int on_reset_password(struct call *call, struct err *e)
{
	const struct auth_reset_req *in = CALL_IN(call, auth_reset_req);
	struct app *app = call->app;
	char hash[PASSWORD_HASH_SIZE];
	struct link link = { .purpose = LINK_NONE };
	const struct session_ending end = { &call->ctx,  link.user_id,        NULL,
		                            END_REVOKED, AUDIT_SESSION_ENDED, NULL };
	const char *params[] = { link.user_id, hash, link.email };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (look(call, in, e) < 0 || password_hash(in->password, hash, e) < 0)
		return -1;
	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    link_look(c, in->token, 1U << LINK_RESET, &link, e) < 0 ||
	    pg_query(c, sql_reset, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_LINK, "the link was used, or is too old; ask for a new one");
	if (settle(call, c, &end, pg_text(res, 0, "email"), e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_PASSWORD_RESET, link.user_id, NULL, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	wake(app);
	return 0;
}

/* The new password is looked at under its own name. */
static int check_new(const char *password, const char *email, struct err *e)
{
	struct err why = ERR_INIT;

	if (password_check(password, email, &why) == 0)
		return 0;
	return err_field(e, "new_password", "%s", why.msg);
}

int on_change_password(struct call *call, struct err *e)
{
	const struct auth_change_password_req *in = CALL_IN(call, auth_change_password_req);
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	const struct proof proof = { NULL, in->password, in->code, AUDIT_PASSWORD_WRONG };
	const struct session_ending end = { ctx,         ctx->user_id,        NULL,
		                            END_REVOKED, AUDIT_SESSION_ENDED, ctx->session_id };
	struct proven who = { .hash = NULL };
	char hash[PASSWORD_HASH_SIZE];
	const char *params[] = { ctx->user_id, hash, NULL };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (user_actor(call, e) < 0 || prove(call, &proof, &who, e) < 0 ||
	    check_new(in->new_password, who.user.email, e) < 0 ||
	    password_hash(in->new_password, hash, e) < 0)
		return -1;
	params[2] = who.hash;
	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    pg_query(c, sql_change, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_CONFLICT, "the password was changed just now");
	if (settle(call, c, &end, pg_text(res, 0, "email"), e) < 0 ||
	    audit_write(c, ctx, AUDIT_PASSWORD_CHANGED, ctx->user_id, ctx->session_id, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	wake(app);
	return 0;
}

int on_reauthenticate(struct call *call, struct err *e)
{
	const struct auth_reauth_req *in = CALL_IN(call, auth_reauth_req);
	struct auth_reauth *out = CALL_OUT(call, auth_reauth);
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	const struct proof proof = { NULL, in->password, in->code, AUDIT_PASSWORD_WRONG };
	struct proven who = { .hash = NULL };
	const char *params[] = { ctx->session_id, ctx->user_id };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (user_actor(call, e) < 0)
		return -1;
	if (!ctx->session_id[0])
		return err_set(e, ERR_FORBIDDEN, "only a signed-in person may do this");
	if (prove(call, &proof, &who, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    pg_begin(c, &tx, e) < 0 || pg_query(c, sql_proven, params, COUNT(params), &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the session has ended");
	if (attempt_passed(c, ctx, who.user.email, e) < 0 ||
	    audit_write(c, ctx, AUDIT_PROVEN, ctx->user_id, ctx->session_id, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	out->expires_in = app->reauth_s;
	return 0;
}
