/* How people reach an assistant, and who asks to. */

#include "app.h"

#include "instance_store.h"
#include "link/ask.h"
#include "link/read.h"
#include "owner/owner.h"
#include "settings/settings.h"

#include "base/fault.h"
#include "base/json.h"

#define TELEGRAM     "telegram"
#define ACCOUNT      "default"
#define PROBE_MS     3000
#define REASON_MAX   500
#define PAIRINGS_MAX 100
#define LINK_HEAD    "https://t.me/"
#define AWAITS       "It waits for its owner, who has to open its link in Telegram."

/* ---- channels ----------------------------------------------------------------------------------- */

static const char *status_of(const cJSON *account)
{
	const char *life = json_text(account, "lifecycle");

	if (!life || strcmp(life, "stopped") == 0)
		return "off";
	if (strcmp(life, "ready") == 0)
		return cJSON_IsFalse(read_at(account, "connected")) ? "disconnected" : "connected";
	if (strcmp(life, "starting") == 0)
		return "connecting";
	return strcmp(life, "blocked") == 0 ? "refused" : "disconnected";
}

/* What is known without asking: the row's. */
static void channel_stored(struct call *c, const struct instance *i, struct channel_view *v)
{
	*v = (struct channel_view){ .channel = TELEGRAM, .status = "off" };
	if (i->status == INSTANCE_RUNNING || i->status == INSTANCE_UNHEALTHY)
		v->status = i->is_channel_up ? "connected" : "disconnected";
	if (!i->is_channel_up && i->reason[0])
		v->reason = arena_strdup(&c->arena, i->reason);
	if (i->bot_username[0]) {
		v->bot_username = arena_strdup(&c->arena, i->bot_username);
		v->bot_link = arena_printf(&c->arena, LINK_HEAD "%s", i->bot_username);
	}
}

/* Its messages are read by ourselves until somebody opens the link (owner/awaiter.h). */
static int channel_awaits(struct call *c, const struct instance *i, struct channel_view *v,
                          struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	bool is_awaited = false;

	if (pg_take(app->db, &db, e) < 0 || owner_is_awaited(db, i->id, &is_awaited, e) < 0)
		return -1;
	if (is_awaited)
		v->reason = AWAITS;
	return 0;
}

static void channel_live(struct call *c, const cJSON *got, struct channel_view *v)
{
	const cJSON *accounts = read_at(read_at(got, "channelAccounts"), TELEGRAM);
	const cJSON *account = cJSON_GetArrayItem(accounts, 0);
	const cJSON *bot = read_at(read_at(account, "probe"), "bot");

	if (!cJSON_IsObject(account))
		return;
	v->status = status_of(account);
	v->reason = read_line(&c->arena, account, "lastError", REASON_MAX);
	v->bot_name = read_line(&c->arena, bot, "firstName", 255);
	v->last_inbound_at = read_time(&c->arena, account, "lastInboundAt");
	v->last_outbound_at = read_time(&c->arena, account, "lastOutboundAt");
}

int on_channel_list(struct call *c, struct err *e)
{
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct channel_list *out = CALL_OUT(c, channel_list);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0)
		return -1;
	out->items = arena_alloc(&c->arena, sizeof(*out->items));
	if (!out->items || !cJSON_AddTrueToObject(params, "probe") ||
	    !cJSON_AddNumberToObject(params, "timeoutMs", PROBE_MS))
		return err_set(e, ERR_INTERNAL, "out of memory");
	out->items_count = 1;
	out->live = at.is_up;
	out->as_of = at.is_up ? read_as_of(&c->arena, &at)
	                      : read_time_ms(&c->arena, at.instance.observed_ms);
	channel_stored(c, &at.instance, &out->items[0]);
	if (channel_awaits(c, &at.instance, &out->items[0], e) < 0)
		return -1;
	if (!at.is_up)
		return 0;
	if (ask_call(c, &at, "channels.status", params, &got, e) < 0)
		return -1;
	channel_live(c, got, &out->items[0]);
	return 0;
}

/* ---- who asks ----------------------------------------------------------------------------------- */

static bool pairing_read(struct arena *a, const cJSON *r, void *ret)
{
	struct pairing_view *v = ret;
	const cJSON *meta = read_at(r, "metadata");

	*v = (struct pairing_view){ 0 };
	v->code = read_word(a, r, "requestId", 128);
	v->channel = read_word(a, r, "channel", 64);
	v->sender_id = read_word(a, r, "senderId", 64);
	v->name = read_line(a, meta, "firstName", 255);
	v->username = read_line(a, meta, "username", 255);
	v->requested_at = read_time(a, r, "createdAt");
	v->expires_at = read_time(a, r, "expiresAt");
	return v->code && v->channel && v->sender_id;
}

