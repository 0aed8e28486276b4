#include "link/sync.h"

#include "link/holder.h"
#include "link/link.h"
#include "link/link_store.h"
#include "link/session_store.h"

#include "base/clock.h"

#define PAGE       100 /* conversations a request */
#define PAGES_MAX  (SESSIONS_MAX / PAGE)
#define COUNTS_MAX 30 /* conversations whose messages are counted in one go, the latest first */

/* What was listed. */
struct listed {
	struct session_row *rows;
	const char **keys;
	size_t count;
	bool is_whole; /* nothing was left out: what is not among them is gone */
};

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

int sync_ask(const struct news_of *of, const char *method, const cJSON *params, cJSON **ret,
             struct err *e)
{
	const struct link_ask a = { of->id, method, params,
		                    pace_left_ms(of->pace, clock_mono_ms(), SYNC_TIMEOUT_MS) };

	if (a.timeout_ms == 0)
		return err_set(e, ERR_TIMEOUT, "the assistant takes too long to tell all");
	return links_call(of->app->links, &a, ret, e);
}

static void listed_add(struct listed *l, const cJSON *sessions)
{
	const cJSON *s;

	cJSON_ArrayForEach(s, sessions) {
		if (l->count == SESSIONS_MAX)
			return;
		if (!session_row_read(s, &l->rows[l->count]))
			continue;
		l->keys[l->count] = l->rows[l->count].key;
		l->count++;
	}
}

static int list(const struct news_of *of, struct listed *l, struct err *e)
{
	for (int page = 0; page < PAGES_MAX && !l->is_whole; page++) {
		OWN(json) cJSON *params = cJSON_CreateObject();
		OWN(json) cJSON *got = NULL;

		if (!cJSON_AddNumberToObject(params, "limit", PAGE) ||
		    !cJSON_AddNumberToObject(params, "offset", page * PAGE))
			return err_set(e, ERR_INTERNAL, "out of memory");
		if (sync_ask(of, "sessions.list", params, &got, e) < 0)
			return -1;
		if (!cJSON_IsArray(member(got, "sessions")))
			return err_set(e, ERR_UPSTREAM, "the assistant lists no sessions");
		listed_add(l, member(got, "sessions"));
		l->is_whole = !cJSON_IsTrue(member(got, "hasMore"));
	}
	return 0;
}

/* A list does not say how many messages there are. */
static int count_messages(const struct news_of *of, struct session_row *row, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	const cJSON *total;

	if (!cJSON_AddStringToObject(params, "sessionKey", row->key) ||
	    !cJSON_AddNumberToObject(params, "limit", 1))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (sync_ask(of, "chat.history", params, &got, e) < 0)
		return -1;
	total = member(got, "totalMessages");
	if (cJSON_IsNumber(total) && total->valuedouble >= 0 &&
	    total->valuedouble <= (double)SESSION_COUNT_MAX)
		row->message_count = (long long)total->valuedouble;
	return 0;
}

static int put(const struct news_of *of, const struct session_write *w,
               const struct session_row *row, bool *ret_changed, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (pg_take(of->app->db, &db, e) < 0)
		return -1;
	return session_put(db, w, row, ret_changed, e);
}

static int drop_missing(const struct news_of *of, const struct session_write *w,
                        const struct listed *l, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(pg_conn) struct pg_conn *db = NULL;
	const struct session_keys known = { l->keys, l->count };
	struct session_keys gone;
	bool ignored;

	arena_init(&a, (size_t)SESSIONS_MAX * 512);
	if (pg_take(of->app->db, &db, e) < 0 ||
	    session_missing(db, of->id, &known, &a, &gone, e) < 0)
		return -1;
	for (size_t i = 0; i < gone.count; i++)
		if (session_drop(db, w, gone.list[i], &ignored, e) < 0)
			return -1;
	return 0;
}

static int write_all(const struct news_of *of, struct listed *l, struct err *e)
{
	char trace[INSTANCE_TRACE_SIZE];
	const struct session_write w = { holder_name(of->app), of->id, trace };
	int counted = 0;

	sync_trace(trace);
	for (size_t i = 0; i < l->count; i++) {
		bool is_changed = false;

		if (put(of, &w, &l->rows[i], &is_changed, e) < 0)
			return -1;
		if (!is_changed || counted++ >= COUNTS_MAX)
			continue;
		if (count_messages(of, &l->rows[i], e) < 0 ||
		    put(of, &w, &l->rows[i], &is_changed, e) < 0)
			return -1;
	}
	return l->is_whole ? drop_missing(of, &w, l, e) : 0;
}

void sync_trace(char ret[INSTANCE_TRACE_SIZE])
{
	random_hex((INSTANCE_TRACE_SIZE - 1) / 2, ret);
}

int sync_run(const struct news_of *of, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	struct listed l = { 0 };

	arena_init(&a, SESSIONS_MAX * (sizeof(*l.rows) + sizeof(*l.keys)) + 8192);
	l.rows = arena_alloc(&a, SESSIONS_MAX * sizeof(*l.rows));
	l.keys = arena_alloc(&a, SESSIONS_MAX * sizeof(*l.keys));
	if (!l.rows || !l.keys)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (list(of, &l, e) < 0 || write_all(of, &l, e) < 0)
		return -1;
	outbox_wake(of->app->outbox);
	{
		OWN(pg_conn) struct pg_conn *db = NULL;

		if (pg_take(of->app->db, &db, e) < 0)
			return -1;
		return link_write_synced(db, holder_name(of->app), of->id, e);
	}
}
