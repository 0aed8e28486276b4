/* Answers to POST /api/v1/admin/rpc, in the shapes of ../samples. */

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "json.h"
#include "stub.h"
#include "ws.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct rpc {
	struct stub *stub;
	const struct json *params; /* may be NULL */
	struct channel channel;    /* as it was when the request came */
	struct conf conf;
	struct text *out;  /* the payload goes here */
	const char *error; /* set instead where the request is refused */
};

/* A JSON number, or null for a time that never was. */
static void add_time(struct text *t, const char *key, int64_t ms)
{
	if (ms)
		text_printf(t, "\"%s\":%lld,", key, (long long)ms);
	else
		text_printf(t, "\"%s\":null,", key);
}

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

static void add_string(struct text *t, const char *key, const char *value)
{
	text_printf(t, "\"%s\":", key);
	text_json(t, value);
	text_add(t, ",", 1);
}

static void add_probe(struct rpc *r)
{
	const struct channel *c = &r->channel;

	if (c->probe_status == 200) {
		text_printf(r->out,
		            "\"probe\":{\"ok\":true,\"status\":null,\"error\":null,\"bot\":{");
		add_string(r->out, "username", c->username);
		add_string(r->out, "firstName", c->name);
		text_printf(r->out, "\"id\":%lld,\"isBot\":true},\"elapsedMs\":1},",
		            (long long)c->bot_id);
	} else {
		text_printf(
			r->out,
			"\"probe\":{\"ok\":false,\"status\":%d,\"error\":\"%s\",\"elapsedMs\":1},",
			c->probe_status, c->probe_status == 401 ? "Unauthorized" : "failed");
	}
}

/* One account of the channel, without the closing brace. */
static void add_account(struct rpc *r, bool probe)
{
	static const char *const lives[] = { "starting", "ready", "recovering", "blocked",
		                             "stopped" };
	const struct channel *c = &r->channel;
	struct text *t = r->out;

	text_printf(t, "{\"accountId\":\"default\",\"enabled\":true,");
	add_time(t, "lastStartAt", c->started_at);
	add_time(t, "lastStopAt", c->stopped_at);
	if (probe)
		add_probe(r);
	text_printf(t, "\"restartPending\":false,\"reconnectAttempts\":0,\"lifecycle\":\"%s\",",
	            lives[c->life]);
	if (c->life == LIFE_BLOCKED)
		text_printf(t, "\"terminalDisconnect\":true,"
		               "\"healthState\":\"terminal-disconnect\",");
	if (c->life == LIFE_RECOVERING)
		text_printf(t, "\"healthState\":\"disconnected\",");
	if (c->connected_at)
		add_time(t, "lastConnectedAt", c->connected_at);
	add_time(t, "lastInboundAt", c->inbound_at);
	add_time(t, "lastOutboundAt", c->outbound_at);
	add_string(t, "lastError", c->error[0] ? c->error : NULL);
	text_printf(t,
	            "\"tokenSource\":\"config\",\"tokenStatus\":\"available\",\"mode\":\"polling\","
	            "\"allowUnmentionedGroups\":false,\"configured\":true,\"running\":%s,"
	            "\"connected\":%s,\"lastProbeAt\":null",
	            truth(c->running), truth(c->connected));
}

static void add_issues(struct rpc *r)
{
	text_printf(r->out, "\"statusIssues\":[");
	if (r->channel.error[0]) {
		text_printf(r->out, "{\"channel\":\"telegram\",\"accountId\":\"default\","
		                    "\"kind\":\"runtime\",\"message\":");
		text_json(r->out, r->channel.error);
		text_printf(r->out,
		            ",\"fix\":\"resolve the reported channel error, then restart the "
		            "channel\"}");
	}
	text_printf(r->out, "]");
}

static void channels_status(struct rpc *r)
{
	bool probe = json_bool_at(r->params, "probe", false);

	if (!r->conf.telegram) {
		text_printf(r->out,
		            "{\"ts\":%lld,\"channelOrder\":[],\"channelLabels\":{},\"channels\":{},"
		            "\"channelAccounts\":{},\"channelDefaultAccountId\":{},"
		            "\"statusIssues\":[]}",
		            (long long)unix_ms());
		return;
	}
	text_printf(r->out,
	            "{\"ts\":%lld,\"channelOrder\":[\"telegram\"],"
	            "\"channelLabels\":{\"telegram\":\"Telegram\"},\"channels\":{\"telegram\":{"
	            "\"configured\":true,\"running\":%s,",
	            (long long)unix_ms(), truth(r->channel.running));
	add_time(r->out, "lastStartAt", r->channel.started_at);
	add_time(r->out, "lastStopAt", r->channel.stopped_at);
	add_string(r->out, "lastError", r->channel.error[0] ? r->channel.error : NULL);
	if (probe)
		add_probe(r);
	text_printf(r->out, "\"tokenSource\":\"config\",\"mode\":\"polling\"}},"
	                    "\"channelAccounts\":{\"telegram\":[");
	add_account(r, probe);
	text_printf(r->out, "}]},\"channelDefaultAccountId\":{\"telegram\":\"default\"},");
	add_issues(r);
	text_printf(r->out, "}");
}

