/* The second factor: set up, renewed, taken away. */

#include "app.h"
#include "factor.h"
#include "mail/outbox.h"
#include "session.h"
#include "user.h"

static const char sql_left[] = "SELECT count(*) AS count FROM recovery_codes WHERE user_id = $1";

int on_factor_get(struct call *call, struct err *e)
{
	struct auth_second_factor *out = CALL_OUT(call, auth_second_factor);
	struct app *app = call->app;
	const char *user_id = call->ctx.user_id;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    factor_is_on(c, user_id, &out->enabled, e) < 0 ||
	    pg_query(c, sql_left, &user_id, 1, &res, e) < 0)
		return -1;
	return pg_int(res, 0, "count", &out->recovery_codes_left, e);
}

int on_factor_enroll(struct call *call, struct err *e)
{
	struct auth_totp_secret *out = CALL_OUT(call, auth_totp_secret);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct user_view user = { 0 };

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    session_is_proven(call, c, e) < 0 ||
	    user_load(c, call->ctx.user_id, &call->arena, &user, e) < 0)
		return -1;
	return factor_begin(call, c, user.email, out, e);
}

/* What each change ends with: a line in the audit log, and a mail. */
static int note(struct call *call, struct pg_conn *c, enum audit_action audit, enum mail_id id,
                struct err *e)
{
	struct user_view user = { 0 };
	struct outbox_mail mail = { .id = id, .user_id = call->ctx.user_id };

	if (user_load(c, call->ctx.user_id, &call->arena, &user, e) < 0)
		return -1;
	mail.email = user.email;
	if (outbox_add(c, &call->ctx, &mail, e) < 0)
		return -1;
	return audit_write(c, &call->ctx, audit, call->ctx.user_id, call->ctx.session_id, e);
}

/* The code is taken, and with it the factor is on, before the recovery codes are made: where it ends
 * between the two, new ones can be had. */
int on_factor_confirm(struct call *call, struct err *e)
{
	const struct auth_code_req *in = CALL_IN(call, auth_code_req);
	struct auth_recovery_codes *out = CALL_OUT(call, auth_recovery_codes);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    session_is_proven(call, c, e) < 0 ||
	    factor_take(call, c, call->ctx.user_id, in->code, true, e) < 0 ||
	    pg_begin(c, &tx, e) < 0 || factor_recovery(call, c, out, e) < 0 ||
	    note(call, c, AUDIT_FACTOR_ON, MAIL_FACTOR_ON, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->courier);
	return 0;
}

int on_factor_recovery(struct call *call, struct err *e)
{
	struct auth_recovery_codes *out = CALL_OUT(call, auth_recovery_codes);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	bool is_on = false;

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    session_is_proven(call, c, e) < 0 || factor_is_on(c, call->ctx.user_id, &is_on, e) < 0)
		return -1;
	if (!is_on)
		return err_set(e, ERR_CONFLICT, "there is no second factor");
	if (factor_recovery(call, c, out, e) < 0 ||
	    note(call, c, AUDIT_RECOVERY_MADE, MAIL_RECOVERY_MADE, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->courier);
	return 0;
}

int on_factor_disable(struct call *call, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    session_is_proven(call, c, e) < 0 || factor_end(c, call->ctx.user_id, e) < 0 ||
	    note(call, c, AUDIT_FACTOR_OFF, MAIL_FACTOR_OFF, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->courier);
	return 0;
}
