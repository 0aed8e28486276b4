#include "app.h"

#include "backup.h"
#include "path_text.h"
#include "target.h"

#include "base/log.h"
#include "store/params.h"

/*
 * The versions of a memory file over all backups, in pages. A page is as many versions as are asked for,
 * but looks at backups for BUDGET_MS at most: each is a manifest of the store. It ends between two
 * versions, where it has more than one.
 */
#define VERSIONS_DEFAULT 50
#define BUDGET_MS        6000
#define BATCH            500

struct version {
	char content[33];
	long long size, mtime_ms;
	bool is_there;
};

/* Backups newest first. The last item goes on growing until another version comes. */
struct history {
	struct call *c;
	const char *path; /* below the assistant's directory */
	size_t limit;
	long long until_ms; /* monotonic */
	struct version last;
	struct cursor at;     /* the backup that was looked at last */
	struct cursor before; /* the one before the last item's first */
	bool has_before, has_looked;
	bool is_full; /* of versions: another one has begun */
};

static bool on_version(void *ctx, const struct engine_entry *entry)
{
	struct version *v = ctx;

	if (entry->type == 'f') {
		*v = (struct version){ "", entry->size, entry->mtime_ms, true };
		memcpy(v->content, entry->content, sizeof(v->content));
	}
	return false;
}

static int look(const struct history *h, const char *backup_id, struct version *ret, struct err *e)
{
	const struct engine_ref ref = { h->c->ctx.user_id, NULL, backup_id };
	const struct app *app = h->c->app;

	*ret = (struct version){ .is_there = false };
	if (engine_list(app->engine, &ref, h->path, on_version, ret, e) == 0)
		return 0;
	/* The backup has just expired; or its manifest is damaged, or of a key that is gone: the others are
	 * there all the same. */
	if (e->code != ERR_NOT_FOUND && e->code != ERR_UPSTREAM && e->code != ERR_FORBIDDEN)
		return -1;
	log_warn("a backup is left out of a history", "backup_id", backup_id, "error", e->msg);
	*e = ERR_INIT;
	return 0;
}

/* A version is told of once, as the oldest backup that has it in a row. */
static int add(struct history *h, const struct cursor *row, long long backed_up_ms,
               const struct version *v, struct err *e)
{
	struct memory_history *out = CALL_OUT(h->c, memory_history);
	struct arena *a = &h->c->arena;
	bool is_same = v->is_there && h->last.is_there && strcmp(v->content, h->last.content) == 0;
	struct memory_version *item = &out->items[out->items_count - is_same];

	if (v->is_there && !is_same && out->items_count == h->limit) {
		h->is_full = true;
		return 0;
	}
	if (v->is_there && !is_same) {
		item->backups = 0;
		out->items_count++;
		h->before = h->at;
		h->has_before = h->at.id[0] != '\0';
	}
	h->last = *v;
	h->at = *row;
	if (!v->is_there)
		return 0;
	item->backups++;
	item->backup_id = arena_strdup(a, row->id);
	item->backed_up_at = backup_time(a, backed_up_ms);
	item->modified_at = backup_time(a, v->mtime_ms);
	item->size = v->size;
	return item->backup_id && item->backed_up_at && item->modified_at
	               ? 0
	               : err_set(e, ERR_INTERNAL, "out of memory");
}

/* *ret_count: rows; fewer than BATCH are the last. */
static int batch(struct history *h, const char *instance_id, PGresult **ret, struct err *e)
{
	static const char sql[] =
		"SELECT id, floor(extract(epoch FROM created_at) * 1000)::bigint AS created_ms,"
		" (extract(epoch FROM created_at) * 1000000)::bigint AS created_us"
		" FROM backups WHERE instance_id = $1 AND user_id = $2 AND status = 'done'"
		" AND ($3::bigint IS NULL OR (created_at, id) <"
		"  (timestamptz 'epoch' + $3::bigint * interval '1 us', $4::uuid))"
		" ORDER BY created_at DESC, id DESC LIMIT $5";
	struct app *app = h->c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct params p = { 0 };

	params_text(&p, instance_id);
	params_text(&p, h->c->ctx.user_id);
	if (h->at.id[0])
		params_int(&p, h->at.created_us);
	else
		params_text(&p, NULL);
	params_text(&p, h->at.id[0] ? h->at.id : NULL);
	params_int(&p, BATCH);
	if (pg_take(app->db, &db, e) < 0)
		return -1;
	return pg_query(db, sql, p.values, p.count, ret, e);
}

static bool is_over(const struct history *h)
{
	return h->is_full || (h->has_looked && clock_mono_ms() > h->until_ms);
}

/* *ret_end: there are no more. */
static int rows(struct history *h, const PGresult *res, bool *ret_end, struct err *e)
{
	int i;

	for (i = 0; i < PQntuples(res) && !is_over(h); i++) {
		struct cursor row = { 0 };
		struct version v;
		long long ms;

		snprintf(row.id, sizeof(row.id), "%s", pg_text(res, i, "id"));
		if (pg_int(res, i, "created_us", &row.created_us, e) < 0 ||
		    pg_int(res, i, "created_ms", &ms, e) < 0 || look(h, row.id, &v, e) < 0 ||
		    add(h, &row, ms, &v, e) < 0)
			return -1;
		h->has_looked = true;
	}
	*ret_end = !h->is_full && i == PQntuples(res) && i < BATCH;
	return 0;
}

/* Out of time in the middle of a version: it is told of whole by the next page. */
static void cut_back(struct history *h)
{
	struct memory_history *out = CALL_OUT(h->c, memory_history);

	if (h->is_full || !h->last.is_there || out->items_count < 2 || !h->has_before)
		return;
	out->items_count--;
	h->at = h->before;
}

static int pages(struct history *h, const char *instance_id, struct err *e)
{
	struct memory_history *out = CALL_OUT(h->c, memory_history);
	bool is_end = false;
	char text[CURSOR_SIZE];

	while (!is_end && !is_over(h)) {
		OWN(pg_result) PGresult *res = NULL;

		if (batch(h, instance_id, &res, e) < 0 || rows(h, res, &is_end, e) < 0)
			return -1;
	}
	if (is_end)
		return 0;
	cut_back(h);
	out->next_cursor = arena_strdup(&h->c->arena, cursor_text(&h->at, text));
	return out->next_cursor ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_memory_history(struct call *c, struct err *e)
{
	const struct memory_history_req *in = CALL_IN(c, memory_history_req);
	struct memory_history *out = CALL_OUT(c, memory_history);
	struct app *app = c->app;
	struct history h = { .c = c,
		             .limit = in->has_limit ? (size_t)in->limit : VERSIONS_DEFAULT,
		             .until_ms = clock_mono_ms() + BUDGET_MS };

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	h.path = arena_printf(&c->arena, "workspace/%s", in->path);
	out->items = arena_alloc(&c->arena, (h.limit + 1) * sizeof(*out->items));
	if (!h.path || !out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (path_check(h.path, "path", e) < 0 ||
	    (in->cursor && cursor_parse(in->cursor, &h.at, e) < 0) ||
	    target_check(app, &c->ctx, in->instance_id, false, e) < 0)
		return -1;
	out->path = in->path;
	return pages(&h, in->instance_id, e);
}
