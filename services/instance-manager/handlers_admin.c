#include "app.h"

#include "admin_store.h"
#include "checkpoint.h"

#include "base/fault.h"
#include "base/log.h"

/* What the operator asks through zakictl. Only its own user of the bus may (deploy/nats). */

#define LIST_DEFAULT 50

/* In one word; what is behind it, the status and its cause say. */
static const char *health_of(const struct instance *i)
{
	if (i->operation != INSTANCE_OP_NONE || !instance_is_settled(i->status))
		return "busy";
	switch (i->status) {
	case INSTANCE_RUNNING:
		return i->is_channel_up ? "ok" : "ailing";
	case INSTANCE_STOPPED:
		return "off";
	case INSTANCE_ERROR:
		return "failed";
	default:
		return "ailing";
	}
}

static int to_view(const struct app *app, const struct instance *i, struct arena *a,
                   struct instance_admin_view *ret, struct err *e)
{
	*ret = (struct instance_admin_view){
		.instance_id = arena_strdup(a, i->id),
		.user_id = arena_strdup(a, i->user_id),
		.name = arena_strdup(a, i->name),
		.status = instance_status_name(i->status),
		.status_cause = instance_cause_name(i),
		.health = health_of(i),
		.image = i->image[0] ? arena_strdup(a, i->image) : NULL,
		.wanted_image = i->upgrade != UPGRADE_NONE ? arena_strdup(a, i->upgrade_to)
		                                           : app->openclaw_image,
		.port = i->port,
	};
	return ret->instance_id && ret->user_id && ret->name && ret->wanted_image &&
	                       (ret->image || !i->image[0])
	               ? 0
	               : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_instance_admin_list(struct call *c, struct err *e)
{
	const struct instance_admin_list_req *in = CALL_IN(c, instance_admin_list_req);
	struct instance_admin_list *out = CALL_OUT(c, instance_admin_list);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct instance_page page;

	if (instance_page_init(&page, in->cursor, in->has_limit ? in->limit : LIST_DEFAULT, e) <
	            0 ||
	    pg_take(app->db, &db, e) < 0 || admin_list(db, &c->arena, &page, e) < 0)
		return -1;
	out->items_count = page.count;
	out->next_cursor = page.next_cursor;
	out->items = arena_alloc(&c->arena, (page.count + 1) * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < page.count; i++)
		if (to_view(app, &page.list[i], &c->arena, &out->items[i], e) < 0)
			return -1;
	return 0;
}

enum upgradable { IS_UPGRADABLE, HAS_IMAGE, IS_UNDER_WAY };

/* -1: not now, and why. */
static int judge(const struct instance *i, const char *image, enum upgradable *ret, struct err *e)
{
	if (i->desired == INSTANCE_WANT_DELETED)
		return err_set(e, ERR_CONFLICT, "the assistant is being deleted");
	if (i->operation == INSTANCE_OP_UPGRADE && strcmp(i->upgrade_to, image) == 0) {
		*ret = IS_UNDER_WAY;
		return 0;
	}
	if (i->operation != INSTANCE_OP_NONE)
		return err_set(e, ERR_CONFLICT, "something else is under way with it: %s",
		               instance_operation_name(i->operation));
	if (i->is_held)
		return err_set(e, ERR_CONFLICT, "its files are being restored from a backup");
	if (!instance_is_settled(i->status) || !i->image[0])
		return err_set(e, ERR_CONFLICT, "it is %s just now",
		               instance_status_name(i->status));
	*ret = strcmp(i->image, image) == 0 ? HAS_IMAGE : IS_UPGRADABLE;
	return 0;
}

/* Is all there that an upgrade needs? The backup is begun by asking. */
static int prepare(struct app *app, const struct instance *i, struct err *e)
{
	char status[CHECKPOINT_STATUS_SIZE];
	bool has_image = false;

	if (engine_has_image(app->engine, app->openclaw_image, &has_image, e) < 0)
		return -1;
	if (!has_image)
		return err_set(e, ERR_CONFLICT,
		               "the image %s is not on this server: build or pull it first",
		               app->openclaw_image);
	/* One that never ran has nothing that it could lose. */
	if (!i->was_ready || checkpoint_ask(app, i, "upgrade", i->upgrade_ms, status, e) == 0)
		return 0;
	log_warn("no backup before an upgrade", "instance_id", i->id, "code", err_name(e->code),
	         "error", e->msg);
	return err_set(e, ERR_CONFLICT,
	               "storage-backup does not answer, and an upgrade begins with a backup: "
	               "start it first");
}

/* In one transaction: from here on it is the reconciler's. */
static int write_wish(struct app *app, const struct instance *asked, char ret_id[UUID_SIZE],
                      struct instance *ret, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	enum upgradable is = HAS_IMAGE;
	struct instance i;

	ret_id[0] = '\0';
	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    admin_lock(db, asked->id, &i, e) < 0 || judge(&i, app->openclaw_image, &is, e) < 0)
		return -1;
	if (is == IS_UPGRADABLE) {
		memcpy(i.upgrade_to, asked->upgrade_to, sizeof(i.upgrade_to));
		memcpy(i.trace_id, asked->trace_id, sizeof(i.trace_id));
		i.upgrade_ms = asked->upgrade_ms;
		memcpy(i.upgrade_from, i.image, sizeof(i.upgrade_from));
		if (admin_want_upgrade(db, &i, e) < 0)
			return -1;
	}
	if (is != HAS_IMAGE && admin_operation(db, i.id, ret_id, e) < 0)
		return -1;
	*ret = i;
	return pg_commit(&tx, e);
}

