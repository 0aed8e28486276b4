#include "ws.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "cron.h"
#include "people.h"
#include "usage.h"
#include "ws_wire.h"

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, TICK_MS = 30000, LOOK_MS = 1000 };

struct message {
	char role[12], text[WS_TEXT_MAX];
	int64_t at;
};

struct session {
	char key[128], label[128];
	int64_t created_at, updated_at;
	int count; /* all; the last WS_MESSAGES_MAX are kept */
	struct message messages[WS_MESSAGES_MAX];
};

/* lock guards all of it. Events lie in a ring; each connection has its own place in it. */
static struct {
	pthread_mutex_t lock;
	struct session *sessions[WS_SESSIONS_MAX];
	char *events[WS_EVENTS_MAX];
	char runs[WS_RUNS_MAX][WS_RUN_MAX]; /* the last, which are not started again */
	unsigned int run_count;
	unsigned long long event_count;
} w = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct conn {
	struct stub *stub;
	int fd;
	unsigned long long at, seq; /* place in the ring; number of the last event sent */
	bool is_in, is_subscribed, is_dead;
};

/* ---- what is known ------------------------------------------------------------------------------ */

static void event_add(struct text *t)
{
	char **slot = &w.events[w.event_count % WS_EVENTS_MAX];

	free(*slot);
	*slot = t->failed ? NULL : t->data;
	w.event_count++;
}

static void session_add(struct text *t, const struct session *s)
{
	text_printf(t, "{\"key\":");
	text_json(t, s->key);
	text_printf(t, ",\"displayName\":");
	text_json(t, s->count ? s->messages[0].text : s->key);
	text_printf(t, ",\"label\":");
	text_json(t, s->label[0] ? s->label : NULL);
	text_printf(t,
	            ",\"channel\":\"%s\",\"kind\":\"direct\",\"createdAt\":%lld,\"updatedAt\":%lld,"
	            "\"modelProvider\":\"fake\",\"model\":\"echo\"}",
	            strstr(s->key, ":telegram:") ? "telegram" : "webchat", (long long)s->created_at,
	            (long long)s->updated_at);
}

static void message_add(struct text *t, const struct message *m, int seq)
{
	text_printf(t, "{\"role\":\"%s\",\"content\":", m->role);
	text_json(t, m->text);
	text_printf(t, ",\"timestamp\":%lld,\"__openclaw\":{\"id\":\"m%d\",\"seq\":%d}}",
	            (long long)m->at, seq, seq);
}

/* With the lock. */
static struct session *session_of(const char *key, bool make)
{
	for (size_t i = 0; i < WS_SESSIONS_MAX; i++) {
		if (!w.sessions[i] && make) {
			w.sessions[i] = calloc(1, sizeof(*w.sessions[i]));
			if (w.sessions[i]) {
				snprintf(w.sessions[i]->key, sizeof(w.sessions[i]->key), "%s", key);
				w.sessions[i]->created_at = unix_ms();
			}
			return w.sessions[i];
		}
		if (w.sessions[i] && strcmp(w.sessions[i]->key, key) == 0)
			return w.sessions[i];
	}
	return NULL;
}

void ws_message(struct stub *stub, const char *key, const char *role, const char *text)
{
	struct text t = { 0 };
	struct session *s;
	uint64_t one = 1;

	pthread_mutex_lock(&w.lock);
	s = session_of(key, true);
	if (s) {
		struct message *m = &s->messages[s->count % WS_MESSAGES_MAX];

		snprintf(m->role, sizeof(m->role), "%s", role);
		snprintf(m->text, sizeof(m->text), "%s", text);
		m->at = s->updated_at = unix_ms();
		s->count++;
		text_printf(&t, "\"event\":\"session.message\",\"payload\":{\"sessionKey\":");
		text_json(&t, key);
		text_printf(&t, ",\"messageSeq\":%d,\"message\":", s->count);
		message_add(&t, m, s->count);
		text_printf(&t, ",\"session\":");
		session_add(&t, s);
		text_printf(&t, "}");
		event_add(&t);
	}
	if (s && strcmp(role, "assistant") == 0) {
		struct text end = { 0 };

		text_printf(&end, "\"event\":\"sessions.changed\",\"payload\":{\"phase\":\"end\","
		                  "\"sessionKey\":");
		text_json(&end, key);
		text_printf(&end, ",\"session\":");
		session_add(&end, s);
		text_printf(&end, "}");
		event_add(&end);
	}
	pthread_mutex_unlock(&w.lock);
	if (write(stub->ws_fd, &one, sizeof(one)) < 0)
		abort();
}

