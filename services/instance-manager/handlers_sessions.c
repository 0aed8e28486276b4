/* Conversations: stored as the links tell of them, their messages asked of the gateway. */

#include "app.h"

#include "link/ask.h"
#include "link/chat_news.h"
#include "link/holder.h"
#include "link/read.h"
#include "link/session_store.h"
#include "link/sync.h"

#include <errno.h>

#define LIST_DEFAULT 50
#define TEXT_MAX     65536
#define ARENA_SPARE  ((size_t)512 << 10) /* of the call's arena, for all but texts */
#define OFFSET_MAX   1000000

int on_session_page(struct call *c, struct err *e)
{
	const struct session_list_req *in = CALL_IN(c, session_list_req);
	struct session_list *out = CALL_OUT(c, session_list);
	struct app *app = c->app;
	struct session_page page = { .query = in->q,
		                     .cursor = in->cursor,
		                     .limit = in->has_limit ? in->limit : LIST_DEFAULT };
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0 || pg_take(app->db, &db, e) < 0 ||
	    session_list(db, c->ctx.user_id, in->instance_id, &c->arena, &page, e) < 0)
		return -1;
	out->items = page.items;
	out->items_count = page.count;
	out->next_cursor = page.next_cursor;
	out->live = at.is_up;
	out->as_of = read_as_of(&c->arena, &at);
	return 0;
}

static int load(struct call *c, const char *id, const char *key, struct session_view *ret,
                struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (pg_take(app->db, &db, e) < 0)
		return -1;
	return session_load(db, c->ctx.user_id, id, key, &c->arena, ret, e);
}

/* ---- messages ----------------------------------------------------------------------------------- */

/* A cursor is how many of the latest were shown. Messages that came since then shift the rest: some
 * may be shown twice, none is left out. */
static int offset_of(const char *cursor, long long *ret, struct err *e)
{
	char *end = NULL;

	*ret = 0;
	if (!cursor)
		return 0;
	errno = 0;
	if (cursor[0] == 'm')
		*ret = strtoll(cursor + 1, &end, 10);
	if (errno || !end || end == cursor + 1 || *end || *ret < 1 || *ret > OFFSET_MAX)
		return err_field(e, "cursor", "is not a cursor of this list");
	return 0;
}

