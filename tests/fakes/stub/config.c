#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "stub.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { FILE_SIZE_MAX = 256 * 1024 }; /* bytes */

/* Root keys that OpenClaw 2026.9.6 takes; any other makes it refuse the file. */
static const char *const root_keys[] = {
	"$schema",  "acp",      "agents", "approvals", "audio",   "auth",        "bindings",
	"browser",  "channels", "cli",    "commands",  "cron",    "diagnostics", "discovery",
	"env",      "gateway",  "hooks",  "logging",   "mcp",     "media",       "memory",
	"messages", "meta",     "models", "nodeHost",  "plugins", "secrets",     "session",
	"skills",   "talk",     "tools",  "ui",        "update",  "web",         "wizard",
};

/* The whole file in t, or false with errno set. */
static bool file_read(const char *dir, const char *name, struct text *t)
{
	char path[512], buf[8192];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (t->len <= FILE_SIZE_MAX && (n = read(fd, buf, sizeof(buf))) > 0)
		text_add(t, buf, (size_t)n);
	if (n > 0)
		errno = EFBIG;
	close(fd);
	return n == 0 && !t->failed;
}

/* Why the last one was refused, by this thread. */
static _Thread_local char refusal[256];

const char *conf_refusal(void)
{
	return refusal;
}

static bool refuse(const char *why)
{
	snprintf(refusal, sizeof(refusal), "%s", why);
	stub_log("OpenClaw config is invalid: %s", why);
	return false;
}

static bool copy_string(const struct json *j, const char *path, char *ret, size_t size)
{
	const char *s = json_string_at(j, path, "");

	if (strlen(s) >= size)
		return refuse("a value is too long");
	memcpy(ret, s, strlen(s) + 1);
	return true;
}

static bool parse_allow(const struct json *list, struct conf *c)
{
	if (!list)
		return true;
	if (list->type != JSON_ARRAY)
		return refuse("channels.telegram.allowFrom is no list");
	for (const struct json *j = list->child; j; j = j->next) {
		char *entry;

		if (c->allow_count == CONF_ALLOW_MAX)
			return refuse("channels.telegram.allowFrom is too long");
		entry = c->allow[c->allow_count];
		if (j->type == JSON_STRING && strlen(j->string) < CONF_ALLOW_LEN_MAX)
			memcpy(entry, j->string, strlen(j->string) + 1);
		else if (j->type == JSON_NUMBER)
			snprintf(entry, CONF_ALLOW_LEN_MAX, "%.0f", j->number);
		else
			return refuse("channels.telegram.allowFrom has an entry that is no id");
		c->allow_count++;
	}
	return true;
}

static bool has_star(const struct conf *c)
{
	for (size_t i = 0; i < c->allow_count; i++) {
		if (strcmp(c->allow[i], "*") == 0)
			return true;
	}
	return false;
}

static bool parse_telegram(const struct json *t, struct conf *c)
{
	static const char *const names[] = { "pairing", "allowlist", "open", "disabled" };
	const char *policy = json_string_at(t, "dmPolicy", "pairing");
	size_t i = 0;

	c->telegram = t && json_bool_at(t, "enabled", true);
	while (i < COUNT(names) && strcmp(names[i], policy) != 0)
		i++;
	if (i == COUNT(names))
		return refuse("channels.telegram.dmPolicy is unknown");
	c->dm_policy = (enum dm_policy)i;
	if (!copy_string(t, "botToken", c->bot_token, sizeof(c->bot_token)) ||
	    !copy_string(t, "apiRoot", c->api_root, sizeof(c->api_root)) ||
	    !parse_allow(json_at(t, "allowFrom"), c))
		return false;
	/* Taken as it is, with a warning: OpenClaw runs and drops what nobody may send. */
	if (c->dm_policy == DM_OPEN && !has_star(c))
		stub_log("[config] warnings: dmPolicy=\"open\" but allowFrom has no \"*\"");
	if (c->dm_policy == DM_ALLOWLIST && c->allow_count == 0)
		stub_log("[config] warnings: dmPolicy=\"allowlist\" but allowFrom is empty");
	return true;
}

static bool parse_gateway(const struct json *g, struct conf *c)
{
	const char *mode = json_string_at(g, "mode", "");
	const char *bind = json_string_at(g, "bind", "loopback");
	int64_t port = json_int_at(g, "port", 18789);

	if (strcmp(mode, "local") != 0)
		return refuse(*mode ? "gateway.mode is not local"
		                    : "existing config is missing gateway.mode");
	if (port < 1 || port > 65535)
		return refuse("gateway.port is no port");
	if (strcmp(bind, "lan") != 0 && strcmp(bind, "loopback") != 0)
		return refuse("gateway.bind is neither lan nor loopback");
	c->port = (int)port;
	c->loopback = strcmp(bind, "loopback") == 0;
	if (!copy_string(g, "auth/token", c->gateway_token, sizeof(c->gateway_token)))
		return false;
	if (!c->loopback && !c->gateway_token[0])
		return refuse("gateway.bind=lan needs gateway.auth.token");
	return true;
}

