#include "prove.h"

#include "attempt.h"
#include "factor.h"
#include "password.h"
#include "user.h"

static const char sql_by_email[] =
	"SELECT " USER_COLUMNS
	", password_hash FROM users WHERE email = $1 AND status <> 'deleting'";

static const char sql_by_id[] =
	"SELECT " USER_COLUMNS ", password_hash FROM users WHERE id = $1 AND status <> 'deleting'";

/* ret->hash is NULL where there is no such account. The connection goes back before anything is
 * hashed. */
static int find(struct call *call, const struct proof *p, struct proven *ret, struct err *e)
{
	struct app *app = call->app;
	const char *param = p->email ? p->email : call->ctx.user_id;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 ||
	    pg_query(c, p->email ? sql_by_email : sql_by_id, &param, 1, &res, e) < 0)
		return -1;
	ret->hash = NULL;
	if (PQntuples(res) == 0 && !p->email)
		return err_set(e, ERR_UNAUTHENTICATED, "the account is not there any more");
	if (PQntuples(res) > 0) {
		ret->hash = arena_strdup(&call->arena, pg_text(res, 0, "password_hash"));
		if (!ret->hash)
			return err_set(e, ERR_INTERNAL, "out of memory");
		if (user_from_row(res, 0, &call->arena, &ret->user, e) < 0)
			return -1;
	}
	return attempt_check(c, &call->ctx, p->email ? p->email : ret->user.email, e);
}

/* The same steps, and so the same time, whether the address is known or not. */
static int refuse(struct call *call, const struct proof *p, const struct proven *who, struct err *e)
{
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(app->db, &c, e) < 0 ||
	    audit_write(c, ctx, p->wrong, who->hash ? who->user.id : NULL,
	                ctx->session_id[0] ? ctx->session_id : NULL, e) < 0 ||
	    attempt_failed(c, ctx, p->email ? p->email : who->user.email, e) < 0)
		return -1;
	return err_set(e, ERR_CREDENTIALS,
	               p->email ? "e-mail address or password is wrong" : "the password is wrong");
}

/* The password was right. */
static int check_code(struct call *call, const struct proof *p, const struct proven *who,
                      struct err *e)
{
	struct app *app = call->app;
	OWN(pg_conn) struct pg_conn *c = NULL;
	bool is_on = false;

	if (pg_take(app->db, &c, e) < 0 || factor_is_on(c, who->user.id, &is_on, e) < 0)
		return -1;
	if (!is_on)
		return 0;
	if (!p->code)
		return err_set(e, ERR_SECOND_FACTOR, "a code of the second factor is needed");
	return factor_take(call, c, who->user.id, p->code, false, e);
}

int prove(struct call *call, const struct proof *p, struct proven *ret, struct err *e)
{
	if (find(call, p, ret, e) < 0)
		return -1;
	if (!password_fits(p->password, ret->hash))
		return refuse(call, p, ret, e);
	return check_code(call, p, ret, e);
}
