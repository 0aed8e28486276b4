#include "app.h"

#include "hold.h"

#include "store/cursor.h"
#include "store/params.h"

/* What storage-backup asks: which instances there are, and to keep one stopped. */

int on_hold(struct call *c, struct err *e)
{
	const struct instance_hold_req *in = CALL_IN(c, instance_hold_req);
	struct instance_hold *out = CALL_OUT(c, instance_hold);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct hold_state state = { .status = INSTANCE_STOPPED };

	if (pg_take(app->db, &db, e) < 0)
		return -1;
	if (in->seconds == 0 ? hold_release(db, in, e) < 0 : hold_take(db, in, &state, e) < 0)
		return -1;
	app_wake(app);
	out->is_stopped = state.is_stopped;
	out->status = instance_status_name(state.status);
	out->desired = instance_desired_name(state.desired);
	return 0;
}

#define PAGE 100

/* In the order of their ids: one that is made meanwhile is told of by its event. */
int on_list_all(struct call *c, struct err *e)
{
	static const char sql[] = "SELECT id, user_id FROM instances"
				  " WHERE desired <> 'deleted' AND was_ready"
				  "  AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2";
	const struct instance_all_req *in = CALL_IN(c, instance_all_req);
	struct instance_all *out = CALL_OUT(c, instance_all);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	bool is_full = true;

	params_text_or_null(&p, in->after);
	params_int(&p, PAGE);
	if (pg_take(app->db, &db, e) < 0 || pg_query(db, sql, p.values, p.count, &res, e) < 0)
		return -1;
	out->items_count = (size_t)PQntuples(res);
	out->items = arena_alloc(&c->arena, (out->items_count + 1) * sizeof(*out->items));
	for (size_t i = 0; out->items && i < out->items_count; i++) {
		out->items[i].instance_id = arena_strdup(&c->arena, pg_text(res, (int)i, "id"));
		out->items[i].user_id = arena_strdup(&c->arena, pg_text(res, (int)i, "user_id"));
		is_full &= out->items[i].instance_id && out->items[i].user_id;
	}
	if (!out->items || !is_full)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (out->items_count == PAGE)
		out->next = out->items[PAGE - 1].instance_id;
	return 0;
}
