/* Register and login: the handlers that hash, on the hash pool's threads. */

#include "app.h"
#include "attempt.h"
#include "audit.h"
#include "email.h"
#include "factor.h"
#include "mail/outbox.h"
#include "password.h"
#include "prove.h"
#include "session.h"
#include "user.h"

#include "base/fault.h"
#include "svc/replies.h"

static const char sql_is_taken[] = "SELECT 1 FROM users WHERE email = $1";

static const char sql_insert[] = "INSERT INTO users (email, password_hash, name) VALUES ($1, $2, "
				 "$3) RETURNING " USER_COLUMNS;

static int taken(struct err *e)
{
	return err_set(e, ERR_EMAIL_TAKEN, "there is an account with this e-mail address");
}

static int user_slot(struct call *c, struct auth_tokens *out, struct err *e)
{
	out->user = arena_alloc(&c->arena, sizeof(*out->user));
	return out->user ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* The account that this very request has made already, under the same Idempotency-Key, before its
 * process died; "" where there is none. The key and the body, password and all, are the proof. */
static int made_before(const struct call *call, struct pg_conn *c, char ret[UUID_SIZE],
                       struct err *e)
{
	char owner[REPLIES_OWNER_SIZE];
	const struct once_ask ask = replies_ask(ONCE_AUTH, call, owner);

	ret[0] = '\0';
	return call->ctx.idempotency_key[0] ? once_made(c, &ask, ret, e) : 0;
}

/* Spares the hash where it would be for nothing; the unique constraint decides in the end. */
static int check_free(struct app *app, const char *email, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_is_taken, &email, 1, &res, e) < 0)
		return -1;
	return PQntuples(res) > 0 ? taken(e) : 0;
}

/* The answer that was lost: the account, with a session of its own. *ret_done: there is one. */
static int go_on(struct call *call, struct auth_tokens *out, bool *ret_done, struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	char user_id[UUID_SIZE];
	bool is_guarded = false;

	*ret_done = false;
	if (pg_take(app->db, &c, e) < 0 || made_before(call, c, user_id, e) < 0)
		return -1;
	if (!user_id[0])
		return 0;
	/* Somebody has gone on with it by other ways: this one is not around a second factor. */
	if (factor_is_on(c, user_id, &is_guarded, e) < 0)
		return -1;
	if (is_guarded)
		return taken(e);
	if (pg_begin(c, &tx, e) < 0 || user_load(c, user_id, &call->arena, out->user, e) < 0 ||
	    session_open(call, c, user_id, out, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	*ret_done = true;
	return 0;
}

/* The account and its first session, both or neither. */
static int create(struct call *call, const char *const params[3], struct auth_tokens *out,
                  struct err *e)
{
	struct app *app = call->app;
	const struct outbox_mail mail = { .id = MAIL_VERIFY_EMAIL, .email = params[0] };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	char owner[REPLIES_OWNER_SIZE];
	const struct once_ask ask = replies_ask(ONCE_AUTH, call, owner);

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0)
		return -1;
	if (pg_query(c, sql_insert, params, 3, &res, e) < 0)
		return strcmp(pg_constraint(c), "users_email_key") == 0 ? taken(e) : -1;
	if (user_from_row(res, 0, &call->arena, out->user, e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_REGISTERED, out->user->id, NULL, e) < 0 ||
	    outbox_add(c, &call->ctx, &mail, e) < 0 ||
	    (ask.key[0] && once_note(c, &ask, out->user->id, e) < 0) ||
	    session_open(call, c, out->user->id, out, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	/* A crash here: the claim knows the account, and the same request goes on from it (go_on()). */
	fault_point("register.created");
	ticker_wake(app->courier);
	return 0;
}

int on_register(struct call *c, struct err *e)
{
	const struct auth_register_req *in = CALL_IN(c, auth_register_req);
	struct auth_tokens *out = CALL_OUT(c, auth_tokens);
	char email[EMAIL_SIZE], hash[PASSWORD_HASH_SIZE];
	const char *params[] = { email, hash, in->name };
	bool is_done = false;

	if (email_normal(in->email, email, e) < 0 || password_check(in->password, email, e) < 0 ||
	    user_slot(c, out, e) < 0 || go_on(c, out, &is_done, e) < 0)
		return -1;
	if (is_done)
		return 0;
	if (check_free(c->app, email, e) < 0 || password_hash(in->password, hash, e) < 0)
		return -1;
	return create(c, params, out, e);
}

int on_login(struct call *call, struct err *e)
{
	const struct auth_login_req *in = CALL_IN(call, auth_login_req);
	struct auth_tokens *out = CALL_OUT(call, auth_tokens);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	char email[EMAIL_SIZE];
	const struct proof proof = { email, in->password, in->code, AUDIT_SIGN_IN_FAILED };
	struct proven who = { .hash = NULL };

	if (user_slot(call, out, e) < 0 || email_normal(in->email, email, e) < 0 ||
	    prove(call, &proof, &who, e) < 0)
		return -1;
	*out->user = who.user;
	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    session_open(call, c, who.user.id, out, e) < 0 ||
	    attempt_passed(c, &call->ctx, email, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}
