#include "link/news.h"

#include "assistant_config.h"
#include "link/chat_news.h"
#include "link/holder.h"
#include "link/link.h"
#include "link/link_store.h"
#include "link/session_store.h"
#include "link/sync.h"
#include "link/usage.h"
#include "reconcile.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "instance_store.h"

#define COLUMN_DEVICE "instance_links.device_token"
#define APPROVE_MS    5000
#define ANSWER_MAX    (64 * 1024)

static int write_state(const struct news_of *of, const char *reason, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (pg_take(of->app->db, &db, e) < 0)
		return -1;
	return link_write_state(db, holder_name(of->app), of->id, reason, e);
}

/* All that is kept of it is asked for; where that was done a moment ago, or took too long, later. */
static int ask_all(const struct news_of *of, struct err *e)
{
	if (!pace_begin(of->pace, clock_mono_ms())) {
		links_resync(of->app->links, of->id);
		return 0;
	}
	if (sync_run(of, e) == 0 && usage_pull(of, e) == 0)
		return 0;
	if (e->code == ERR_TIMEOUT)
		pace_too_slow(of->pace, clock_mono_ms());
	return -1;
}

static int on_up(const struct news_of *of, struct news *n, struct err *e)
{
	(void)n;
	return write_state(of, NULL, e) < 0 ? -1 : ask_all(of, e);
}

static int on_down(const struct news_of *of, struct news *n, struct err *e)
{
	/* Where containers are reached at their own addresses, it may come back at another. */
	if (of->app->reach == CONTAINER_REACH_NETWORK)
		holder_forget(of->app->holder, of->id);
	return write_state(of, n->text, e);
}

static int on_token(const struct news_of *of, struct news *n, struct err *e)
{
	const struct vault_place where = { of->user_id, of->id, COLUMN_DEVICE };
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(pg_conn) struct pg_conn *db = NULL;
	const char *sealed;

	arena_init(&a, ANSWER_MAX);
	if (vault_seal(of->app->vault, &where, n->text, &a, &sealed, e) < 0 ||
	    pg_take(of->app->db, &db, e) < 0)
		return -1;
	return link_write_token(db, holder_name(of->app), of->id, sealed, e);
}