static int history(struct call *c, const struct link_place *at, const char *key, long long offset,
                   long long limit, cJSON **ret, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(params, "sessionKey", key) ||
	    !cJSON_AddNumberToObject(params, "limit", (double)limit) ||
	    (offset && !cJSON_AddNumberToObject(params, "offset", (double)offset)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return ask_call(c, at, "chat.history", params, ret, e);
}

static bool message_read(struct arena *a, const cJSON *m, char *text, struct message_view *ret)
{
	const cJSON *own = read_at(m, "__openclaw"), *usage = read_at(m, "usage");

	*ret = (struct message_view){ 0 };
	ret->role = read_word(a, m, "role", 32);
	chat_text(m, text, TEXT_MAX + 1);
	ret->text = arena_strdup(a, text);
	ret->id = read_word(a, own, "id", 128);
	ret->sender = read_line(a, own, "senderName", 255);
	ret->model = read_line(a, m, "model", 200);
	ret->created_at = read_time(a, m, "timestamp");
	ret->has_total_tokens = ret->has_cost_micros = cJSON_IsObject(usage);
	ret->total_tokens = read_count(usage, "totalTokens");
	ret->cost_micros = read_cost(read_at(usage, "cost"), "total");
	return ret->role && ret->text;
}

/* The gateway's list has the oldest first. What does not fit in one answer is left for the next
 * page. */
static int messages_read(struct call *c, const cJSON *got, struct session_messages *out,
                         struct err *e)
{
	const cJSON *list = read_at(got, "messages");
	char *text = arena_alloc(&c->arena, TEXT_MAX + 1);
	size_t count;

	out->items = read_list(&c->arena, list, 100, sizeof(*out->items), &count);
	if (!out->items || !text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = count; i-- > 0;) {
		if (c->arena.used + TEXT_MAX > c->arena.limit - ARENA_SPARE)
			break;
		if (message_read(&c->arena, cJSON_GetArrayItem(list, (int)i), text,
		                 &out->items[out->items_count]))
			out->items_count++;
	}
	return 0;
}

static int messages_live(struct call *c, const struct link_place *at, struct session_messages *out,
                         struct err *e)
{
	const struct session_messages_req *in = CALL_IN(c, session_messages_req);
	long long limit = in->has_limit ? in->limit : LIST_DEFAULT, offset;
	OWN(json) cJSON *got = NULL;

	if (offset_of(in->cursor, &offset, e) < 0)
		return -1;
	/* Long messages: fewer of them. */
	while (history(c, at, in->session_key, offset, limit, &got, e) < 0) {
		if (e->code != ERR_TOO_LARGE || limit == 1)
			return -1;
		limit = limit > 4 ? limit / 4 : 1;
		*e = ERR_INIT;
	}
	if (messages_read(c, got, out, e) < 0)
		return -1;
	if (cJSON_IsTrue(read_at(got, "hasMore")) && out->items_count) {
		out->next_cursor =
			arena_printf(&c->arena, "m%lld", offset + (long long)out->items_count);
		if (!out->next_cursor)
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	return 0;
}

int on_session_messages(struct call *c, struct err *e)
{
	const struct session_messages_req *in = CALL_IN(c, session_messages_req);
	struct session_messages *out = CALL_OUT(c, session_messages);
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0)
		return -1;
	out->session = arena_alloc(&c->arena, sizeof(*out->session));
	if (!out->session)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (load(c, in->instance_id, in->session_key, out->session, e) < 0)
		return -1;
	out->live = at.is_up;
	out->as_of = read_as_of(&c->arena, &at);
	return at.is_up ? messages_live(c, &at, out, e) : 0;
}

/* ---- changes ------------------------------------------------------------------------------------ */

/* Theirs, there, and with an assistant that can be asked. */
static int find(struct call *c, const char *id, const char *key, struct link_place *at,
                struct session_view *ret, struct err *e)
{
	if (ask_find(c, id, at, e) < 0 || load(c, id, key, ret, e) < 0)
		return -1;
	return ask_need_up(at, e);
}

int on_session_rename(struct call *c, struct err *e)
{
	const struct session_rename_req *in = CALL_IN(c, session_rename_req);
	struct session_view *out = CALL_OUT(c, session_view);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (find(c, in->instance_id, in->session_key, &at, out, e) < 0)
		return -1;
	if (!cJSON_AddStringToObject(params, "key", in->session_key) ||
	    !cJSON_AddStringToObject(params, "label", in->title))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, &at, "sessions.patch", params, &got, e) < 0)
		return -1;
	/* The gateway's own event writes it down, and tells of it. */
	out->title = in->title;
	return 0;
}

int on_session_delete(struct call *c, struct err *e)
{
	const struct session_key_ref *in = CALL_IN(c, session_key_ref);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct app *app = c->app;
	struct session_view view;
	struct link_place at;
	struct session_write w;
	bool is_changed;

	if (find(c, in->instance_id, in->session_key, &at, &view, e) < 0)
		return -1;
	if (!cJSON_AddStringToObject(params, "key", in->session_key) ||
	    !cJSON_AddTrueToObject(params, "deleteTranscript"))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, &at, "sessions.delete", params, &got, e) < 0)
		return -1;
	w = (struct session_write){ at.holder, in->instance_id, c->ctx.trace_id };
	if (pg_take(app->db, &db, e) < 0 ||
	    session_drop(db, &w, in->session_key, &is_changed, e) < 0)
		return -1;
	outbox_wake(app->outbox);
	return 0;
}