/* ---- methods ------------------------------------------------------------------------------------ */

static void on_list(struct text *out)
{
	int count = 0;

	text_printf(out, "{\"sessions\":[");
	pthread_mutex_lock(&w.lock);
	for (size_t i = 0; i < WS_SESSIONS_MAX; i++) {
		if (!w.sessions[i])
			continue;
		if (count++)
			text_add(out, ",", 1);
		session_add(out, w.sessions[i]);
	}
	pthread_mutex_unlock(&w.lock);
	text_printf(out, "],\"count\":%d,\"hasMore\":false}", count);
}

static void on_history(const struct json *params, struct text *out)
{
	int limit = (int)json_int_at(params, "limit", 50);
	int offset = (int)json_int_at(params, "offset", 0);
	const struct session *s;
	int first, end, kept, total;

	pthread_mutex_lock(&w.lock);
	s = session_of(json_string_at(params, "sessionKey", ""), false);
	total = s ? s->count : 0;
	kept = total < WS_MESSAGES_MAX ? total : WS_MESSAGES_MAX;
	end = total - offset;
	first = end - limit > total - kept ? end - limit : total - kept;
	text_printf(out, "{\"messages\":[");
	for (int i = first; i < end; i++) {
		if (i > first)
			text_add(out, ",", 1);
		message_add(out, &s->messages[i % WS_MESSAGES_MAX], i + 1);
	}
	text_printf(out, "],\"hasMore\":%s,\"totalMessages\":%d}",
	            first > total - kept ? "true" : "false", total);
	pthread_mutex_unlock(&w.lock);
}

static void chat_event(const char *run, const char *key, const char *state, const char *reply)
{
	struct text t = { 0 };

	text_printf(&t, "\"event\":\"chat\",\"payload\":{\"runId\":");
	text_json(&t, run);
	text_printf(&t, ",\"sessionKey\":");
	text_json(&t, key);
	text_printf(&t, ",\"seq\":%d,\"state\":\"%s\",\"deltaText\":",
	            strcmp(state, "final") == 0 ? 2 : 1, state);
	text_json(&t, reply);
	text_printf(&t, ",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
	                "\"text\":");
	text_json(&t, reply);
	text_printf(&t, "}]}}");
	pthread_mutex_lock(&w.lock);
	event_add(&t);
	pthread_mutex_unlock(&w.lock);
}

static bool is_new_run(const char *run)
{
	bool is_known = false;

	pthread_mutex_lock(&w.lock);
	for (unsigned int i = 0; i < WS_RUNS_MAX; i++)
		is_known |= strcmp(w.runs[i], run) == 0;
	if (!is_known)
		snprintf(w.runs[w.run_count++ % WS_RUNS_MAX], WS_RUN_MAX, "%s", run);
	pthread_mutex_unlock(&w.lock);
	return !is_known;
}

static void on_chat(struct stub *s, const struct json *params, struct text *out)
{
	const char *run = json_string_at(params, "idempotencyKey", "");
	const char *key = json_string_at(params, "sessionKey", "");
	const char *message = json_string_at(params, "message", "");
	char reply[WS_TEXT_MAX];

	if (is_new_run(run)) {
		usage_reply(s, message, reply, sizeof(reply));
		ws_message(s, key, "user", message);
		chat_event(run, key, "delta", reply);
		ws_message(s, key, "assistant", reply);
		chat_event(run, key, "final", reply);
	}
	text_printf(out, "{\"runId\":");
	text_json(out, run);
	text_printf(out, ",\"status\":\"started\"}");
}

/* Its row with a new name, or its end, is told as the real one does. With the lock. */
static void session_changed(struct text *t, const struct session *s, const char *reason)
{
	text_printf(t,
	            "\"event\":\"sessions.changed\",\"payload\":{\"reason\":\"%s\",\"sessionKey\":",
	            reason);
	text_json(t, s->key);
	if (strcmp(reason, "delete") != 0) {
		text_printf(t, ",\"session\":");
		session_add(t, s);
	}
	text_printf(t, "}");
	event_add(t);
}