static bool known_root_keys(const struct json *root)
{
	for (const struct json *j = root->child; j; j = j->next) {
		size_t i = 0;

		while (i < COUNT(root_keys) && strcmp(root_keys[i], j->key) != 0)
			i++;
		if (i == COUNT(root_keys)) {
			stub_log("OpenClaw config is invalid: unrecognized key \"%s\"", j->key);
			return false;
		}
	}
	return true;
}

static double number_at(const struct json *j, const char *path)
{
	const struct json *v = json_at(j, path);

	return v && v->type == JSON_NUMBER ? v->number : 0;
}

/* A model that the tests' platform would never have: refused as the real one refuses a bad value. */
static bool parse_model(const struct json *root, struct conf *c)
{
	const struct json *providers = json_at(root, "models/providers"), *model;
	const char *slash;

	if (!copy_string(root, "agents/defaults/model/primary", c->model, sizeof(c->model)))
		return false;
	if (strstr(c->model, "refused"))
		return refuse("agents.defaults.model: Invalid input");
	slash = strchr(c->model, '/');
	for (const struct json *p = providers ? providers->child : NULL; p && slash; p = p->next) {
		if (strncmp(p->key, c->model, (size_t)(slash - c->model)) != 0 ||
		    p->key[slash - c->model])
			continue;
		c->model_away = strstr(json_string_at(p, "baseUrl", ""),
		                       "/spending-limit-reached/") != NULL;
		model = json_at(p, "models");
		model = model ? model->child : NULL;
		c->price_in = number_at(model, "cost/input");
		c->price_out = number_at(model, "cost/output");
	}
	return true;
}

bool conf_parse(const char *text, size_t len, struct conf *ret)
{
	struct json *root = json_parse(text, len);
	struct conf c = { 0 };
	bool good = false;

	if (!root || root->type != JSON_OBJECT)
		refuse("not a JSON object");
	else
		good = known_root_keys(root) && parse_gateway(json_at(root, "gateway"), &c) &&
		       parse_telegram(json_at(root, "channels/telegram"), &c) &&
		       parse_model(root, &c);
	if (good) {
		c.rpc = json_bool_at(root, "plugins/entries/admin-http-rpc/enabled", false);
		*ret = c;
	}
	json_free(root);
	return good;
}

bool conf_load(const char *dir, struct conf *ret)
{
	struct text t = { 0 };
	bool good = false;

	if (file_read(dir, "openclaw.json", &t))
		good = conf_parse(t.data ? t.data : "", t.len, ret);
	else
		stub_log("Missing config: %s/openclaw.json: %m", dir);
	text_done(&t);
	return good;
}

/* Which of the words the value is, 0 where it is absent; -1 for any other. */
static int word(const struct json *j, const char *key, const char *const words[4])
{
	const char *value = json_string_at(j, key, words[0]);

	for (int i = 0; i < 4 && words[i]; i++) {
		if (strcmp(value, words[i]) == 0)
			return i;
	}
	return -1;
}

bool steer_load(const char *dir, struct steer *ret)
{
	static const char *const probes[4] = { "ok", "hang", "500" };
	static const char *const telegrams[] = { "ok", "blocked", "conflict", "off" };
	struct steer s = { .ready_ms = 10, .exit_after_ms = -1, .oom_after_ms = -1 };
	struct text t = { 0 };
	struct json *j;
	int probe, telegram;

	if (!file_read(dir, "stub.json", &t)) {
		text_done(&t);
		*ret = s;
		return errno == ENOENT;
	}
	j = t.data ? json_parse(t.data, t.len) : NULL;
	text_done(&t);
	probe = word(j, "healthz", probes);
	telegram = word(j, "telegram", telegrams);
	if (!j || j->type != JSON_OBJECT || probe < 0 || telegram < 0) {
		stub_log("stub.json is refused: bad JSON, healthz or telegram");
		json_free(j);
		return false;
	}
	s.healthz = (enum probe_mode)probe;
	s.telegram = (enum telegram_mode)telegram;
	s.live_ms = json_int_at(j, "live_ms", 0);
	s.ready_ms = json_int_at(j, "ready_ms", s.ready_ms);
	s.exit_after_ms = json_int_at(j, "exit_after_ms", -1);
	s.exit_code = (int)json_int_at(j, "exit_code", 1);
	s.oom_after_ms = json_int_at(j, "oom_after_ms", json_bool_at(j, "oom", false) ? 0 : -1);
	s.stop_ms = json_int_at(j, "stop_ms", 0);
	s.reply_delay_ms = json_int_at(j, "reply_delay_ms", 0);
	snprintf(s.dumb, sizeof(s.dumb), "%s", json_string_at(j, "dumb", ""));
	s.once = json_bool_at(j, "once", false);
	json_free(j);
	*ret = s;
	return true;
}

bool conf_allows(const struct conf *c, int64_t user_id)
{
	char id[32];

	if (c->dm_policy == DM_DISABLED)
		return false;
	snprintf(id, sizeof(id), "%lld", (long long)user_id);
	for (size_t i = 0; i < c->allow_count; i++) {
		const char *entry = c->allow[i];

		if (strncmp(entry, "telegram:", 9) == 0)
			entry += 9;
		else if (strncmp(entry, "tg:", 3) == 0)
			entry += 3;
		if (strcmp(entry, id) == 0 || strcmp(entry, "*") == 0)
			return true;
	}
	return false;
}
