#include "owner/updates.h"

#include "base/json.h"

#include <cjson/cJSON.h>

#define SLACK_MS   5000 /* beside what Telegram holds a question open */
#define ANSWER_MAX ((size_t)2 << 20)
#define ID_MAX     9007199254740992.0

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static bool is_id(const cJSON *v)
{
	return cJSON_IsNumber(v) && v->valuedouble >= 1 && v->valuedouble < ID_MAX &&
	       v->valuedouble == (double)(long long)v->valuedouble;
}

/* A person's own message to the bot, and not one in a group. */
static bool is_private(const cJSON *message)
{
	const cJSON *from = member(message, "from");
	const char *type = json_text(member(message, "chat"), "type");

	return type && strcmp(type, "private") == 0 && is_id(member(from, "id")) &&
	       !cJSON_IsTrue(member(from, "is_bot"));
}

static bool is_opened(const cJSON *message, const char *nonce)
{
	const char *text = json_text(message, "text");
	size_t head = sizeof(UPDATES_COMMAND) - 1;

	return text && strncmp(text, UPDATES_COMMAND, head) == 0 && strcmp(text + head, nonce) == 0;
}

int updates_read(const char *text, size_t len, const char *nonce, long long since_s,
                 struct updates_seen *ret, struct err *e)
{
	struct updates_seen seen = { .verdict = UPDATES_NONE };
	OWN(json) cJSON *doc = NULL;
	const cJSON *list, *update;
	int count = 0;

	if (json_parse(text, len, &doc, e) < 0)
		return err_set(e, ERR_UPSTREAM, "what Telegram answers is no JSON");
	list = member(doc, "result");
	if (!cJSON_IsTrue(member(doc, "ok")) || !cJSON_IsArray(list))
		return err_set(e, ERR_UPSTREAM, "what Telegram answers is no list of messages");
	cJSON_ArrayForEach(update, list) {
		const cJSON *message = member(update, "message"), *date = member(message, "date");

		count++;
		if (!is_private(message) || !cJSON_IsNumber(date) ||
		    date->valuedouble < (double)since_s)
			continue;
		if (is_opened(message, nonce)) {
			seen.verdict = UPDATES_OWNER;
			seen.owner_id =
				(long long)member(member(message, "from"), "id")->valuedouble;
			break;
		}
		seen.verdict = UPDATES_OTHER;
	}
	seen.has_any = count > 0;
	if (count >= UPDATES_LIST_MAX && seen.verdict == UPDATES_NONE)
		seen.verdict = UPDATES_OTHER;
	*ret = seen;
	return 0;
}

static int ask(struct http_client *c, struct http_req *req, struct arena *a, struct http_res *ret,
               struct err *e)
{
	req->method = "GET";
	req->answer_max = ANSWER_MAX;
	if (!req->path)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (http_call(c, req, a, ret, e) < 0)
		return err_wrap(e, "Telegram cannot be reached");
	switch (ret->status) {
	case 200:
		return 0;
	case 401:
	case 404:
		return err_set(e, ERR_BOT_TOKEN_INVALID, "Telegram does not know this bot token");
	case 409:
		return err_set(e, ERR_CONFLICT, "another program reads this bot's messages");
	case 429:
		return err_set(e, ERR_LIMIT, "Telegram asks to wait");
	default:
		return err_set(e, ERR_UPSTREAM, "Telegram answered with status %d", ret->status);
	}
}

/* Without allowed_updates, which Telegram would keep beyond this question. */
int updates_ask(struct http_client *c, const struct updates_ask *in, struct arena *a,
                struct updates_seen *ret, struct err *e)
{
	struct http_req req = {
		.path = arena_printf(a, "/bot%s/getUpdates?limit=%d&timeout=%d", in->token,
		                     UPDATES_LIST_MAX, in->wait_s),
		.timeout_ms = in->wait_s * 1000 + SLACK_MS,
		.stop = in->stop,
	};
	struct http_res res = { 0 };

	if (ask(c, &req, a, &res, e) < 0)
		return -1;
	return updates_read(res.body, res.body_len, in->nonce, in->since_s, ret, e);
}

int updates_no_webhook(struct http_client *c, const char *token, struct arena *a, struct err *e)
{
	struct http_req req = {
		.path = arena_printf(a, "/bot%s/deleteWebhook?drop_pending_updates=false", token),
		.timeout_ms = SLACK_MS,
	};
	struct http_res res = { 0 };

	return ask(c, &req, a, &res, e);
}
