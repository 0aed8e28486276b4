/* The address: confirmed, asked about, changed. */

#include "app.h"
#include "attempt.h"
#include "email.h"
#include "link.h"
#include "mail/outbox.h"
#include "session.h"
#include "user.h"

#define CHANGES_HOURLY_MAX 5 /* so many strangers may be written to by one account */

static const char sql_verify[] = "UPDATE users SET email_verified = true, updated_at = now()"
				 " WHERE id = $1 AND email = $2 AND status <> 'deleting'";

static const char sql_ask_change[] =
	"INSERT INTO email_changes (user_id, email, expires_at, old_agreed)"
	" SELECT id, $2, now() + make_interval(secs => $3::int), NOT email_verified"
	" FROM users WHERE id = $1 AND status = 'active'"
	" ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, requested_at = now(),"
	"  expires_at = excluded.expires_at, old_agreed = excluded.old_agreed, new_agreed = false"
	" RETURNING old_agreed";

static const char sql_changes_asked[] =
	"SELECT count(*) AS count FROM mail_outbox WHERE user_id = $1 AND kind = $2"
	" AND created_at > now() - interval '1 hour'";

static const char sql_old_agrees[] =
	"UPDATE email_changes c SET old_agreed = true FROM users u WHERE c.user_id = $1"
	" AND u.id = c.user_id AND u.email = $2 AND c.expires_at > now()"
	" RETURNING c.email, u.email AS old_email, c.old_agreed AND c.new_agreed AS is_agreed";

static const char sql_new_agrees[] =
	"UPDATE email_changes c SET new_agreed = true FROM users u WHERE c.user_id = $1"
	" AND u.id = c.user_id AND c.email = $2 AND c.expires_at > now()"
	" RETURNING c.email, u.email AS old_email, c.old_agreed AND c.new_agreed AS is_agreed";

static const char sql_change[] = "UPDATE users SET email = $2, email_verified = true,"
				 " updated_at = now() WHERE id = $1 AND status = 'active'";

static const char sql_change_done[] = "DELETE FROM email_changes WHERE user_id = $1";