static bool on_session_change(const struct json *params, bool is_end, struct text *out)
{
	struct text t = { 0 };
	struct session *s;

	pthread_mutex_lock(&w.lock);
	s = session_of(json_string_at(params, "key", ""), false);
	if (s && !is_end)
		snprintf(s->label, sizeof(s->label), "%s", json_string_at(params, "label", ""));
	if (s)
		session_changed(&t, s, is_end ? "delete" : "patch");
	for (size_t i = 0; is_end && i < WS_SESSIONS_MAX; i++) {
		if (s && w.sessions[i] == s) {
			memmove(&w.sessions[i], &w.sessions[i + 1],
			        (WS_SESSIONS_MAX - i - 1) * sizeof(w.sessions[0]));
			w.sessions[WS_SESSIONS_MAX - 1] = NULL;
			free(s);
			break;
		}
	}
	pthread_mutex_unlock(&w.lock);
	text_printf(out, "{\"ok\":true}");
	return s != NULL;
}

static bool run(struct conn *c, const char *method, const struct json *params, struct text *out,
                const char **ret_error)
{
	if (strcmp(method, "sessions.subscribe") == 0) {
		c->is_subscribed = true;
		text_printf(out, "{\"subscribed\":true}");
	} else if (strcmp(method, "sessions.list") == 0) {
		on_list(out);
	} else if (strcmp(method, "chat.history") == 0) {
		on_history(params, out);
	} else if (strcmp(method, "chat.send") == 0) {
		on_chat(c->stub, params, out);
	} else if (strcmp(method, "sessions.patch") == 0 ||
	           strcmp(method, "sessions.delete") == 0) {
		if (!on_session_change(params, method[9] == 'd', out)) {
			*ret_error = "unknown session";
			return false;
		}
	} else if (strcmp(method, "chat.abort") == 0) {
		text_printf(out, "{\"aborted\":false}");
	} else if (strcmp(method, "sessions.usage") == 0) {
		usage_tell(out);
	} else if (strncmp(method, "cron.", 5) == 0) {
		return cron_run(method + 5, params, out, ret_error);
	} else if (strncmp(method, "channels.pairing.", 17) == 0) {
		return pairing_run(method + 17, params, out, ret_error);
	} else if (strcmp(method, "config.get") == 0 || strcmp(method, "config.set") == 0) {
		return config_run(c->stub, method, params, out, ret_error);
	} else {
		return rpc_run(c->stub, method, params, out, ret_error);
	}
	return true;
}

/* ---- one connection ----------------------------------------------------------------------------- */

static void put(struct conn *c, struct text *t)
{
	if (t->failed || !ws_send(c->fd, TEXT, t->data, t->len))
		c->is_dead = true;
	text_done(t);
}

static void on_connect(struct conn *c, const char *id, const struct json *params)
{
	const char *token = json_string_at(params, "auth/token", "");
	const char *device = json_string_at(params, "device/id", "");
	char request_id[33], want[CONF_TOKEN_MAX];
	struct text t = { 0 };

	pthread_mutex_lock(&c->stub->lock);
	memcpy(want, c->stub->conf.gateway_token, sizeof(want));
	pthread_mutex_unlock(&c->stub->lock);
	text_printf(&t, "{\"type\":\"res\",\"id\":");
	text_json(&t, id);
	if (strlen(device) != 64 ||
	    (strcmp(token, want) != 0 && strcmp(token, "stub-device") != 0)) {
		text_printf(&t, ",\"ok\":false,\"error\":{\"code\":\"UNAUTHORIZED\",\"message\":"
		                "\"unauthorized\"}}");
		c->is_dead = true;
	} else if (!ws_is_paired(c->stub, device, request_id)) {
		text_printf(
			&t,
			",\"ok\":false,\"error\":{\"code\":\"NOT_PAIRED\",\"message\":\"pairing "
			"required\",\"details\":{\"code\":\"PAIRING_REQUIRED\",\"requestId\":"
			"\"%s\"}}}",
			request_id);
		c->is_dead = true;
	} else {
		text_printf(&t,
		            ",\"ok\":true,\"payload\":{\"type\":\"hello-ok\",\"protocol\":4,"
		            "\"server\":{\"version\":\"2026.9.6\"},\"auth\":{\"role\":\"operator\","
		            "\"scopes\":[\"operator.read\",\"operator.write\",\"operator.admin\","
		            "\"operator.pairing\",\"operator.approvals\"],\"deviceToken\":"
		            "\"stub-device\"},\"policy\":{\"maxPayload\":131072,"
		            "\"tickIntervalMs\":30000}}}");
		c->is_in = true;
		pthread_mutex_lock(&w.lock);
		c->at = w.event_count;
		pthread_mutex_unlock(&w.lock);
	}
	put(c, &t);
}

static bool is_answered(struct conn *c, const char *method)
{
	struct conf conf;
	struct steer steer;

	stub_snapshot(c->stub, &conf, &steer);
	if (strcmp(method, steer.dumb) != 0)
		return true;
	stub_log("%s is not answered, as stub.json says", method);
	return false;
}

