/* Register and login: the handlers that hash, on the hash pool's threads. */

#include "app.h"
#include "audit.h"
#include "password.h"
#include "session.h"
#include "user.h"

static const char sql_is_taken[] = "SELECT 1 FROM users WHERE email = $1";

static const char sql_insert[] = "INSERT INTO users (email, password_hash, name) VALUES ($1, $2, "
				 "$3) RETURNING " USER_COLUMNS;

static const char sql_find[] =
	"SELECT " USER_COLUMNS ", password_hash FROM users WHERE email = $1 AND status = 'active'";

static int taken(struct err *e)
{
	return err_set(e, ERR_EMAIL_TAKEN, "there is an account with this e-mail address");
}

static int user_slot(struct call *c, struct auth_tokens *out, struct err *e)
{
	out->user = arena_alloc(&c->arena, sizeof(*out->user));
	return out->user ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
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

/* The account and its first session, both or neither. */
static int create(struct call *call, const char *const params[3], struct auth_tokens *out,
                  struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0)
		return -1;
	if (pg_query(c, sql_insert, params, 3, &res, e) < 0)
		return strcmp(pg_constraint(c), "users_email_key") == 0 ? taken(e) : -1;
	if (user_from_row(res, 0, &call->arena, out->user, e) < 0 ||
	    audit_write(c, &call->ctx, AUDIT_REGISTERED, out->user->id, NULL, e) < 0 ||
	    session_open(call, c, out->user->id, out, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

int on_register(struct call *c, struct err *e)
{
	const struct auth_register_req *in = CALL_IN(c, auth_register_req);
	struct auth_tokens *out = CALL_OUT(c, auth_tokens);
	char email[EMAIL_SIZE], hash[PASSWORD_HASH_SIZE];
	const char *params[] = { email, hash, in->name };

	email_fold(in->email, email);
	if (password_check(in->password, email, e) < 0 || user_slot(c, out, e) < 0 ||
	    check_free(c->app, email, e) < 0 || password_hash(in->password, hash, e) < 0)
		return -1;
	return create(c, params, out, e);
}

/* *ret_hash: of the account, NULL where there is none that may sign in. The connection goes back
 * before anything is hashed. */
static int find(struct call *call, const char *email, struct user_view *ret, const char **ret_hash,
                struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	const char *hash;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_find, &email, 1, &res, e) < 0)
		return -1;
	*ret_hash = NULL;
	if (PQntuples(res) == 0)
		return 0;
	if (user_from_row(res, 0, &call->arena, ret, e) < 0)
		return -1;
	hash = arena_strdup(&call->arena, pg_text(res, 0, "password_hash"));
	if (!hash)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret_hash = hash;
	return 0;
}

int on_login(struct call *call, struct err *e)
{
	const struct auth_login_req *in = CALL_IN(call, auth_login_req);
	struct auth_tokens *out = CALL_OUT(call, auth_tokens);
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	char email[EMAIL_SIZE];
	const char *hash = NULL;
	bool fits;

	email_fold(in->email, email);
	if (user_slot(call, out, e) < 0 || find(call, email, out->user, &hash, e) < 0)
		return -1;
	fits = password_fits(in->password, hash);

	/* The same steps, and so the same time, whether the address is known or not. */
	if (pg_take(app->db, &c, e) < 0)
		return -1;
	if (!fits) {
		if (audit_write(c, &call->ctx, AUDIT_SIGN_IN_FAILED, hash ? out->user->id : NULL,
		                NULL, e) < 0)
			return -1;
		return err_set(e, ERR_CREDENTIALS, "e-mail address or password is wrong");
	}
	if (pg_begin(c, &tx, e) < 0 || session_open(call, c, out->user->id, out, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}
