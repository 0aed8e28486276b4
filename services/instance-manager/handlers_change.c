#include "app.h"

#include "assistant_config.h"
#include "bot.h"
#include "change.h"
#include "instance_store.h"
#include "owner/awaiter.h"
#include "owner/owner.h"
#include "quota.h"
#include "record.h"

#include "base/fault.h"
#include "base/log.h"

#include <sodium.h>

#define GATEWAY_TOKEN_BYTES 24
#define PORT_TRIES          8

/* What a new instance is made of, besides its row. */
struct birth {
	struct instance row;
	struct store_bot bot;
	const struct provider_req *provider; /* NULL: none */
	const char *provider_key_encrypted;
	const char *create_key; /* "": none */
	bool has_link;          /* its owner is bound by one */
	long long max;          /* instances that the person may have */
};

static int seal_gateway_token(const struct app *app, struct instance *i, struct arena *a,
                              struct err *e)
{
	const struct vault_place where = { i->user_id, i->id, ASSISTANT_GATEWAY_TOKEN };
	char token[2 * GATEWAY_TOKEN_BYTES + 1];
	const char *sealed = NULL;
	int r;

	random_hex(GATEWAY_TOKEN_BYTES, token);
	r = vault_seal(app->vault, &where, token, a, &sealed, e);
	vault_wipe(token);
	if (r < 0)
		return -1;
	if (strlen(sealed) >= sizeof(i->gateway_token_encrypted))
		return err_set(e, ERR_INTERNAL, "sealed gateway token is too long");
	snprintf(i->gateway_token_encrypted, sizeof(i->gateway_token_encrypted), "%s", sealed);
	return 0;
}

static int seal_provider_key(const struct app *app, struct birth *b, struct arena *a, struct err *e)
{
	if (!b->provider)
		return 0;
	return assistant_provider_seal(app, &b->row, b->provider->name, b->provider->api_key, a,
	                               &b->provider_key_encrypted, e);
}

static int check_model(const struct app *app, const char *model,
                       const struct provider_req *provider, struct err *e)
{
	struct openclaw_provider own = { 0 };

	if (provider)
		own = (struct openclaw_provider){ provider->name, provider->api_key,
			                          provider->base_url, provider->input_price_micros,
			                          provider->output_price_micros };
	return assistant_config_check(app, model, &own, provider ? 1 : 0, e);
}

/* The row, as it will be claimed. Asks Telegram. */
static int conceive(struct call *c, struct birth *b, struct err *e)
{
	const struct instance_create_req *in = CALL_IN(c, instance_create_req);
	struct instance *i = &b->row;
	struct app *app = c->app;
	struct telegram_bot bot;

	b->provider = in->provider;
	if (!in->model && !app->default_model[0])
		return err_field(e, "model", "must be given: this platform has no default model");
	snprintf(i->model, sizeof(i->model), "%s", in->model ? in->model : app->default_model);
	if (check_model(app, i->model, in->provider, e) < 0 ||
	    (in->provider && provider_check_new(app, in->provider, e) < 0) ||
	    bot_ask(app, in->bot_token, &c->arena, &bot, e) < 0)
		return -1;

	uuid_make(i->id);
	snprintf(i->user_id, sizeof(i->user_id), "%s", c->ctx.user_id);
	snprintf(i->trace_id, sizeof(i->trace_id), "%s", c->ctx.trace_id);
	snprintf(i->name, sizeof(i->name), "%s",
	         in->name      ? in->name
	         : bot.name[0] ? bot.name
	                       : bot.username);
	container_name(i->id, i->container_name);
	snprintf(i->image, sizeof(i->image), "%s", app->openclaw_image);
	i->owner_telegram_id = in->has_owner_telegram_id ? in->owner_telegram_id : 0;
	b->has_link = !i->owner_telegram_id && app->owner_link_s > 0 &&
	              (!in->has_owner_link || in->owner_link);
	i->memory_mib = CONTAINER_MEMORY_MIB;
	b->create_key = c->ctx.idempotency_key;
	if (bot_seal(app, i, in->bot_token, &bot, &c->arena, &b->bot, e) < 0 ||
	    seal_gateway_token(app, i, &c->arena, e) < 0)
		return -1;
	return seal_provider_key(app, b, &c->arena, e);
}

/* Before Telegram is asked: has this very request made one already (*ret_found), and may there be
 * one more? Both are asked again where they count, in claim(). */
static int precheck(struct call *c, long long max, struct instance *ret, bool *ret_found,
                    struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	*ret_found = false;
	if (pg_take(app->db, &db, e) < 0 ||
	    (c->ctx.idempotency_key[0] &&
	     store_find_created(db, c->ctx.user_id, c->ctx.idempotency_key, ret, ret_found, e) < 0))
		return -1;
	return *ret_found ? 0 : quota_check(db, c->ctx.user_id, max, e);
}

static int insert_provider(struct pg_conn *db, const struct birth *b, const struct instance *i,
                           struct err *e)
{
	const struct provider_req *p = b->provider;
	const struct openclaw_provider sealed = { p->name, b->provider_key_encrypted, p->base_url,
		                                  p->input_price_micros, p->output_price_micros };

	return store_insert_provider(db, i, &sealed, e);
}

/* Everything that claims: the quota, the bot, the port. In one transaction, so that a crash leaves
 * all of it or nothing. ERR_CONFLICT: the port went to another; try again. */
static int claim(struct app *app, struct pg_conn *db, struct birth *b, struct arena *a,
                 struct instance *ret, struct err *e)
{
	long long span = app->port_max - app->port_min + 1;
	long long start = app->port_min + randombytes_uniform((uint32_t)span);
	OWN(pg_tx) struct pg_tx tx = { 0 };
	bool is_found = false;

