#include "link/session_store.h"

#include "base/clock.h"
#include "outbox.h"
#include "store/params.h"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define AT(n)    "to_timestamp($" n "::bigint / 1000.0)"
#define SORT     "coalesce(s.last_active_at, s.created_at)"
#define SORT_US  "(extract(epoch FROM " SORT ") * 1000000)::bigint"

int session_from_row(const PGresult *res, int row, struct arena *a, struct session_view *ret,
                     struct err *e)
{
	const char *title = pg_text(res, row, "title"), *channel = pg_text(res, row, "channel");
	const char *model = pg_text(res, row, "model");
	char time[CLOCK_TEXT_SIZE];
	long long last_ms = 0, created_ms = 0;

	*ret = (struct session_view){ 0 };
	if (pg_int(res, row, "message_count", &ret->message_count, e) < 0 ||
	    pg_int(res, row, "created_ms", &created_ms, e) < 0 ||
	    (pg_text(res, row, "last_ms") && pg_int(res, row, "last_ms", &last_ms, e) < 0))
		return -1;
	ret->session_key = arena_strdup(a, pg_text(res, row, "session_key"));
	ret->title = title ? arena_strdup(a, title) : NULL;
	ret->channel = channel ? arena_strdup(a, channel) : NULL;
	ret->model = model ? arena_strdup(a, model) : NULL;
	ret->created_at = arena_strdup(a, clock_text(created_ms, time));
	ret->last_active_at = last_ms ? arena_strdup(a, clock_text(last_ms, time)) : NULL;
	if (!ret->session_key || !ret->created_at || (title && !ret->title) ||
	    (channel && !ret->channel) || (model && !ret->model) ||
	    (last_ms && !ret->last_active_at))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

static void int_or_null(struct params *p, long long value)
{
	if (value)
		params_int(p, value);
	else
		params_text(p, NULL);
}

static void row_params(struct params *p, const struct session_write *w,
                       const struct session_row *row)
{
	params_text(p, w->id);
	params_text(p, w->holder);
	params_text(p, row->key);
	params_text_or_null(p, row->title);
	params_int(p, row->message_count);
	int_or_null(p, row->last_active_ms);
	int_or_null(p, row->created_ms);
	params_text_or_null(p, row->channel);
	params_text_or_null(p, row->model);
}

static int row_put(struct pg_conn *c, const struct session_write *w, const struct session_row *row,
                   PGresult **ret, struct err *e)
{
	/* That a conversation was active a moment later than is known is not worth an event. */
	static const char sql[] =
		"INSERT INTO session_metadata AS s (instance_id, session_key, title,"
		"  message_count, last_active_at, created_at, channel, model)"
		" SELECT $1, $3::varchar, $4::varchar, greatest($5::int, 0), " AT(
			"6") ","
			     "  coalesce(" AT(
				     "7") ", now()), $8::varchar, $9::varchar FROM instance_links l"
					  "  WHERE l.instance_id = $1 AND l.holder = $2 AND"
					  "  (SELECT count(*) FROM session_metadata WHERE "
					  "instance_id = $1 AND session_key"
					  "   <> $3::varchar)"
					  "   < " TEXT(
						  SESSIONS_MAX) " ON CONFLICT (instance_id, "
								"session_key) DO UPDATE SET"
								"  title = "
								"coalesce(EXCLUDED.title, s.title),"
								"  message_count = CASE WHEN "
								"$5::int >= 0 THEN $5::int ELSE "
								"s.message_count END,"
								"  last_active_at = "
								"greatest(EXCLUDED.last_active_at, "
								"s.last_active_at),"
								"  channel = "
								"coalesce(EXCLUDED.channel, "
								"s.channel),"
								"  model = "
								"coalesce(EXCLUDED.model, s.model)"
								" WHERE coalesce(EXCLUDED.title, "
								"s.title) IS DISTINCT FROM s.title"
								"  OR ($5::int >= 0 AND $5::int <> "
								"s.message_count)"
								"  OR "
								"coalesce(EXCLUDED.last_active_at "
								"> s.last_active_at + interval '1 "
								"s',"
								"   EXCLUDED.last_active_at IS NOT "
								"NULL AND s.last_active_at IS NULL)"
								"  OR coalesce(EXCLUDED.channel, "
								"s.channel) IS DISTINCT FROM "
								"s.channel"
								"  OR coalesce(EXCLUDED.model, "
								"s.model) IS DISTINCT FROM s.model"
								" RETURNING s.xmax = 0 AS "
								"is_new, " SESSION_COLUMNS;
	struct params p = { 0 };

	row_params(&p, w, row);
	return pg_query(c, sql, p.values, p.count, ret, e);
}

int session_put(struct pg_conn *c, const struct session_write *w, const struct session_row *row,
                bool *ret_changed, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct session_view view;
	struct session_evt ev = { .instance_id = w->id, .session = &view };
	enum subject_id subject;

	arena_init(&a, 16384);
	*ret_changed = false;
	if (pg_begin(c, &tx, e) < 0 || row_put(c, w, row, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	subject = pg_bool(res, 0, "is_new") ? SUBJ_EVT_SESSION_CREATED : SUBJ_EVT_SESSION_UPDATED;
	if (session_from_row(res, 0, &a, &view, e) < 0 ||
	    outbox_tell(c, subject, w->id, w->trace_id, &ev, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	*ret_changed = true;
	return 0;
}

int session_drop(struct pg_conn *c, const struct session_write *w, const char *key,
                 bool *ret_changed, struct err *e)
{
	static const char sql[] =
		"DELETE FROM session_metadata s USING instance_links l WHERE s.instance_id = $1"
		" AND l.instance_id = $1 AND l.holder = $2 AND s.session_key = $3 RETURNING 1";
	const struct session_gone_evt ev = { .instance_id = w->id, .session_key = key };
	const char *params[] = { w->id, w->holder, key };
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;

	*ret_changed = false;
	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	if (outbox_tell(c, SUBJ_EVT_SESSION_DELETED, w->id, w->trace_id, &ev, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	*ret_changed = true;
	return 0;
}

static bool is_among(const char *key, const struct session_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->list[i], key) == 0)
			return true;
	return false;
}

int session_missing(struct pg_conn *c, const char *id, const struct session_keys *known,
                    struct arena *a, struct session_keys *ret, struct err *e)
{
	static const char sql[] = "SELECT session_key FROM session_metadata WHERE instance_id = $1";
	OWN(pg_result) PGresult *res = NULL;
	const char **list;
	size_t n = 0;

	if (pg_query(c, sql, &id, 1, &res, e) < 0)
		return -1;
	list = arena_alloc(a, ((size_t)PQntuples(res) + 1) * sizeof(*list));
	if (!list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (int i = 0; i < PQntuples(res); i++) {
		const char *key = pg_text(res, i, "session_key");

		if (is_among(key, known))
			continue;
		list[n] = arena_strdup(a, key);
		if (!list[n++])
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	*ret = (struct session_keys){ list, n };
	return 0;
}

/* The place of the last one that is shown. */
static int cursor_of(const PGresult *res, int row, struct arena *a, const char **ret, struct err *e)
{
	struct cursor at = { 0 };
	char text[CURSOR_SIZE];

	if (pg_int(res, row, "sort_us", &at.created_us, e) < 0)
		return -1;
	snprintf(at.id, sizeof(at.id), "%s", pg_text(res, row, "id"));
	*ret = arena_strdup(a, cursor_text(&at, text));
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int session_list(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                 struct session_page *page, struct err *e)
{
	static const char sql[] =
		"SELECT s.id, " SORT_US " AS sort_us, " SESSION_COLUMNS " FROM session_metadata s"
		" JOIN instances i ON i.id = s.instance_id WHERE i.user_id = $1 AND i.id = $2"
		" AND ($3::text IS NULL OR position(lower($3) IN lower(coalesce(s.title, ''))) > 0"
		"  OR position(lower($3) IN lower(s.session_key)) > 0)"
		" AND ($4::bigint IS NULL OR (" SORT_US ", s.id) < ($4::bigint, $5::uuid))"
		" ORDER BY " SORT_US " DESC, s.id DESC LIMIT $6";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	struct cursor after;
	size_t found;

	if (page->cursor && cursor_parse(page->cursor, &after, e) < 0)
		return -1;
	params_text(&p, user_id);
	params_text(&p, id);
	params_text_or_null(&p, page->query);
	if (page->cursor)
		params_int(&p, after.created_us);
	else
		params_text(&p, NULL);
	params_text(&p, page->cursor ? after.id : NULL);
	params_int(&p, page->limit + 1);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	found = (size_t)PQntuples(res);
	page->count = found > (size_t)page->limit ? (size_t)page->limit : found;
	page->items = arena_alloc(a, (page->count + 1) * sizeof(*page->items));
	if (!page->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < page->count; i++)
		if (session_from_row(res, (int)i, a, &page->items[i], e) < 0)
			return -1;
	page->next_cursor = NULL;
	return found > page->count ? cursor_of(res, (int)page->count - 1, a, &page->next_cursor, e)
	                           : 0;
}

int session_load(struct pg_conn *c, const char *user_id, const char *id, const char *key,
                 struct arena *a, struct session_view *ret, struct err *e)
{
	static const char sql[] =
		"SELECT " SESSION_COLUMNS " FROM session_metadata s JOIN instances i"
		" ON i.id = s.instance_id WHERE i.user_id = $1 AND i.id = $2 AND s.session_key = "
		"$3";
	const char *params[] = { user_id, id, key };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, params, COUNT(params), &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such session");
	return session_from_row(res, 0, a, ret, e);
}
