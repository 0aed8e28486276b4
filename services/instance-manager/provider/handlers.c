#include "app.h"

#include "assistant_config.h"
#include "change.h"
#include "provider/ask.h"
#include "provider/store.h"

#include "base/clock.h"
#include "base/fault.h"

#define LAST      4
#define LAST_FROM 12 /* characters of a key of which the last may be shown */
#define ASK_ARENA ((size_t)4 << 20)
/* Of one instance: none is asked later, and the last one has PROVIDER_TIMEOUT_MS. */
#define ASK_MS 8000

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "out of memory");
}

static int need_user(const struct call *c, struct err *e)
{
	return c->ctx.user_id[0] ? 0 : err_set(e, ERR_UNAUTHENTICATED, "sign in first");
}

/* The last characters of a key; NULL for one that is too short to show any of. */
static const char *last_of(const char *key, struct arena *a)
{
	size_t len = key ? strlen(key) : 0;

	return len >= LAST_FROM ? arena_strdup(a, key + len - LAST) : NULL;
}

static void show_prices(struct provider_view *v, const struct openclaw_provider *p)
{
	v->has_input_price_micros = v->has_output_price_micros =
		p->input_price_micros || p->output_price_micros;
	v->input_price_micros = p->input_price_micros;
	v->output_price_micros = p->output_price_micros;
}

static int add_platform(const struct app *app, struct call *c, struct provider_list *out,
                        struct err *e)
{
	struct provider_view *v = &out->items[out->items_count];
	struct openclaw_provider own;

	if (!assistant_platform_provider(app, &c->arena, &own))
		return 0;
	for (size_t i = 0; i < out->items_count; i++)
		if (strcmp(out->items[i].name, own.name) == 0)
			return 0;
	*v = (struct provider_view){ .name = own.name, .is_platform = true };
	show_prices(v, &own);
	out->items_count++;
	return v->name ? 0 : no_memory(e);
}

int on_provider_list(struct call *c, struct err *e)
{
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct provider_list *out = CALL_OUT(c, provider_list);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	long long times[OPENCLAW_PROVIDERS_MAX] = { 0 };
	struct assistant_providers own;
	struct instance i;
	char text[CLOCK_TEXT_SIZE];

	out->items = arena_alloc(&c->arena, (OPENCLAW_PROVIDERS_MAX + 1) * sizeof(*out->items));
	if (!out->items)
		return no_memory(e);
	if (need_user(c, e) < 0 || pg_take(app->db, &db, e) < 0 ||
	    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0 ||
	    assistant_providers_open(app, db, &i, &c->arena, &own, e) < 0 ||
	    provider_store_times(db, &i, times, e) < 0)
		return -1;
	for (size_t k = 0; k < own.count; k++) {
		struct provider_view *v = &out->items[k];

		v->name = own.list[k].name;
		v->base_url = own.list[k].base_url;
		v->key_last4 = last_of(own.list[k].api_key, &c->arena);
		show_prices(v, &own.list[k]);
		v->updated_at = arena_strdup(&c->arena, clock_text(times[k], text));
		if (!v->updated_at)
			return no_memory(e);
	}
	out->items_count = own.count;
	return add_platform(app, c, out, e);
}

/* Of the right form, and good as the provider itself says. */
static int check_provider(struct app *app, const struct openclaw_provider *p, struct arena *a,
                          struct err *e)
{
	struct provider_models models;
	const char *model = arena_printf(a, "%s/any", p->name);
	int r;

	if (!model)
		return no_memory(e);
	r = assistant_config_check(app, model, p, 1, e);
	if (r < 0 && strcmp(e->field, "model") == 0)
		return err_field(e, "name", "must be small letters, digits and . _ -");
	if (r < 0 && strncmp(e->field, "provider.", 9) == 0)
		memmove(e->field, e->field + 9, strlen(e->field + 9) + 1);
	return r < 0 ? -1 : provider_ask(app->providers, p, a, &models, e);
}

int provider_check_new(struct app *app, const struct provider_req *in, struct err *e)
{
	const struct openclaw_provider p = { in->name, in->api_key, in->base_url,
		                             in->input_price_micros, in->output_price_micros };
	OWN(arena) struct arena a = { .limit = ASK_ARENA };

	return check_provider(app, &p, &a, e) < 0 ? err_under(e, "provider") : 0;
}

