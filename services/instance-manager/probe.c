#include "probe.h"

#include "base/json.h"

#define ANSWER_MAX (128 * 1024) /* bytes; channels.status has 6 KiB */
#define SETTLE_MS  20000        /* in which a channel that started may still be connecting */

/* clang-format off */
static const struct {
	const char *name, *text;
} verdicts[] = {
	[PROBE_DOWN]         = { "down",
	                         "The assistant does not answer." },
	[PROBE_STRANGER]     = { "stranger",
	                         "Something else than the assistant answers on its port." },
	[PROBE_STARTING]     = { "starting",
	                         "The assistant is connecting to Telegram." },
	[PROBE_READY]        = { "ready", "" },
	[PROBE_BOT_REFUSED]  = { "bot_refused",
	                         "Telegram does not accept the bot token any more: give a new one." },
	[PROBE_BOT_CONFLICT] = { "bot_conflict",
	                         "Another program reads this bot's messages: stop it, or give another "
	                         "bot's token." },
	[PROBE_NO_TELEGRAM]  = { "no_telegram",
	                         "The assistant cannot reach Telegram. It keeps trying by itself." },
	[PROBE_CHANNELS_OFF] = { "channels_off",
	                         "After several crashes the assistant keeps Telegram off. It is "
	                         "switched on again by itself, within a minute." },
};
/* clang-format on */

const char *probe_name(enum probe_verdict v)
{
	return verdicts[v].name;
}

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static bool says(const char *text, const char *word)
{
	return text && strcasestr(text, word) != NULL;
}

/* One Telegram account, as channels.status shows it. */
static enum probe_verdict account_judge(bool is_ready, const cJSON *account, double now_ms)
{
	const char *lifecycle = json_text(account, "lifecycle");
	const char *error = json_text(account, "lastError");
	const cJSON *started = member(account, "lastStartAt");
	bool is_settling = !cJSON_IsNumber(started) || now_ms - started->valuedouble < SETTLE_MS;

	if (!lifecycle)
		return PROBE_STARTING;
	if (strcmp(lifecycle, "ready") == 0)
		return is_ready ? PROBE_READY : PROBE_STARTING;
	if (says(error, "conflict"))
		return PROBE_BOT_CONFLICT;
	if (strcmp(lifecycle, "blocked") == 0)
		return PROBE_BOT_REFUSED;
	if (strcmp(lifecycle, "stopped") == 0)
		return says(error, "breaker") || !is_settling ? PROBE_CHANNELS_OFF : PROBE_STARTING;
	/* "starting", "recovering" */
	return is_settling ? PROBE_STARTING : PROBE_NO_TELEGRAM;
}

bool probe_judge_status(bool is_ready, const cJSON *status, enum probe_verdict *ret)
{
	const cJSON *account =
		cJSON_GetArrayItem(member(member(status, "channelAccounts"), "telegram"), 0);
	const cJSON *now = member(status, "ts");

	if (!cJSON_IsObject(account) || !cJSON_IsNumber(now))
		return false;
	*ret = account_judge(is_ready, account, now->valuedouble);
	return true;
}

enum probe_verdict probe_judge(bool is_ready, const char *answer, size_t len)
{
	struct err ignored = ERR_INIT; /* the answer of a strange gateway says nothing */
	enum probe_verdict said = is_ready ? PROBE_READY : PROBE_STARTING;
	OWN(json) cJSON *doc = NULL;

	if (json_parse(answer, len, &doc, &ignored) == 0)
		(void)probe_judge_status(is_ready, member(doc, "payload"), &said);
	return said;
}

/* One request; false where nothing answers. */
static bool ask(struct http_client *c, const struct probe_target *t, const char *path,
                const char *body, struct arena *a, struct http_res *ret)
{
	bool is_ip6 = strchr(t->address, ':') != NULL;
	struct err ignored = ERR_INIT; /* that nothing answers is the answer */
	struct http_req req = { .method = body ? "POST" : "GET",
		                .body = body,
		                .body_len = body ? strlen(body) : 0,
		                .bearer = body ? t->token : NULL,
		                .timeout_ms = PROBE_TIMEOUT_MS,
		                .answer_max = ANSWER_MAX };

	req.path = arena_printf(a, "http://%s%s%s:%d%s", is_ip6 ? "[" : "", t->address,
	                        is_ip6 ? "]" : "", t->port, path);
	return req.path && http_call(c, &req, a, ret, &ignored) == 0;
}

/* A path that is not there may answer 200 with a page: only the JSON itself counts. */
static bool is_json_with(const struct http_res *res, const char *key, bool value)
{
	struct err ignored = ERR_INIT;
	OWN(json) cJSON *doc = NULL;
	const cJSON *v;

	if (json_parse(res->body, res->body_len, &doc, &ignored) < 0)
		return false;
	v = member(doc, key);
	return value ? cJSON_IsTrue(v) : cJSON_IsFalse(v);
}

static enum probe_verdict probe_run(struct http_client *c, const struct probe_target *t,
                                    struct arena *a)
{
	struct http_res res;
	bool is_ready;

	if (!ask(c, t, "/healthz", NULL, a, &res))
		return PROBE_DOWN;
	if (res.status != 200 || !is_json_with(&res, "ok", true))
		return PROBE_STRANGER;

	is_ready = ask(c, t, "/readyz", NULL, a, &res) && res.status == 200 &&
	           is_json_with(&res, "ready", true);
	if (t->token &&
	    ask(c, t, "/api/v1/admin/rpc", "{\"method\":\"channels.status\",\"params\":{}}", a,
	        &res) &&
	    res.status == 200)
		return probe_judge(is_ready, res.body, res.body_len);
	return is_ready ? PROBE_READY : PROBE_STARTING;
}

void probe_instance(struct http_client *c, const struct probe_target *t, struct probe_report *ret)
{
	struct arena a __attribute__((cleanup(own_arena)));

	arena_init(&a, 4 * ANSWER_MAX);
	*ret = (struct probe_report){ .verdict = probe_run(c, t, &a) };
	ret->is_live = ret->verdict != PROBE_DOWN && ret->verdict != PROBE_STRANGER;
	snprintf(ret->text, sizeof(ret->text), "%s", verdicts[ret->verdict].text);
}

bool probe_start_channels(struct http_client *c, const struct probe_target *t)
{
	OWN(arena) struct arena a = { .limit = 2 * ANSWER_MAX };
	struct http_res res = { 0 };

	return t->token &&
	       ask(c, t, "/api/v1/admin/rpc",
	           "{\"method\":\"channels.start\",\"params\":{\"channel\":\"telegram\"}}", &a,
	           &res) &&
	       res.status == 200;
}