static void health(struct rpc *r)
{
	text_printf(r->out,
	            "{\"ok\":true,\"ts\":%lld,\"durationMs\":1,\"plugins\":{\"loaded\":["
	            "\"admin-http-rpc\",\"telegram\"],\"errors\":[],\"unavailable\":[]},"
	            "\"configReload\":{\"hotReloadStatus\":\"active\"},\"channels\":{",
	            (long long)unix_ms());
	if (r->conf.telegram) {
		text_printf(r->out, "\"telegram\":");
		add_account(r, false);
		text_printf(r->out, ",\"accounts\":{\"default\":");
		add_account(r, false);
		text_printf(r->out, "}}}");
	}
	text_printf(r->out,
	            "},\"channelOrder\":[%s],\"heartbeatSeconds\":1800,\"defaultAgentId\":\"main\","
	            "\"agents\":[{\"agentId\":\"main\",\"isDefault\":true}],"
	            "\"sessions\":{\"count\":0,\"recent\":[]}}",
	            r->conf.telegram ? "\"telegram\"" : "");
}

static void status(struct rpc *r)
{
	text_printf(r->out,
	            "{\"runtimeVersion\":\"2026.9.6\",\"stub\":true,\"channelSummary\":[%s],"
	            "\"queuedSystemEvents\":[],\"sessions\":{\"count\":0,\"recent\":[]},"
	            "\"tasks\":{\"total\":0,\"active\":0}}",
	            r->conf.telegram ? "\"Telegram: configured\"" : "");
}

/* Starts the channel over, also where it was blocked. */
static void channels_start(struct rpc *r)
{
	if (strcmp(json_string_at(r->params, "channel", ""), "telegram") != 0) {
		r->error = "unknown channel";
		return;
	}
	pthread_mutex_lock(&r->stub->lock);
	if (r->stub->steer.telegram == TELEGRAM_OFF)
		r->stub->steer.telegram = TELEGRAM_OK;
	pthread_mutex_unlock(&r->stub->lock);
	stub_news(r->stub);
	text_printf(r->out, "{\"channel\":\"telegram\",\"accountId\":\"default\","
	                    "\"started\":true,\"outcome\":{\"status\":\"handed-off\"}}");
}

static void pair_approve(struct rpc *r)
{
	const char *id = json_string_at(r->params, "requestId", NULL);

	if (!id)
		r->error = "invalid device.pair.approve params: must have required property "
			   "'requestId'";
	else if (!ws_approve(r->stub, id))
		r->error = "unknown requestId";
	else
		text_printf(r->out, "{\"requestId\":\"%s\"}", id);
}

static void pair_list(struct rpc *r)
{
	text_printf(r->out, "{\"pending\":[],\"paired\":[]}");
}

static const struct {
	const char *method;
	void (*answer)(struct rpc *r);
} methods[] = {
	{ "health", health },
	{ "status", status },
	{ "channels.status", channels_status },
	{ "channels.start", channels_start },
	{ "device.pair.approve", pair_approve },
	{ "device.pair.list", pair_list },
};

static void new_id(char ret[37])
{
	unsigned char b[16] = { 0 };
	size_t len = 0;

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		b[0] = 1; /* an id for people to read; nothing relies on it */
	for (size_t i = 0; i < sizeof(b); i++)
		len += (size_t)snprintf(ret + len, 37 - len,
		                        i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
		                        b[i]);
}

static int failure(struct text *out, const char *id, const char *message)
{
	text_printf(out, "{\"id\":");
	text_json(out, id);
	text_printf(out, ",\"ok\":false,\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":");
	text_json(out, message);
	text_printf(out, "}}");
	return 400;
}

bool rpc_run(struct stub *s, const char *method, const struct json *params, struct text *payload,
             const char **ret_error)
{
	struct rpc r = { .stub = s, .params = params, .out = payload };
	size_t i = 0;

	while (i < COUNT(methods) && strcmp(methods[i].method, method) != 0)
		i++;
	if (i == COUNT(methods))
		return false;
	pthread_mutex_lock(&s->lock);
	r.channel = s->channel;
	r.conf = s->conf;
	pthread_mutex_unlock(&s->lock);
	methods[i].answer(&r);
	*ret_error = r.error;
	return !r.error;
}

static int dispatch(struct stub *s, const struct json *body, struct text *out)
{
	const char *method = json_string_at(body, "method", ""), *error = NULL;
	struct text payload = { 0 };
	char id[37], message[256];

	new_id(id);
	if (!rpc_run(s, method, json_at(body, "params"), &payload, &error)) {
		snprintf(message, sizeof(message), "admin HTTP RPC method is not supported: %.100s",
		         method);
		text_done(&payload);
		return failure(out, id, error ? error : message);
	}
	text_printf(out, "{\"id\":\"%s\",\"ok\":true,\"payload\":", id);
	text_add(out, payload.data ? payload.data : "null", payload.data ? payload.len : 4);
	text_printf(out, "}");
	out->failed |= payload.failed;
	text_done(&payload);
	return 200;
}

int rpc_answer(struct stub *s, const char *body, size_t len, struct text *out)
{
	struct json *j = body ? json_parse(body, len) : NULL;
	int status_code = 400;

	if (j && j->type == JSON_OBJECT)
		status_code = dispatch(s, j, out);
	else
		text_printf(out,
		            "{\"ok\":false,\"error\":{\"type\":\"invalid_request\",\"message\":"
		            "\"request body must be valid JSON\"}}");
	json_free(j);
	return status_code;
}
