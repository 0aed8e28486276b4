#include "link/ask.h"

#include "link/holder.h"
#include "link/link.h"

#include "base/json.h"

#include <sodium.h>

/* The bus waits as long as its subject says; the holder gives up before that. */
#define HOLDER_MARGIN_MS 500

int ask_find(const struct call *c, const char *instance_id, struct link_place *ret, struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (pg_take(app->db, &db, e) < 0)
		return -1;
	return link_find(db, c->ctx.user_id, instance_id, ret, e);
}

const char *ask_once_id(const struct call *c, char ret[ASK_ONCE_SIZE])
{
	const char *parts[] = { c->ctx.user_id, c->ctx.idempotency_key, c->request_hash };
	unsigned char hash[ASK_ONCE_BYTES];
	crypto_generichash_state h;

	if (!c->ctx.idempotency_key[0]) {
		random_hex(ASK_ONCE_BYTES, ret);
		return ret;
	}
	crypto_generichash_init(&h, NULL, 0, sizeof(hash));
	for (size_t i = 0; i < COUNT(parts); i++)
		crypto_generichash_update(&h, (const unsigned char *)parts[i],
		                          strlen(parts[i]) + 1);
	crypto_generichash_final(&h, hash, sizeof(hash));
	sodium_bin2hex(ret, ASK_ONCE_SIZE, hash, sizeof(hash));
	return ret;
}

int ask_need_up(const struct link_place *at, struct err *e)
{
	const struct instance *i = &at->instance;

	if (at->is_up)
		return 0;
	if (i->status == INSTANCE_RUNNING || i->status == INSTANCE_UNHEALTHY)
		return err_busy(e, ERR_UNAVAILABLE, 2, "the assistant is not reached right now");
	return err_set(e, ERR_CONFLICT, "the assistant is %s: start it first",
	               instance_status_name(i->status));
}

static int ask_here(const struct ask *ask, const cJSON *params, cJSON **ret, struct err *e)
{
	const struct link_ask a = { ask->at->instance.id, ask->method, params,
		                    ask->timeout_ms ? ask->timeout_ms : ASK_MS };

	return links_call(ask->app->links, &a, ret, e);
}

static int ask_holder(const struct ask *ask, const cJSON *params, cJSON **ret, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(json_text) char *text = cJSON_PrintUnformatted(params);
	struct link_ask_req in = { .instance_id = ask->at->instance.id,
		                   .method = ask->method,
		                   .params = text,
		                   .timeout_ms = ask->timeout_ms ? ask->timeout_ms : ASK_MS };
	struct link_ask_reply out = { 0 };
	const struct bus_to to = { SUBJ_LINK_ASK, ask->at->holder };
	struct bus_ctx ctx = *ask->who;

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	arena_init(&a, 2 * ASK_REPLY_MAX);
	/* Of the process itself, not of the person: whose it is was found out here. */
	ctx.user_id[0] = ctx.session_id[0] = ctx.idempotency_key[0] = '\0';
	if (bus_call_at(ask->app->bus, &to, &ctx, &in, &a, &out, e) < 0)
		return -1;
	*ret = NULL;
	return out.payload ? json_parse(out.payload, strlen(out.payload), ret, e) : 0;
}

int ask_gateway(const struct ask *ask, cJSON **ret, struct err *e)
{
	OWN(json) cJSON *none = ask->params ? NULL : cJSON_CreateObject();
	const cJSON *params = ask->params ? ask->params : none;

	if (!params)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_need_up(ask->at, e) < 0)
		return -1;
	if (strcmp(ask->at->holder, holder_name(ask->app)) == 0)
		return ask_here(ask, params, ret, e);
	return ask_holder(ask, params, ret, e);
}

int ask_call(struct call *c, const struct link_place *at, const char *method, const cJSON *params,
             cJSON **ret, struct err *e)
{
	const struct ask a = { c->app, &c->ctx, at, method, params, 0 };

	return ask_gateway(&a, ret, e);
}

/* Asked by another instance-manager, which has seen to whose it is. */
int on_link_ask(struct call *c, struct err *e)
{
	const struct link_ask_req *in = CALL_IN(c, link_ask_req);
	struct link_ask_reply *out = CALL_OUT(c, link_ask_reply);
	struct app *app = c->app;
	OWN(json) cJSON *params = NULL;
	OWN(json) cJSON *got = NULL;
	OWN(json_text) char *text = NULL;
	struct link_ask ask = { in->instance_id, in->method, NULL,
		                (int)in->timeout_ms - HOLDER_MARGIN_MS };

	if (json_parse(in->params, strlen(in->params), &params, e) < 0)
		return -1;
	ask.params = params;
	if (links_call(app->links, &ask, &got, e) < 0)
		return -1;
	if (!got)
		return 0;
	text = cJSON_PrintUnformatted(got);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (strlen(text) > ASK_REPLY_MAX)
		return err_set(e, ERR_TOO_LARGE, "the assistant answers with too much at once");
	out->payload = arena_strdup(&c->arena, text);
	return out->payload ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