static void on_request(struct conn *c, const char *data, size_t len)
{
	struct json *j = json_parse(data, len);
	const char *id = json_string_at(j, "id", ""), *method = json_string_at(j, "method", "");
	struct text out = { 0 }, payload = { 0 };
	const char *error = NULL;

	if (strcmp(method, "connect") == 0) {
		on_connect(c, id, json_at(j, "params"));
	} else if (!c->is_in) {
		c->is_dead = true;
	} else if (is_answered(c, method)) {
		bool ok = run(c, method, json_at(j, "params"), &payload, &error);

		text_printf(&out, "{\"type\":\"res\",\"id\":");
		text_json(&out, id);
		if (ok) {
			text_printf(&out, ",\"ok\":true,\"payload\":");
			text_add(&out, payload.data ? payload.data : "null",
			         payload.data ? payload.len : 4);
		} else {
			text_printf(&out, ",\"ok\":false,\"error\":{\"code\":\"INVALID_REQUEST\","
			                  "\"message\":");
			text_json(&out, error ? error : "not supported");
			text_printf(&out, "}");
		}
		text_printf(&out, "}");
		put(c, &out);
	}
	text_done(&payload);
	json_free(j);
}

static void event_send(struct conn *c, const char *rest)
{
	struct text t = { 0 };

	text_printf(&t, "{\"type\":\"event\",\"seq\":%llu,", ++c->seq);
	text_add(&t, rest, strlen(rest));
	text_add(&t, "}", 1);
	put(c, &t);
}

/* What has happened since the last look. */
static void events_send(struct conn *c)
{
	while (!c->is_dead) {
		char *copy = NULL;
		bool more;

		pthread_mutex_lock(&w.lock);
		if (w.event_count - c->at > WS_EVENTS_MAX) {
			c->seq += w.event_count - WS_EVENTS_MAX - c->at; /* a gap, and it shows */
			c->at = w.event_count - WS_EVENTS_MAX;
		}
		more = c->at < w.event_count;
		if (more && w.events[c->at % WS_EVENTS_MAX])
			copy = strdup(w.events[c->at % WS_EVENTS_MAX]);
		c->at += more;
		pthread_mutex_unlock(&w.lock);
		if (!more)
			return;
		if (copy && c->is_subscribed)
			event_send(c, copy);
		free(copy);
	}
}

static void serve(struct conn *c, char *buf)
{
	int64_t tick_ms = now_ms() + TICK_MS;

	while (!c->is_dead && !stub_stopping(c->stub)) {
		struct pollfd p[3] = { { .fd = c->fd, .events = POLLIN },
			               { .fd = c->stub->stop_fd, .events = POLLIN },
			               { .fd = c->stub->ws_fd, .events = POLLIN } };
		uint64_t count;
		size_t len;

		if (poll(p, 3, LOOK_MS) < 0)
			break;
		if (p[0].revents) {
			int opcode = ws_receive(c->fd, buf, WS_FRAME_MAX, &len);

			if (opcode == TEXT)
				on_request(c, buf, len);
			else if (opcode == PING)
				c->is_dead |= !ws_send(c->fd, PONG, buf, len);
			else if (opcode != PONG)
				c->is_dead = true;
		}
		if (p[2].revents)
			(void)!read(c->stub->ws_fd, &count, sizeof(count));
		if (c->is_in)
			events_send(c);
		if (c->is_in && now_ms() >= tick_ms) {
			event_send(c, "\"event\":\"tick\",\"payload\":{}");
			tick_ms = now_ms() + TICK_MS;
		}
	}
	if (c->is_in && stub_stopping(c->stub))
		event_send(c,
		           "\"event\":\"shutdown\",\"payload\":{\"reason\":\"gateway stopping\"}");
	ws_send(c->fd, CLOSE, c->is_in ? "\x03\xf4" : "\x03\xf0", 2);
}

void ws_serve(struct stub *s, int fd, const char *head)
{
	struct conn c = { .stub = s, .fd = fd };
	char *buf = malloc(WS_FRAME_MAX);
	struct text t = { 0 };
	char nonce[33];

	if (buf && ws_accept(fd, head)) {
		ws_random_hex(nonce, 16);
		text_printf(&t,
		            "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{"
		            "\"nonce\":\"%s\",\"ts\":%lld}}",
		            nonce, (long long)unix_ms());
		put(&c, &t);
		serve(&c, buf);
	}
	free(buf);
}