int on_instance_admin_upgrade(struct call *c, struct err *e)
{
	const struct instance_upgrade_req *in = CALL_IN(c, instance_upgrade_req);
	struct instance_upgrade_asked *out = CALL_OUT(c, instance_upgrade_asked);
	struct app *app = c->app;
	enum upgradable is = HAS_IMAGE;
	char id[UUID_SIZE];
	long long now_ms = 0;
	struct instance i;

	{
		OWN(pg_conn) struct pg_conn *db = NULL;

		if (pg_take(app->db, &db, e) < 0 ||
		    admin_load(db, in->instance_id, &i, &now_ms, e) < 0 ||
		    judge(&i, app->openclaw_image, &is, e) < 0)
			return -1;
	}
	i.upgrade_ms = now_ms;
	snprintf(i.upgrade_to, sizeof(i.upgrade_to), "%s", app->openclaw_image);
	snprintf(i.trace_id, sizeof(i.trace_id), "%s", c->ctx.trace_id);
	if ((is == IS_UPGRADABLE && prepare(app, &i, e) < 0) || write_wish(app, &i, id, &i, e) < 0)
		return -1;
	/* A crash here: nobody was answered, and yet it will be done. */
	fault_point("upgrade.wanted");
	app_wake(app);
	log_info("asked for", "instance_id", i.id, "user_id", i.user_id, "operation", "upgrade");
	out->operation_id = id[0] ? arena_strdup(&c->arena, id) : NULL;
	out->image_from = arena_strdup(&c->arena, id[0] ? i.upgrade_from : i.image);
	out->image_to = app->openclaw_image;
	return out->image_from && (out->operation_id || !id[0])
	               ? 0
	               : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_instance_admin_upgrade_get(struct call *c, struct err *e)
{
	static const char sql[] =
		"SELECT o.step, o.finished_at IS NOT NULL AS is_finished, o.error AS why,"
		"  CASE WHEN o.error IS NULL THEN NULL ELSE i.upgrade_cause END AS what,"
		"  i.id, i.status, nullif(i.image, '') AS image FROM operations o"
		" JOIN instances i ON i.id = o.instance_id WHERE o.id = $1 AND o.kind = 'upgrade'";
	const struct instance_upgrade_ref *in = CALL_IN(c, instance_upgrade_ref);
	struct instance_upgrade_state *out = CALL_OUT(c, instance_upgrade_state);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;
	const struct {
		const char *column;
		const char **to;
	} texts[] = { { "id", &out->instance_id }, { "step", &out->step },
		      { "why", &out->error },      { "what", &out->cause },
		      { "status", &out->status },  { "image", &out->image } };

	if (pg_take(app->db, &db, e) < 0 ||
	    pg_query(db, sql, (const char *[]){ in->operation_id }, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such upgrade, or its assistant is gone");
	out->is_finished = pg_bool(res, 0, "is_finished");
	for (size_t i = 0; i < COUNT(texts); i++) {
		const char *text = pg_text(res, 0, texts[i].column);

		*texts[i].to = text ? arena_strdup(&c->arena, text) : NULL;
		if (text && !*texts[i].to)
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	return 0;
}
