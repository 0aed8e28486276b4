#include "app.h"

#include "base/clock.h"

/* zakictl backups dumps: the platform's own. */

#define MS(column) "floor(extract(epoch FROM " column ") * 1000)::bigint"

static int text_of(const PGresult *res, int row, const char *column, struct arena *a,
                   const char **ret, struct err *e)
{
	const char *text = pg_text(res, row, column);

	*ret = text ? arena_strdup(a, text) : NULL;
	return text && !*ret ? err_set(e, ERR_INTERNAL, "out of memory") : 0;
}

static int time_of(const PGresult *res, int row, const char *column, struct arena *a,
                   const char **ret, struct err *e)
{
	char when[CLOCK_TEXT_SIZE];
	long long ms = 0;

	*ret = NULL;
	if (!pg_text(res, row, column))
		return 0;
	if (pg_int(res, row, column, &ms, e) < 0)
		return -1;
	*ret = arena_strdup(a, clock_text(ms, when));
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int view(const PGresult *res, int row, struct arena *a, struct backup_dump_view *v,
                struct err *e)
{
	if (text_of(res, row, "id", a, &v->id, e) < 0 ||
	    text_of(res, row, "status", a, &v->status, e) < 0 ||
	    text_of(res, row, "error", a, &v->error, e) < 0 ||
	    time_of(res, row, "created_ms", a, &v->created_at, e) < 0 ||
	    time_of(res, row, "finished_ms", a, &v->finished_at, e) < 0 ||
	    pg_int(res, row, "rows", &v->rows, e) < 0 ||
	    pg_int(res, row, "bytes", &v->bytes, e) < 0)
		return -1;
	return pg_int(res, row, "bytes_stored", &v->bytes_stored, e);
}

int on_admin_dumps(struct call *c, struct err *e)
{
	static const char sql[] = "SELECT id, status, rows, bytes, bytes_stored, error, " MS(
		"created_at") " AS created_ms, " MS("finished_at") " AS finished_ms"
								   " FROM platform_dumps"
								   " ORDER BY created_at DESC"
								   " LIMIT 50";
	static const char sql_plan[] =
		"SELECT " MS("next_at") " AS next_ms, problem FROM platform_dump_plan";
	struct backup_dump_list *out = CALL_OUT(c, backup_dump_list);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL, *plan = NULL;

	if (pg_take(app->db, &db, e) < 0 || pg_query(db, sql, NULL, 0, &res, e) < 0 ||
	    pg_query(db, sql_plan, NULL, 0, &plan, e) < 0)
		return -1;
	if (PQntuples(plan) == 0)
		return err_set(e, ERR_INTERNAL, "platform_dump_plan has no row");
	out->items_count = (size_t)PQntuples(res);
	out->items = arena_alloc(&c->arena, (out->items_count + 1) * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < out->items_count; i++)
		if (view(res, (int)i, &c->arena, &out->items[i], e) < 0)
			return -1;
	if (time_of(plan, 0, "next_ms", &c->arena, &out->next_at, e) < 0)
		return -1;
	return text_of(plan, 0, "problem", &c->arena, &out->problem, e);
}