/* Where the gateway's admin route is, and its token; in the arena. */
static int admin_of(const struct news_of *of, struct arena *a, const char **ret_url,
                    const char **ret_token, struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct engine_state box;
	struct instance i;
	const char *address = "127.0.0.1";
	int port;

	if (pg_take(of->app->db, &db, e) < 0 || store_load(db, of->user_id, of->id, &i, e) < 0 ||
	    assistant_gateway_token(of->app, &i, a, ret_token, e) < 0)
		return -1;
	port = i.port;
	if (of->app->reach == CONTAINER_REACH_NETWORK) {
		if (engine_inspect(of->app->engine, i.container_name, &box, e) < 0)
			return -1;
		address = box.address;
		port = CONTAINER_PORT;
	}
	*ret_url = arena_printf(a, "http://%s:%d/api/v1/admin/rpc", address, port);
	return *ret_url ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* Approves the request of our own device, with the gateway's token, as its owner would. */
static int on_approve(const struct news_of *of, struct news *n, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(json) cJSON *body = cJSON_CreateObject();
	OWN(json_text) char *text = NULL;
	cJSON *params = cJSON_AddObjectToObject(body, "params");
	struct http_req req = { .method = "POST",
		                .timeout_ms = APPROVE_MS,
		                .answer_max = ANSWER_MAX };
	struct http_res res;

	arena_init(&a, 4 * ANSWER_MAX);
	if (cJSON_AddStringToObject(body, "method", "device.pair.approve") &&
	    cJSON_AddStringToObject(params, "requestId", n->text))
		text = cJSON_PrintUnformatted(body);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (admin_of(of, &a, &req.path, &req.bearer, e) < 0)
		return -1;
	req.body = text;
	req.body_len = strlen(text);
	if (http_call(of->app->probes, &req, &a, &res, e) < 0)
		return -1;
	if (res.status != 200)
		return err_set(e, ERR_UPSTREAM, "our device was not approved: HTTP %d", res.status);
	log_info("our device is approved by an assistant's gateway", "instance_id", of->id);
	links_retry(of->app->links, of->id);
	return 0;
}

static int on_gap(const struct news_of *of, struct news *n, struct err *e)
{
	(void)n;
	return ask_all(of, e);
}

static int on_session(const struct news_of *of, struct news *n, struct err *e)
{
	char trace[INSTANCE_TRACE_SIZE];
	const struct session_write w = { holder_name(of->app), of->id, trace };
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct session_row row;
	bool is_gone = false, is_changed = false;
	const char *phase = json_text(n->payload, "phase");

	if (!session_row_of_event(n->text, n->payload, &row, &is_gone))
		return 0;
	/* A run has ended: it has cost something. */
	if (phase && strcmp(phase, "end") == 0)
		links_resync(of->app->links, of->id);
	sync_trace(trace);
	if (pg_take(of->app->db, &db, e) < 0)
		return -1;
	if ((is_gone ? session_drop(db, &w, row.key, &is_changed, e)
	             : session_put(db, &w, &row, &is_changed, e)) < 0)
		return -1;
	if (is_changed)
		outbox_wake(of->app->outbox);
	return 0;
}

/* Why a channel does not work is the reconciler's to find out and tell (probe.h): it is asked to look
 * now where the row says something else. */
static int on_channel(const struct news_of *of, struct news *n, struct err *e)
{
	bool is_up = strcmp(n->text, probe_name(PROBE_READY)) == 0;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct lease_poke poke = { .exit_code = -1 };
	struct instance i;

	if (pg_take(of->app->db, &db, e) < 0 || store_load(db, of->user_id, of->id, &i, e) < 0)
		return -1;
	if (is_up && i.is_channel_up)
		return 0;
	snprintf(poke.id, sizeof(poke.id), "%s", of->id);
	reconcile_poke(of->app->reconciler, &poke);
	return 0;
}

static int on_event(const struct news_of *of, struct news *n, struct err *e)
{
	/* clang-format off */
	static const struct {
		const char *event;
		int (*run)(const struct news_of *of, struct news *n, struct err *e);
	} rows[] = {
		{ "sessions.changed", on_session },
		{ "session.message",  on_session },
		{ "chat",             chat_news },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(rows); i++)
		if (strcmp(rows[i].event, n->text) == 0)
			return rows[i].run(of, n, e);
	return 0;
}

void on_news(const struct news_of *of, struct news *n)
{
	/* clang-format off */
	static const struct {
		int (*run)(const struct news_of *of, struct news *n, struct err *e);
		const char *what;
	} rows[] = {
		[NEWS_UP]      = { on_up,      "up" },
		[NEWS_DOWN]    = { on_down,    "down" },
		[NEWS_TOKEN]   = { on_token,   "token" },
		[NEWS_APPROVE] = { on_approve, "approve" },
		[NEWS_CHANNEL] = { on_channel, "channel" },
		[NEWS_GAP]     = { on_gap,     "gap" },
		[NEWS_EVENT]   = { on_event,   "event" },
	};
	/* clang-format on */
	struct err e = ERR_INIT;

	if (rows[n->kind].run(of, n, &e) == 0)
		return;
	if (n->kind == NEWS_UP || n->kind == NEWS_GAP || n->kind == NEWS_EVENT)
		links_resync(of->app->links, of->id);
	log_warn("what an assistant's gateway told was lost", "instance_id", of->id, "news",
	         rows[n->kind].what, "event", n->kind == NEWS_EVENT ? n->text : "", "code",
	         err_name(e.code), "error", e.msg);
}
