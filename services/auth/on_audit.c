/* What was done in one's account, newest first. */

#include "app.h"
#include "user.h"

#include <errno.h>
#include <limits.h>

#define PAGE 50 /* entries, unless the request says */

static const char sql_list[] =
	"SELECT id, to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at, action, session_id,"
	" host(address) AS address, user_agent, trace_id FROM audit_log"
	" WHERE user_id = $1 AND id < $2::bigint ORDER BY id DESC LIMIT $3::int";

/* A cursor is the id of the last entry that was seen. */
static int before_of(const char *cursor, char ret[24], struct err *e)
{
	long long id = LLONG_MAX;
	char *end = NULL;

	errno = 0;
	if (cursor)
		id = strtoll(cursor, &end, 10);
	if (cursor &&
	    (errno || end == cursor || *end || id < 1 || cursor[0] < '1' || cursor[0] > '9'))
		return err_field(e, "cursor", "is not one that this list gave");
	snprintf(ret, 24, "%lld", id);
	return 0;
}

static const char *copy(const PGresult *res, int row, const char *column, struct arena *a,
                        bool *is_full)
{
	const char *text = pg_text(res, row, column);
	const char *kept = text ? arena_strdup(a, text) : NULL;

	*is_full |= text && !kept;
	return kept;
}

static int fill(const PGresult *res, long long limit, struct arena *a, struct audit_list *out,
                struct err *e)
{
	bool is_full = false;
	int rows = PQntuples(res), shown = rows > limit ? (int)limit : rows;

	out->items_count = (size_t)shown;
	out->items = arena_alloc(a, ((size_t)shown + 1) * sizeof(*out->items));
	for (int i = 0; out->items && i < shown; i++) {
		struct audit_entry *entry = &out->items[i];

		entry->at = copy(res, i, "at", a, &is_full);
		entry->action = copy(res, i, "action", a, &is_full);
		entry->session_id = copy(res, i, "session_id", a, &is_full);
		entry->address = copy(res, i, "address", a, &is_full);
		entry->device = copy(res, i, "user_agent", a, &is_full);
		entry->trace_id = copy(res, i, "trace_id", a, &is_full);
	}
	if (rows > shown)
		out->next_cursor = copy(res, shown - 1, "id", a, &is_full);
	return out->items && !is_full ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_audit_list(struct call *call, struct err *e)
{
	const struct list_req *in = CALL_IN(call, list_req);
	struct app *app = call->app;
	long long limit = in->has_limit ? in->limit : PAGE;
	char before[24], more[24];
	const char *params[] = { call->ctx.user_id, before, more };
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	/* One more than is shown tells whether there is a next page. */
	snprintf(more, sizeof(more), "%lld", limit + 1);
	if (user_actor(call, e) < 0 || before_of(in->cursor, before, e) < 0 ||
	    pg_take(app->db, &c, e) < 0 ||
	    pg_query(c, sql_list, params, COUNT(params), &res, e) < 0)
		return -1;
	return fill(res, limit, &call->arena, CALL_OUT(call, audit_list), e);
}