int on_pairing_list(struct call *c, struct err *e)
{
	static const struct read_kind asking = { PAIRINGS_MAX, sizeof(struct pairing_view),
		                                 pairing_read };
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct pairing_list *out = CALL_OUT(c, pairing_list);
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0)
		return -1;
	out->live = at.is_up;
	out->as_of = read_as_of(&c->arena, &at);
	if (at.is_up && ask_call(c, &at, "channels.pairing.list", NULL, &got, e) < 0)
		return -1;
	out->items = read_each(&c->arena, read_at(got, "requests"), &asking, &out->items_count);
	return out->items ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* Approves or dismisses; the sender's id in the arena. */
static int settle(struct call *c, const struct link_place *at, const char *method, const char *code,
                  bool is_approval, const char **ret_sender, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;

	if (!cJSON_AddStringToObject(params, "channel", TELEGRAM) ||
	    !cJSON_AddStringToObject(params, "accountId", ACCOUNT) ||
	    !cJSON_AddStringToObject(params, "requestId", code) ||
	    (is_approval && !cJSON_AddTrueToObject(params, "notify")))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, at, method, params, &got, e) < 0)
		/* Unknown to the gateway: settled before, run out, or never there. */
		return e->code == ERR_INVALID
		               ? err_set(e, ERR_NOT_FOUND, "nobody asks with this code")
		               : -1;
	*ret_sender = read_word(&c->arena, got, "senderId", 64);
	return 0;
}

/* Who asks with this code; their id in the arena. */
static int find_sender(struct call *c, const struct link_place *at, const char *code,
                       const char **ret, struct err *e)
{
	OWN(json) cJSON *got = NULL;
	const cJSON *r;

	if (ask_call(c, at, "channels.pairing.list", NULL, &got, e) < 0)
		return -1;
	cJSON_ArrayForEach(r, read_at(got, "requests")) {
		const char *id = json_text(r, "requestId");

		if (!id || strcmp(id, code) != 0)
			continue;
		*ret = read_word(&c->arena, r, "senderId", 64);
		return *ret ? 0 : err_set(e, ERR_UPSTREAM, "the assistant does not say who asks");
	}
	return err_set(e, ERR_NOT_FOUND, "nobody asks with this code");
}

/* Who asks becomes the only one who may write, and is then let in: in the row, and from there in
 * OpenClaw's config, so that a crash in between locks nobody out. */
static int bind_owner(struct call *c, const struct link_place *at, const char *sender,
                      struct err *e)
{
	struct app *app = c->app;
	struct owner_bind b = { .user_id = c->ctx.user_id,
		                .id = at->instance.id,
		                .trace_id = c->ctx.trace_id };
	OWN(pg_conn) struct pg_conn *db = NULL;
	char *end = NULL;
	bool is_done = false;

	b.owner_id = strtoll(sender, &end, 10);
	if (b.owner_id <= 0 || *end)
		return err_set(e, ERR_UPSTREAM, "the assistant does not say who asks");
	if (at->instance.owner_telegram_id && at->instance.owner_telegram_id != b.owner_id)
		return err_set(e, ERR_CONFLICT, "this assistant has an owner already");
	if (pg_take(app->db, &db, e) < 0 || owner_bind(db, &b, &is_done, e) < 0)
		return -1;
	if (is_done)
		app_wake(app);
	/* A crash here: they are the owner, and still ask; the same request again lets them in. */
	fault_point("pairing.bound");
	return 0;
}

/* Where the settings name who may write, nobody is let in beside them. */
static int need_pairing(struct call *c, const struct instance *i, struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct settings s;

	if (pg_take(app->db, &db, e) < 0 ||
	    settings_load(db, c->ctx.user_id, i->id, i->owner_telegram_id, &s, e) < 0)
		return -1;
	return s.access == OPENCLAW_ALLOWLIST
	               ? err_set(e, ERR_CONFLICT,
	                         "its settings name who may write, and nobody else may: set "
	                         "access to pairing to let others ask")
	               : 0;
}

int on_pairing_approve(struct call *c, struct err *e)
{
	const struct pairing_approve_req *in = CALL_IN(c, pairing_approve_req);
	struct pairing_done *out = CALL_OUT(c, pairing_done);
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0 || ask_need_up(&at, e) < 0)
		return -1;
	out->code = in->code;
	out->owner = in->has_owner && in->owner;
	if (!out->owner && need_pairing(c, &at.instance, e) < 0)
		return -1;
	if (out->owner && (find_sender(c, &at, in->code, &out->sender_id, e) < 0 ||
	                   bind_owner(c, &at, out->sender_id, e) < 0))
		return -1;
	if (settle(c, &at, "channels.pairing.approve", in->code, true, &out->sender_id, e) < 0)
		return -1;
	/* A crash here: they may write. Asked again, nobody asks with this code any more. */
	fault_point("pairing.approved");
	return 0;
}

int on_pairing_dismiss(struct call *c, struct err *e)
{
	const struct pairing_ref *in = CALL_IN(c, pairing_ref);
	struct pairing_done *out = CALL_OUT(c, pairing_done);
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0 || ask_need_up(&at, e) < 0 ||
	    settle(c, &at, "channels.pairing.dismiss", in->code, false, &out->sender_id, e) < 0)
		return -1;
	out->code = in->code;
	return 0;
}
