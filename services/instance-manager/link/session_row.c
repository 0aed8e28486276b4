#include "link/session_row.h"

#include "base/json.h"
#include "base/own.h"

#include <ctype.h>

#define TIME_MAX_MS 4102444800000.0 /* 2100: what is later is no time */

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

bool session_key_fits(const char *key)
{
	size_t len = key ? strlen(key) : 0;

	if (len == 0 || len > SESSION_KEY_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)key[i]))
			return false;
	return true;
}

static size_t char_len(const char *s)
{
	unsigned char c = (unsigned char)*s;

	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

void session_text_copy(const char *text, size_t max, char *out, size_t size)
{
	size_t at = 0;

	for (size_t n = 0; text && *text && n < max; n++) {
		size_t len = char_len(text);

		if (at + len >= size)
			break;
		for (size_t i = 0; i < len; i++)
			out[at + i] = text[i];
		if ((unsigned char)out[at] < ' ' || out[at] == 0x7f)
			out[at] = ' ';
		at += len;
		text += len;
	}
	out[at] = '\0';
}

static long long time_of(const cJSON *obj, const char *key)
{
	const cJSON *v = member(obj, key);

	return cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < TIME_MAX_MS
	               ? (long long)v->valuedouble
	               : 0;
}

static const char *first_text(const cJSON *obj, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = json_text(obj, keys[i]);

		if (text && text[0])
			return text;
	}
	return "";
}

bool session_row_read(const cJSON *session, struct session_row *ret)
{
	static const char *const titles[] = { "label", "autoLabel", "derivedTitle", "displayName" };
	static const char *const channels[] = { "channel", "lastChannel" };
	const char *key = json_text(session, "key");
	const char *provider = json_text(session, "modelProvider");
	const char *model = json_text(session, "model");
	char name[512];

	*ret = (struct session_row){ .message_count = -1 };
	if (!session_key_fits(key))
		return false;
	snprintf(ret->key, sizeof(ret->key), "%s", key);
	session_text_copy(first_text(session, titles, COUNT(titles)), SESSION_TITLE_MAX, ret->title,
	                  sizeof(ret->title));
	session_text_copy(first_text(session, channels, COUNT(channels)), 64, ret->channel,
	                  sizeof(ret->channel));
	if (provider && model) {
		snprintf(name, sizeof(name), "%.200s/%.200s", provider, model);
		session_text_copy(name, 200, ret->model, sizeof(ret->model));
	}
	ret->created_ms = time_of(session, "createdAt");
	ret->last_active_ms = time_of(session, "lastInteractionAt");
	if (time_of(session, "updatedAt") > ret->last_active_ms)
		ret->last_active_ms = time_of(session, "updatedAt");
	return true;
}

bool session_row_of_event(const char *event, const cJSON *payload, struct session_row *ret,
                          bool *ret_gone)
{
	const char *key = json_text(payload, "sessionKey"), *reason = json_text(payload, "reason");
	const cJSON *seq = member(payload, "messageSeq");

	*ret_gone = reason && strcmp(reason, "delete") == 0;
	if (!session_row_read(member(payload, "session"), ret)) {
		*ret = (struct session_row){ .message_count = -1 };
		if (!session_key_fits(key))
			return false;
		snprintf(ret->key, sizeof(ret->key), "%s", key);
		/* One of which nothing is told is not kept anew, but it may be gone. */
		return *ret_gone;
	}
	if (strcmp(event, "session.message") == 0 && cJSON_IsNumber(seq) && seq->valuedouble >= 0 &&
	    seq->valuedouble <= SESSION_COUNT_MAX)
		ret->message_count = (long long)seq->valuedouble;
	return true;
}
