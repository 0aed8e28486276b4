#include "user.h"

static const char sql_load[] =
	"SELECT " USER_COLUMNS " FROM users WHERE id = $1 AND status <> 'deleting'";

/* false: out of memory. SQL NULL stays NULL. */
static bool copy(const PGresult *res, int row, const char *column, struct arena *a,
                 const char **ret)
{
	const char *text = pg_text(res, row, column);

	*ret = text ? arena_strdup(a, text) : NULL;
	return !text || *ret;
}

int user_from_row(const PGresult *res, int row, struct arena *a, struct user_view *ret,
                  struct err *e)
{
	if (!copy(res, row, "id", a, &ret->id) || !copy(res, row, "email", a, &ret->email) ||
	    !copy(res, row, "name", a, &ret->name) ||
	    !copy(res, row, "subscription_tier", a, &ret->subscription_tier) ||
	    !copy(res, row, "created_at", a, &ret->created_at) ||
	    !copy(res, row, "updated_at", a, &ret->updated_at) ||
	    !copy(res, row, "deletes_at", a, &ret->deletes_at))
		return err_set(e, ERR_INTERNAL, "out of memory");
	ret->email_verified = pg_bool(res, row, "email_verified");
	return 0;
}

int user_load(struct pg_conn *c, const char *user_id, struct arena *a, struct user_view *ret,
              struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql_load, &user_id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the account is not there any more");
	return user_from_row(res, 0, a, ret, e);
}

int user_actor(const struct call *c, struct err *e)
{
	return c->ctx.user_id[0] ? 0 : err_set(e, ERR_UNAUTHENTICATED, "sign in first");
}
