#include "telegram.h"

#include "base/json.h"

#define TIMEOUT_MS   8000
#define ANSWER_MAX   (16 * 1024) /* bytes */
#define DIGITS_MAX   18          /* of a bot's id, so that it fits */
#define SECRET_MIN   30          /* characters after the colon; Telegram's have 35 */
#define RETRY_S_MAX  3600
#define PATH_FORM    "/bot%s/getMe"
#define SEND_FORM    "/bot%s/sendMessage"
#define SECRET_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static int token_refused(struct err *e, const char *why)
{
	err_set(e, ERR_BOT_TOKEN_INVALID, "%s", why);
	snprintf(e->field, sizeof(e->field), "bot_token");
	return -1;
}

int telegram_token_check(const char *token, long long *ret_bot_id, struct err *e)
{
	size_t digits = strspn(token, "0123456789"), secret;

	if (digits == 0 || digits > DIGITS_MAX || token[0] == '0' || token[digits] != ':')
		return token_refused(e,
		                     "is not a bot token: it should look like 123456789:AAE…, as "
		                     "@BotFather gives it");
	secret = strspn(token + digits + 1, SECRET_CHARS);
	if (secret < SECRET_MIN || token[digits + 1 + secret] || strlen(token) > TELEGRAM_TOKEN_MAX)
		return token_refused(e,
		                     "is not a whole bot token: copy all of what @BotFather gave");
	*ret_bot_id = strtoll(token, NULL, 10);
	return 0;
}

/* How long Telegram asks us to wait; 0 where it does not say. */
static int retry_after(const struct http_res *res)
{
	const struct cJSON *s;
	struct err ignored = ERR_INIT; /* the status says enough */
	OWN(json) cJSON *doc = NULL;

	if (json_parse(res->body, res->body_len, &doc, &ignored) < 0)
		return 0;
	s = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(doc, "parameters"),
	                                     "retry_after");
	if (!cJSON_IsNumber(s) || s->valuedouble < 1)
		return 0;
	return s->valuedouble > RETRY_S_MAX ? RETRY_S_MAX : (int)s->valuedouble;
}

static int refused(const struct http_res *res, struct err *e)
{
	switch (res->status) {
	case 401:
	case 404: /* where the token's form is not what Telegram knows */
		return token_refused(
			e, "Telegram does not know this bot token; it may have been revoked");
	case 429:
		return err_busy(e, ERR_LIMIT, retry_after(res),
		                "Telegram asks to wait before the next try");
	default:
		return err_set(e, ERR_UPSTREAM,
		               "Telegram cannot be reached: it answered with status %d",
		               res->status);
	}
}

static int unexpected(struct err *e)
{
	return err_set(e, ERR_UPSTREAM,
	               "Telegram cannot be reached: what answers is not its Bot API");
}

/* A text of bounded length; may be absent where `min` is 0. */
static bool text_copy(const cJSON *obj, const char *key, size_t min, char *out, size_t size)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);
	const char *text = cJSON_GetStringValue(v);
	size_t len = text ? strlen(text) : 0;

	if ((v && !text) || len < min || len >= size)
		return false;
	memcpy(out, text ? text : "", len + 1);
	return true;
}

static int bot_read(const struct http_res *res, long long want_id, struct telegram_bot *ret,
                    struct err *e)
{
	char last[TELEGRAM_NAME_MAX + 1];
	struct telegram_bot bot = { 0 };
	OWN(json) cJSON *doc = NULL;
	const cJSON *result, *id;
	size_t len;

	if (json_parse(res->body, res->body_len, &doc, e) < 0)
		return unexpected(e);
	result = cJSON_GetObjectItemCaseSensitive(doc, "result");
	id = cJSON_GetObjectItemCaseSensitive(result, "id");
	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(doc, "ok")) || !cJSON_IsNumber(id) ||
	    !text_copy(result, "username", 1, bot.username, sizeof(bot.username)) ||
	    !text_copy(result, "first_name", 1, bot.name, sizeof(bot.name)) ||
	    !text_copy(result, "last_name", 0, last, sizeof(last)))
		return unexpected(e);
	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "is_bot")))
		return token_refused(e, "is not the token of a bot");
	/* Ids are below 2^52, as the Bot API promises: exact in a double. */
	if (id->valuedouble != (double)want_id)
		return unexpected(e);

	bot.id = want_id;
	len = strlen(bot.name);
	if (last[0] && len + 1 + strlen(last) < sizeof(bot.name)) {
		bot.name[len] = ' ';
		memcpy(bot.name + len + 1, last, strlen(last) + 1);
	}
	*ret = bot;
	return 0;
}

int telegram_get_me(struct http_client *c, const char *token, struct arena *a,
                    struct telegram_bot *ret, struct err *e)
{
	struct http_req req = { .method = "GET",
		                .timeout_ms = TIMEOUT_MS,
		                .answer_max = ANSWER_MAX };
	struct http_res res;
	long long id;

	if (telegram_token_check(token, &id, e) < 0)
		return -1;
	req.path = arena_printf(a, PATH_FORM, token);
	if (!req.path)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (http_call(c, &req, a, &res, e) < 0)
		return err_wrap(e, "Telegram cannot be reached");
	if (res.status != 200)
		return refused(&res, e);
	return bot_read(&res, id, ret, e);
}

int telegram_send(struct http_client *c, const struct telegram_text *t, struct arena *a,
                  struct err *e)
{
	OWN(json) cJSON *body = cJSON_CreateObject();
	OWN(json_text) char *text = NULL;
	struct http_req req = { .method = "POST",
		                .timeout_ms = TIMEOUT_MS,
		                .answer_max = ANSWER_MAX };
	struct http_res res;

	if (cJSON_AddNumberToObject(body, "chat_id", (double)t->to) &&
	    cJSON_AddStringToObject(body, "text", t->text))
		text = cJSON_PrintUnformatted(body);
	req.path = arena_printf(a, SEND_FORM, t->token);
	if (!text || !req.path)
		return err_set(e, ERR_INTERNAL, "out of memory");
	req.body = text;
	req.body_len = strlen(text);
	if (http_call(c, &req, a, &res, e) < 0)
		return err_wrap(e, "Telegram cannot be reached");
	/* 400: a chat that was never begun. */
	if (res.status == 400 || res.status == 403)
		return err_set(e, ERR_FORBIDDEN, "this person gets no messages of the bot");
	return res.status == 200 ? 0 : refused(&res, e);
}