int on_verify_email(struct call *call, struct err *e)
{
	const struct auth_link_req *in = CALL_IN(call, auth_link_req);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct link link = { .purpose = LINK_NONE };
	const char *params[] = { link.user_id, link.email };

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    link_look(c, in->token, 1U << LINK_VERIFY, &link, e) < 0 ||
	    pg_query(c, sql_verify, params, COUNT(params), &res, e) < 0)
		return -1;
	/* The address has changed since the mail went out. */
	if (pg_affected(res) == 0)
		return err_set(e, ERR_LINK, "the link was used, or is too old; ask for a new one");
	if (link_spend(c, link.user_id, LINK_VERIFY, e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_EMAIL_VERIFIED, link.user_id, NULL, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

/* The same for any address: who has it, if anybody, is found out when the mail is sent. */
static int ask_for(struct call *call, enum mail_id id, struct err *e)
{
	const struct auth_email_req *in = CALL_IN(call, auth_email_req);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	char email[EMAIL_SIZE];
	const struct outbox_mail mail = { .id = id, .email = email };

	if (email_normal(in->email, email, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    outbox_add(c, &call->ctx, &mail, e) < 0)
		return -1;
	ticker_wake(app->courier);
	return 0;
}

int on_resend_verification(struct call *call, struct err *e)
{
	return ask_for(call, MAIL_VERIFY_EMAIL, e);
}

int on_forgot_password(struct call *call, struct err *e)
{
	return ask_for(call, MAIL_RESET_PASSWORD, e);
}

static int check_changes_asked(struct pg_conn *c, const char *user_id, struct err *e)
{
	const char *params[] = { user_id, mail_rows[MAIL_EMAIL_CHANGE_NEW].name };
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0;

	if (pg_query(c, sql_changes_asked, params, COUNT(params), &res, e) < 0 ||
	    pg_int(res, 0, "count", &count, e) < 0)
		return -1;
	if (count >= CHANGES_HOURLY_MAX)
		return err_busy(e, ERR_LIMIT, 3600, "too many changes of address in an hour");
	return 0;
}

/* A word from the new address, and from the old one where that is known to be the user's: one that
 * was mistyped at sign-up must not be for ever. */
static int ask_both(struct call *call, struct pg_conn *c, const char *old, const char *email,
                    struct err *e)
{
	const char *user_id = call->ctx.user_id;
	char valid_s[12];
	const char *params[] = { user_id, email, valid_s };
	const struct outbox_mail to_new = { MAIL_EMAIL_CHANGE_NEW, email, user_id, NULL };
	const struct outbox_mail to_old = { MAIL_EMAIL_CHANGE_OLD, old, user_id, email };
	OWN(pg_result) PGresult *res = NULL;

	snprintf(valid_s, sizeof(valid_s), "%d", mail_rows[MAIL_EMAIL_CHANGE_NEW].valid_s);
	if (link_spend(c, user_id, LINK_EMAIL_NEW, e) < 0 ||
	    link_spend(c, user_id, LINK_EMAIL_OLD, e) < 0 ||
	    pg_query(c, sql_ask_change, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_CONFLICT, "the account is to be deleted; restore it first");
	if (outbox_add(c, &call->ctx, &to_new, e) < 0)
		return -1;
	return pg_bool(res, 0, "old_agreed") ? 0 : outbox_add(c, &call->ctx, &to_old, e);
}

int on_change_email(struct call *call, struct err *e)
{
	const struct auth_email_req *in = CALL_IN(call, auth_email_req);
	struct auth_email_change *out = CALL_OUT(call, auth_email_change);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct user_view user = { 0 };
	char email[EMAIL_SIZE];

	if (user_actor(call, e) < 0 || email_normal(in->email, email, e) < 0 ||
	    pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    session_is_proven(call, c, e) < 0 ||
	    user_load(c, call->ctx.user_id, &call->arena, &user, e) < 0)
		return -1;
	if (strcmp(user.email, email) == 0)
		return err_field(e, "email", "is the account's address already");
	if (check_changes_asked(c, call->ctx.user_id, e) < 0 ||
	    ask_both(call, c, user.email, email, e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_EMAIL_ASKED, call->ctx.user_id, call->ctx.session_id,
	                e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->courier);
	out->status = "waiting";
	return 0;
}

/* Both have agreed. Links to the address before are worth nothing from now on. */
static int change(struct call *call, struct pg_conn *c, const struct link *link,
                  const PGresult *agreed, struct err *e)
{
	const char *params[] = { link->user_id, pg_text(agreed, 0, "email") };
	const char *old = pg_text(agreed, 0, "old_email");
	const struct outbox_mail note = { MAIL_EMAIL_CHANGED, old, link->user_id, params[1] };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_change, params, COUNT(params), &res, e) < 0)
		return strcmp(pg_constraint(c), "users_email_key") == 0
		               ? err_set(e, ERR_EMAIL_TAKEN,
		                         "there is an account with this e-mail address")
		               : -1;
	if (pg_affected(res) == 0)
		return err_set(e, ERR_LINK, "the link was used, or is too old; ask for a new one");
	for (int purpose = LINK_NONE + 1; purpose < LINK_COUNT; purpose++)
		if (link_spend(c, link->user_id, (enum link_purpose)purpose, e) < 0)
			return -1;
	if (attempt_forget(c, old, e) < 0 || outbox_add(c, &call->ctx, &note, e) < 0 ||
	    pg_query(c, sql_change_done, params, 1, NULL, e) < 0)
		return -1;
	return audit_write(c, &call->ctx, AUDIT_EMAIL_CHANGED, link->user_id, NULL, e);
}

int on_confirm_email(struct call *call, struct err *e)
{
	const struct auth_link_req *in = CALL_IN(call, auth_link_req);
	struct auth_email_change *out = CALL_OUT(call, auth_email_change);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct link link = { .purpose = LINK_NONE };
	const char *params[] = { link.user_id, link.email };
	bool is_new, is_agreed;

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    link_look(c, in->token, 1U << LINK_EMAIL_NEW | 1U << LINK_EMAIL_OLD, &link, e) < 0)
		return -1;
	is_new = link.purpose == LINK_EMAIL_NEW;
	if (pg_query(c, is_new ? sql_new_agrees : sql_old_agrees, params, COUNT(params), &res, e) <
	    0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_LINK, "the link was used, or is too old; ask for a new one");
	is_agreed = pg_bool(res, 0, "is_agreed");
	if (link_spend(c, link.user_id, link.purpose, e) < 0 ||
	    (is_agreed && change(call, c, &link, res, e) < 0) || pg_commit(&tx, e) < 0)
		return -1;
	ticker_wake(app->courier);
	out->status = is_agreed ? "changed" : "waiting";
	return 0;
}
