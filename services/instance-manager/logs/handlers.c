#include "app.h"

#include "assistant_config.h"
#include "instance_store.h"
#include "logs/lines.h"
#include "logs/mask.h"

#include "base/clock.h"

#define TAIL_DEFAULT 200
#define SECRETS_MAX  (OPENCLAW_PROVIDERS_MAX + 3)

/* Every secret that this instance has, and the platform's that it may have. */
static int secrets_of(struct app *app, struct pg_conn *db, const struct instance *i,
                      struct arena *a, const char *ret[SECRETS_MAX], struct err *e)
{
	struct assistant_providers own;

	if (assistant_providers_open(app, db, i, a, &own, e) < 0 ||
	    assistant_gateway_token(app, i, a, &ret[0], e) < 0 ||
	    assistant_bot_token(app, db, i, a, &ret[1], e) < 0)
		return -1;
	ret[2] = app->default_provider_api_key;
	for (size_t k = 0; k < own.count; k++)
		ret[3 + k] = own.list[k].api_key;
	return 0;
}

static int to_views(const struct log_lines *lines, struct arena *a, struct log_view *out,
                    struct err *e)
{
	out->items = arena_alloc(a, (lines->count + 1) * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < lines->count; i++) {
		struct log_line_view *v = &out->items[i];
		char at[CLOCK_TEXT_SIZE];

		v->text = lines->list[i].text;
		v->at = arena_strdup(a, clock_text(lines->list[i].at_ms, at));
		if (!v->at)
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	out->items_count = lines->count;
	return 0;
}

int on_logs(struct call *c, struct err *e)
{
	const struct log_req *in = CALL_IN(c, log_req);
	struct log_view *out = CALL_OUT(c, log_view);
	const int tail = in->has_tail ? (int)in->tail : TAIL_DEFAULT;
	const struct engine_logs what = { tail, in->after, true };
	const char *secrets[SECRETS_MAX] = { 0 }, *text = "";
	char *masked;
	struct app *app = c->app;
	struct log_lines lines;
	struct instance i;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	{
		OWN(pg_conn) struct pg_conn *db = NULL;

		if (pg_take(app->db, &db, e) < 0 ||
		    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0 ||
		    (in->after && logs_place_check(in->after, e) < 0) ||
		    secrets_of(app, db, &i, &c->arena, secrets, e) < 0)
			return -1;
	}
	if (engine_logs(app->engine, i.container_name, &what, &c->arena, &text, e) < 0) {
		/* A container that is not there now has written nothing. */
		if (e->code != ERR_NOT_FOUND)
			return -1;
		text = "";
	}
	masked = arena_strdup(&c->arena, text);
	if (!masked)
		return err_set(e, ERR_INTERNAL, "out of memory");
	mask_text(masked, secrets, SECRETS_MAX); /* before long lines are cut, perhaps within one */
	if (logs_lines(masked, (size_t)tail, &c->arena, &lines, e) < 0 ||
	    to_views(&lines, &c->arena, out, e) < 0)
		return -1;
	out->follow = lines.place[0] ? arena_strdup(&c->arena, lines.place) : in->after;
	return lines.place[0] && !out->follow ? err_set(e, ERR_INTERNAL, "out of memory") : 0;
}