static int put(struct call *c, const struct provider_put_req *in, struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct openclaw_provider sealed = { .name = in->name,
		                            .base_url = in->base_url,
		                            .input_price_micros = in->input_price_micros,
		                            .output_price_micros = in->output_price_micros };
	struct instance i;

	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    change_lock(db, &c->ctx, in->instance_id, &i, e) < 0 ||
	    assistant_provider_seal(app, &i, in->name, in->api_key, &c->arena, &sealed.api_key, e) <
	            0 ||
	    provider_store_put(db, &i, &sealed, e) < 0)
		return -1;
	i.config_generation++;
	if (change_write(db, &c->ctx, &i, NULL, "provider_set", &i, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

int on_provider_put(struct call *c, struct err *e)
{
	const struct provider_put_req *in = CALL_IN(c, provider_put_req);
	const struct openclaw_provider p = { in->name, in->api_key, in->base_url,
		                             in->input_price_micros, in->output_price_micros };
	struct provider_view *out = CALL_OUT(c, provider_view);
	struct app *app = c->app;
	struct instance i;
	char now[CLOCK_TEXT_SIZE];

	if (need_user(c, e) < 0)
		return -1;
	{
		/* Whose it is, before others are asked on behalf of someone who may not. */
		OWN(pg_conn) struct pg_conn *db = NULL;
		OWN(arena) struct arena a = { .limit = ASK_ARENA };

		if (pg_take(app->db, &db, e) < 0 ||
		    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0)
			return -1;
		pg_give(TAKE(db));
		if (check_provider(app, &p, &a, e) < 0)
			return -1;
	}
	if (put(c, in, e) < 0)
		return -1;
	/* A crash here: it is written, and is carried out by whoever comes next. */
	fault_point("provider.wanted");
	app_wake(app);
	out->name = in->name;
	out->base_url = in->base_url;
	out->key_last4 = last_of(in->api_key, &c->arena);
	show_prices(out, &p);
	out->updated_at = arena_strdup(&c->arena, clock_text(clock_now_ms(), now));
	return out->updated_at ? 0 : no_memory(e);
}

int on_provider_delete(struct call *c, struct err *e)
{
	const struct provider_ref *in = CALL_IN(c, provider_ref);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct instance i;

	if (need_user(c, e) < 0 || pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    change_lock(db, &c->ctx, in->instance_id, &i, e) < 0 ||
	    provider_store_delete(db, &i, in->name, e) < 0)
		return -1;
	if (assistant_model_check(app, db, &i, &c->arena, e) < 0)
		return e->code == ERR_INVALID
		               ? err_set(e, ERR_CONFLICT,
		                         "its model %s needs this provider: choose another first",
		                         i.model)
		               : -1;
	i.config_generation++;
	if (change_write(db, &c->ctx, &i, NULL, "provider_removed", &i, e) < 0 ||
	    pg_commit(&tx, e) < 0)
		return -1;
	app_wake(app);
	return 0;
}

/* Which models a provider has, or why that is not known, into the answer. */
static int add_models(struct http_client *client, const struct openclaw_provider *p,
                      long long until_ms, struct call *c, struct err *e)
{
	struct model_list *out = CALL_OUT(c, model_list);
	OWN(arena) struct arena a = { .limit = ASK_ARENA };
	struct provider_models found = { 0 };
	struct err why = ERR_INIT;

	if (clock_mono_ms() > until_ms)
		err_set(&why, ERR_TIMEOUT, "was not asked: the others took too long");
	else
		(void)provider_ask(client, p, &a, &found, &why);
	if (why.code != ERR_NONE) {
		struct provider_problem *problem = &out->problems[out->problems_count++];

		problem->provider = p->name;
		problem->message = arena_printf(&c->arena, "%s%s%s", why.field,
		                                why.field[0] ? " " : "", why.msg);
		return problem->message ? 0 : no_memory(e);
	}
	for (size_t i = 0; i < found.count && out->items_count < PROVIDER_MODELS_MAX; i++) {
		struct model_view *v = &out->items[out->items_count++];

		v->id = arena_strdup(&c->arena, found.ids[i]);
		v->provider = p->name;
		if (!v->id)
			return no_memory(e);
	}
	return 0;
}

int on_model_list(struct call *c, struct err *e)
{
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct model_list *out = CALL_OUT(c, model_list);
	struct app *app = c->app;
	long long until_ms = clock_mono_ms() + ASK_MS;
	struct openclaw_provider platform;
	struct assistant_providers own;
	struct instance i;
	bool has_platform;

	out->items = arena_alloc(&c->arena, PROVIDER_MODELS_MAX * sizeof(*out->items));
	out->problems =
		arena_alloc(&c->arena, (OPENCLAW_PROVIDERS_MAX + 1) * sizeof(*out->problems));
	if (!out->items || !out->problems)
		return no_memory(e);
	if (need_user(c, e) < 0)
		return -1;
	{
		OWN(pg_conn) struct pg_conn *db = NULL;

		if (pg_take(app->db, &db, e) < 0 ||
		    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0 ||
		    assistant_providers_open(app, db, &i, &c->arena, &own, e) < 0)
			return -1;
	}
	has_platform = assistant_platform_provider(app, &c->arena, &platform);
	for (size_t k = 0; k < own.count; k++) {
		has_platform = has_platform && strcmp(own.list[k].name, platform.name) != 0;
		if (add_models(app->providers, &own.list[k], until_ms, c, e) < 0)
			return -1;
	}
	if (has_platform && add_models(app->platform_llm, &platform, until_ms, c, e) < 0)
		return -1;
	out->current = arena_strdup(&c->arena, i.model);
	return out->current ? 0 : no_memory(e);
}
