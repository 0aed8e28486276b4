/* What a person may take along: the leave to export, and the mails that were sent to them. */

#include "app.h"
#include "audit.h"
#include "base/tier.h"
#include "session.h"
#include "store/cursor.h"
#include "user.h"

#define PAGE         50 /* mails, unless the request says */
#define TIME(column) "to_char(" column ", 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS " column

/* With the user's row locked, two that ask come one after the other. */
static const char sql_tier[] = "SELECT subscription_tier FROM users WHERE id = $1"
			       " AND status <> 'deleting' FOR NO KEY UPDATE";

static const char sql_lately[] =
	"SELECT count(*) AS count, coalesce(ceil(extract(epoch FROM min(at) + interval '1 day'"
	" - now())), 0)::bigint AS wait_s FROM audit_log WHERE user_id = $1"
	" AND action = 'account_exported' AND at > now() - interval '1 day'";

static const char sql_mails[] = "SELECT id, kind, email, state, " TIME("created_at") ", " TIME(
	"ended_at") ", (extract(epoch FROM created_at) * 1000000)::bigint AS created_us"
		    " FROM mail_outbox WHERE user_id = $1 AND ($2::bigint IS NULL OR"
		    "  (created_at, id) < (timestamptz 'epoch'"
		    "   + $2::bigint * interval '1 microsecond', $3::uuid))"
		    " ORDER BY created_at DESC, id DESC LIMIT $4::int";

/* At most as many a day as the tier has. */
static int check_count(struct pg_conn *c, const char *user_id, struct err *e)
{
	OWN(pg_result) PGresult *user = NULL;
	OWN(pg_result) PGresult *lately = NULL;
	const struct tier *tier;
	long long count = 0, wait_s = 0;

	if (pg_query(c, sql_tier, &user_id, 1, &user, e) < 0)
		return -1;
	if (PQntuples(user) == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the account is not there any more");
	if (tier_find(pg_text(user, 0, "subscription_tier"), &tier, e) < 0 ||
	    pg_query(c, sql_lately, &user_id, 1, &lately, e) < 0 ||
	    pg_int(lately, 0, "count", &count, e) < 0 ||
	    pg_int(lately, 0, "wait_s", &wait_s, e) < 0)
		return -1;
	if (count < tier->exports_per_day)
		return 0;
	return err_busy(e, ERR_LIMIT, (int)(wait_s > 0 ? wait_s : 1),
	                "your data was exported often today, try again tomorrow");
}

/* Leave to export the account: the gateway does the rest, and asks each service on the person's
 * behalf. Whoever found an open session must not be able to take all of it along at once. */
int on_user_export(struct call *call, struct err *e)
{
	struct app *app = call->app;
	const struct bus_ctx *ctx = &call->ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (user_actor(call, e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    session_is_proven(call, c, e) < 0 || pg_begin(c, &tx, e) < 0 ||
	    check_count(c, ctx->user_id, e) < 0 ||
	    audit_write(c, ctx, AUDIT_EXPORTED, ctx->user_id, ctx->session_id, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

static const char *copy(const PGresult *res, int row, const char *column, struct arena *a,
                        bool *is_full)
{
	const char *text = pg_text(res, row, column);
	const char *kept = text ? arena_strdup(a, text) : NULL;

	*is_full |= text && !kept;
	return kept;
}

static int fill(const PGresult *res, long long limit, struct arena *a, struct mail_list *out,
                struct err *e)
{
	int rows = PQntuples(res), shown = rows > limit ? (int)limit : rows;
	char next[CURSOR_SIZE];
	struct cursor last = { 0 };
	bool is_full = false;

	out->items_count = (size_t)shown;
	out->items = arena_alloc(a, ((size_t)shown + 1) * sizeof(*out->items));
	for (int i = 0; out->items && i < shown; i++) {
		out->items[i] = (struct mail_view){
			.id = copy(res, i, "id", a, &is_full),
			.kind = copy(res, i, "kind", a, &is_full),
			.email = copy(res, i, "email", a, &is_full),
			.state = copy(res, i, "state", a, &is_full),
			.created_at = copy(res, i, "created_at", a, &is_full),
			.ended_at = copy(res, i, "ended_at", a, &is_full),
		};
	}
	if (!out->items || is_full)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (rows <= shown)
		return 0;
	if (pg_int(res, shown - 1, "created_us", &last.created_us, e) < 0)
		return -1;
	snprintf(last.id, sizeof(last.id), "%s", out->items[shown - 1].id);
	out->next_cursor = arena_strdup(a, cursor_text(&last, next));
	return out->next_cursor ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_mail_list(struct call *call, struct err *e)
{
	const struct list_req *in = CALL_IN(call, list_req);
	struct app *app = call->app;
	long long limit = in->has_limit ? in->limit : PAGE;
	char us[24], more[24];
	struct cursor at = { 0 };
	const char *params[] = { call->ctx.user_id, NULL, NULL, more };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (user_actor(call, e) < 0 || (in->cursor && cursor_parse(in->cursor, &at, e) < 0))
		return -1;
	snprintf(us, sizeof(us), "%lld", at.created_us);
	if (in->cursor) {
		params[1] = us;
		params[2] = at.id;
	}
	/* One more than is shown tells whether there is a next page. */
	snprintf(more, sizeof(more), "%lld", limit + 1);
	if (pg_take(app->db, &c, e) < 0 ||
	    pg_query(c, sql_mails, params, COUNT(params), &res, e) < 0)
		return -1;
	return fill(res, limit, &call->arena, CALL_OUT(call, mail_list), e);
}
