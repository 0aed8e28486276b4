#include "app.h"

#include "activity/activity.h"
#include "instance_store.h"

#define LIST_DEFAULT 50
#define DIGITS_MAX   18

static int cursor_read(const char *text, long long *ret, struct err *e)
{
	size_t len = strlen(text);

	if (len == 0 || len > DIGITS_MAX || strspn(text, "0123456789") != len || text[0] == '0')
		return err_field(e, "cursor", "is not a cursor of this list");
	*ret = strtoll(text, NULL, 10);
	return 0;
}

int on_activity_list(struct call *c, struct err *e)
{
	const struct instance_page_req *in = CALL_IN(c, instance_page_req);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct activity_page page = { .user_id = c->ctx.user_id,
		                      .instance_id = in->instance_id,
		                      .limit = in->has_limit ? in->limit : LIST_DEFAULT };
	struct instance i;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (pg_take(app->db, &db, e) < 0 ||
	    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0 ||
	    (in->cursor && cursor_read(in->cursor, &page.before, e) < 0))
		return -1;
	return activity_list(db, &page, &c->arena, CALL_OUT(c, activity_list), e);
}

/* What other services have to tell of an instance. */
int on_activity_add(struct call *c, struct err *e)
{
	const struct activity_add_req *in = CALL_IN(c, activity_add_req);
	const struct activity what = { in->kind, in->actor, in->summary, c->ctx.trace_id };
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    activity_add(db, in->user_id, in->instance_id, &what, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	outbox_wake(app->outbox);
	return 0;
}
