#include "app.h"

#include "bot.h"
#include "instance_store.h"
#include "owner/owner.h"
#include "record.h"

#include "base/fault.h"
#include "base/log.h"
#include "store/cursor.h"
#include "store/once.h"

#define LIST_DEFAULT 50

/* The person who asks; the gateway has seen to it that it is them. */
static int need_user(const struct call *c, struct err *e)
{
	return c->ctx.user_id[0] ? 0 : err_set(e, ERR_UNAUTHENTICATED, "sign in first");
}

int on_check_token(struct call *c, struct err *e)
{
	const struct bot_token_req *in = CALL_IN(c, bot_token_req);
	struct bot_token_view *out = CALL_OUT(c, bot_token_view);
	struct app *app = c->app;
	struct telegram_bot bot;

	if (need_user(c, e) < 0 || bot_ask(app, in->bot_token, &c->arena, &bot, e) < 0)
		return -1;
	out->bot = arena_alloc(&c->arena, sizeof(*out->bot));
	if (!out->bot)
		return err_set(e, ERR_INTERNAL, "out of memory");
	out->bot->id = bot.id;
	out->bot->username = arena_strdup(&c->arena, bot.username);
	out->bot->name = arena_strdup(&c->arena, bot.name);
	return out->bot->username && out->bot->name ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_list(struct call *c, struct err *e)
{
	const struct list_req *in = CALL_IN(c, list_req);
	struct instance_list *out = CALL_OUT(c, instance_list);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct instance_page page;

	if (need_user(c, e) < 0 ||
	    instance_page_init(&page, in->cursor, in->has_limit ? in->limit : LIST_DEFAULT, e) <
	            0 ||
	    pg_take(app->db, &db, e) < 0 || store_list(db, c->ctx.user_id, &c->arena, &page, e) < 0)
		return -1;
	out->items_count = page.count;
	out->next_cursor = page.next_cursor;
	out->items = arena_alloc(&c->arena, (page.count + 1) * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < page.count; i++)
		if (instance_to_view(&page.list[i], &c->arena, &out->items[i], e) < 0)
			return -1;
	return 0;
}

int on_get(struct call *c, struct err *e)
{
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct instance_view *out = CALL_OUT(c, instance_view);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct instance i;

	if (need_user(c, e) < 0 || pg_take(app->db, &db, e) < 0 ||
	    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0)
		return -1;
	if (instance_to_view(&i, &c->arena, out, e) < 0)
		return -1;
	return owner_link_text(app, db, &i, &c->arena, &out->owner_link, e);
}

int on_state(struct call *c, struct err *e)
{
	const struct instance_owned_ref *in = CALL_IN(c, instance_owned_ref);
	struct instance_state *out = CALL_OUT(c, instance_state);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct instance i;

	if (pg_take(app->db, &db, e) < 0 ||
	    store_load(db, in->user_id, in->instance_id, &i, e) < 0 ||
	    store_sessions(db, in->user_id, in->instance_id, &c->arena, &out->sessions,
	                   &out->sessions_count, e) < 0)
		return -1;
	out->instance = arena_alloc(&c->arena, sizeof(*out->instance));
	if (!out->instance)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return instance_to_view(&i, &c->arena, out->instance, e);
}

typedef int wish(struct instance *i, bool *ret_changed, struct err *e);

/* Writes down what a person wishes of an instance of theirs, with all that tells of it, in one
 * transaction: from here on it is the reconciler's. */
static int write_wish(struct app *app, const struct bus_ctx *who, const char *id, wish *apply,
                      struct instance *ret, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct instance i;
	bool is_changed;

	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    store_lock(db, who->user_id, id, &i, e) < 0 || apply(&i, &is_changed, e) < 0)
		return -1;
	if (is_changed) {
		snprintf(i.trace_id, sizeof(i.trace_id), "%s", who->trace_id);
		if (store_change(db, &i, NULL, &i, e) < 0 || record_begin(db, &i, e) < 0 ||
		    record_audit(db, &i, "user", instance_operation_name(i.operation), NULL, e) <
		            0 ||
		    outbox_add_status(db, &i, e) < 0 || pg_commit(&tx, e) < 0)
			return -1;
		log_info("asked for", "instance_id", i.id, "user_id", i.user_id, "operation",
		         instance_operation_name(i.operation));
	}
	*ret = i;
	return 0;
}

static int on_wish(struct call *c, wish *apply, const char *fault, struct err *e)
{
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct instance i;

	if (need_user(c, e) < 0 || write_wish(c->app, &c->ctx, in->instance_id, apply, &i, e) < 0)
		return -1;
	/* A crash here: nobody was answered, and yet it will be done. */
	fault_point(fault);
	app_wake(c->app);
	return instance_to_view(&i, &c->arena, CALL_OUT(c, instance_view), e);
}

int on_start(struct call *c, struct err *e)
{
	return on_wish(c, instance_want_start, "start.wanted", e);
}

int on_stop(struct call *c, struct err *e)
{
	return on_wish(c, instance_want_stop, "stop.wanted", e);
}

int on_restart(struct call *c, struct err *e)
{
	return on_wish(c, instance_want_restart, "restart.wanted", e);
}

int on_delete(struct call *c, struct err *e)
{
	return on_wish(c, instance_want_delete, "delete.wanted", e);
}

/* The end of an account: asked again until nothing remains. */
int on_purge_user(struct call *c, struct err *e)
{
	const struct user_ref *in = CALL_IN(c, user_ref);
	struct purge_state *out = CALL_OUT(c, purge_state);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct bus_ctx who = c->ctx;
	const char **ids;
	size_t count;

	snprintf(who.user_id, sizeof(who.user_id), "%s", in->user_id);
	if (pg_take(app->db, &db, e) < 0 ||
	    store_ids_to_delete(db, in->user_id, &c->arena, &ids, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct instance gone;

		if (write_wish(app, &who, ids[i], instance_want_delete, &gone, e) < 0 &&
		    e->code != ERR_NOT_FOUND)
			return -1;
	}
	app_wake(app);
	if (store_count(db, in->user_id, &out->remaining, e) < 0)
		return -1;
	return out->remaining == 0 ? once_forget(db, ONCE_INSTANCE, in->user_id, e) : 0;
}