	if (pg_begin(db, &tx, e) < 0 || store_lock_user(db, b->row.user_id, e) < 0)
		return -1;
	/* Made before a crash that kept its answer from the person. */
	if (b->create_key[0] &&
	    store_find_created(db, b->row.user_id, b->create_key, ret, &is_found, e) < 0)
		return -1;
	if (is_found)
		return 0;
	if (quota_check(db, b->row.user_id, b->max, e) < 0 ||
	    store_free_port(db, app->port_min, app->port_max, start, &b->row.port, e) < 0 ||
	    store_insert(db, &b->row, &b->bot, b->create_key, ret, e) < 0)
		return -1;
	if (b->provider && insert_provider(db, b, ret, e) < 0)
		return -1;
	if (b->has_link && owner_link_open(app, db, ret, a, e) < 0)
		return -1;
	if (record_begin(db, ret, e) < 0 || record_audit(db, ret, "user", "create", NULL, e) < 0 ||
	    outbox_add_status(db, ret, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

/* The port may go to another between the look for a free one and the claim of it. */
static int claim_tries(struct app *app, struct birth *b, struct arena *a, struct instance *ret,
                       struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (pg_take(app->db, &db, e) < 0)
		return -1;
	for (int i = 0; i < PORT_TRIES; i++) {
		*e = ERR_INIT;
		if (claim(app, db, b, a, ret, e) == 0)
			return 0;
		if (e->code != ERR_CONFLICT)
			return -1;
	}
	return err_set(e, ERR_UNAVAILABLE, "no port could be claimed");
}

/* Its owner's eyes only: whoever opens the link has the assistant. */
static int view_with_link(struct call *c, const struct instance *i, struct err *e)
{
	struct instance_view *out = CALL_OUT(c, instance_view);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (instance_to_view(i, &c->arena, out, e) < 0 || pg_take(app->db, &db, e) < 0)
		return -1;
	return owner_link_text(app, db, i, &c->arena, &out->owner_link, e);
}

int on_create(struct call *c, struct err *e)
{
	struct app *app = c->app;
	struct birth b = { 0 };
	struct instance made;
	bool is_made = false;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (quota_of(app, &c->ctx, &c->arena, &b.max, e) < 0 ||
	    precheck(c, b.max, &made, &is_made, e) < 0)
		return -1;
	if (!is_made) {
		if (conceive(c, &b, e) < 0 || claim_tries(app, &b, &c->arena, &made, e) < 0)
			return -1;
		/* A crash here: the instance is there, and is made by whoever comes next. */
		fault_point("create.claimed");
		app_wake(app);
		awaiter_wake(app->awaiter);
		log_info("asked for", "instance_id", made.id, "user_id", made.user_id, "operation",
		         "create");
	}
	return view_with_link(c, &made, e);
}

/* What a PATCH changes of the row; true where OpenClaw's config says it too. */
static bool apply_update(const struct instance_update_req *in, struct instance *i)
{
	bool is_config = in->bot_token != NULL;

	if (in->name)
		snprintf(i->name, sizeof(i->name), "%s", in->name);
	if (in->model && strcmp(in->model, i->model) != 0) {
		snprintf(i->model, sizeof(i->model), "%s", in->model);
		is_config = true;
	}
	if (in->has_owner_telegram_id && in->owner_telegram_id != i->owner_telegram_id) {
		i->owner_telegram_id = in->owner_telegram_id;
		is_config = true;
	}
	if (in->has_memory_mib)
		i->memory_mib = (int)in->memory_mib;
	return is_config;
}

static int write_update(struct call *c, const struct telegram_bot *bot, struct instance *ret,
                        struct err *e)
{
	const struct instance_update_req *in = CALL_IN(c, instance_update_req);
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct store_bot sealed = { 0 };
	struct instance i, before;

	if (pg_take(app->db, &db, e) < 0 || pg_begin(db, &tx, e) < 0 ||
	    change_lock(db, &c->ctx, in->instance_id, &i, e) < 0)
		return -1;
	before = i;
	if (apply_update(in, &i))
		i.config_generation++;
	if (strcmp(i.model, before.model) != 0 &&
	    assistant_model_check(app, db, &i, &c->arena, e) < 0)
		return -1;
	if (in->bot_token && bot_seal(app, &i, in->bot_token, bot, &c->arena, &sealed, e) < 0)
		return -1;
	if (i.config_generation == before.config_generation && i.memory_mib == before.memory_mib &&
	    strcmp(i.name, before.name) == 0) {
		*ret = i;
		return 0;
	}

	if ((in->has_owner_telegram_id && owner_link_drop(db, &i, e) < 0) ||
	    change_write(db, &c->ctx, &i, in->bot_token ? &sealed : NULL, "update", ret, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

int on_update(struct call *c, struct err *e)
{
	const struct instance_update_req *in = CALL_IN(c, instance_update_req);
	struct app *app = c->app;
	struct telegram_bot bot = { 0 };
	struct instance i;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	/* Whose it is, before Telegram is asked on behalf of someone who may not. */
	if (in->bot_token) {
		OWN(pg_conn) struct pg_conn *db = NULL;

		if (pg_take(app->db, &db, e) < 0 ||
		    store_load(db, c->ctx.user_id, in->instance_id, &i, e) < 0)
			return -1;
	}
	if ((in->bot_token && bot_ask(app, in->bot_token, &c->arena, &bot, e) < 0) ||
	    write_update(c, &bot, &i, e) < 0)
		return -1;
	/* A crash here: the change is written, and is carried out by whoever comes next. */
	fault_point("update.wanted");
	app_wake(app);
	return instance_to_view(&i, &c->arena, CALL_OUT(c, instance_view), e);
}
