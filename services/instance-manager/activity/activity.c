#include "activity/activity.h"

#include "outbox.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "store/params.h"

int activity_add(struct pg_conn *c, const char *user_id, const char *instance_id,
                 const struct activity *what, struct err *e)
{
	static const char sql[] =
		"INSERT INTO activity (instance_id, user_id, kind, actor, summary, trace_id)"
		" SELECT id, user_id, $3, $4, $5, $6 FROM instances WHERE user_id = $1 AND id = $2"
		" RETURNING id, " INSTANCE_MS("at") " AS at_ms";
	const char *trace_id = what->trace_id ? what->trace_id : "";
	OWN(pg_result) PGresult *res = NULL;
	struct activity_evt ev = { .instance_id = instance_id,
		                   .kind = what->kind,
		                   .actor = what->actor };
	char summary[ACTIVITY_SUMMARY_MAX + 1] = "", at[CLOCK_TEXT_SIZE];
	long long id = 0, at_ms = 0;

	if (what->summary)
		utf8_copy(summary, sizeof(summary), what->summary);
	if (pg_query(c, sql,
	             (const char *[]){ user_id, instance_id, what->kind, what->actor,
	                               summary[0] ? summary : NULL, trace_id },
	             6, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	if (pg_int(res, 0, "id", &id, e) < 0 || pg_int(res, 0, "at_ms", &at_ms, e) < 0)
		return -1;
	ev.id = id;
	ev.at = clock_text(at_ms, at);
	ev.summary = summary[0] ? summary : NULL;
	return outbox_tell(c, SUBJ_EVT_ACTIVITY, instance_id, trace_id, &ev, e);
}

static int from_row(const PGresult *res, int row, struct arena *a, struct activity_view *ret,
                    struct err *e)
{
	const char *summary = pg_text(res, row, "summary"), *trace = pg_text(res, row, "trace_id");
	char at[CLOCK_TEXT_SIZE];
	long long at_ms = 0;

	if (pg_int(res, row, "id", &ret->id, e) < 0 || pg_int(res, row, "at_ms", &at_ms, e) < 0)
		return -1;
	ret->at = arena_strdup(a, clock_text(at_ms, at));
	ret->kind = arena_strdup(a, pg_text(res, row, "kind"));
	ret->actor = arena_strdup(a, pg_text(res, row, "actor"));
	ret->summary = summary ? arena_strdup(a, summary) : NULL;
	ret->trace_id = trace[0] ? arena_strdup(a, trace) : NULL;
	if (!ret->at || !ret->kind || !ret->actor || (summary && !ret->summary) ||
	    (trace[0] && !ret->trace_id))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

int activity_list(struct pg_conn *c, const struct activity_page *page, struct arena *a,
                  struct activity_list *ret, struct err *e)
{
	static const char sql[] = "SELECT id, " INSTANCE_MS(
		"at") " AS at_ms, kind, actor, summary,"
		      " trace_id FROM activity WHERE user_id = $1 AND instance_id = $2"
		      " AND ($3::bigint = 0 OR id < $3) ORDER BY id DESC LIMIT $4";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	size_t count;

	params_text(&p, page->user_id);
	params_text(&p, page->instance_id);
	params_int(&p, page->before);
	params_int(&p, page->limit + 1); /* one more than is shown: is there a next page? */
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	count = (size_t)PQntuples(res);
	ret->items_count = count > (size_t)page->limit ? (size_t)page->limit : count;
	ret->items = arena_alloc(a, (ret->items_count + 1) * sizeof(*ret->items));
	if (!ret->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < ret->items_count; i++)
		if (from_row(res, (int)i, a, &ret->items[i], e) < 0)
			return -1;
	if (count == ret->items_count)
		return 0;
	ret->next_cursor = arena_printf(a, "%lld", ret->items[ret->items_count - 1].id);
	return ret->next_cursor ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int activity_purge(struct pg_conn *c, struct err *e)
{
	static const char sql[] =
		"DELETE FROM activity WHERE at < now() - interval '" ACTIVITY_DAYS " days'";

	return pg_query(c, sql, NULL, 0, NULL, e);
}
