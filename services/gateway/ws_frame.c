#include "ws_frame.h"

#include "base/json.h"
#include "base/own.h"
#include "base/uuid.h"

/* clang-format off */
static const char *const kinds[] = {
#define TOPIC(name) #name ".",
#include "topics.def"
};

static const char forms[] = "must be one of:"
#define TOPIC(name) " " #name ".<id>"
#include "topics.def"
	;
/* clang-format on */

static bool topic_is_valid(const char *topic)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strncmp(topic, kinds[i], strlen(kinds[i])) == 0)
			return uuid_is_valid(topic + strlen(kinds[i]));
	return false;
}

/* "subscribe:instance.<id>" */
static int read_event(const char *event, struct ws_frame *ret, struct err *e)
{
	const char *colon = strchr(event, ':'), *topic = colon ? colon + 1 : "";
	size_t len = colon ? (size_t)(colon - event) : strlen(event);

	if (strcmp(event, "authenticate") == 0) {
		ret->verb = WS_AUTHENTICATE;
		return 0;
	}
	if (len == 11 && strncmp(event, "unsubscribe", len) == 0)
		ret->verb = strcmp(topic, "*") == 0 ? WS_UNSUBSCRIBE_ALL : WS_UNSUBSCRIBE;
	else if (len == 9 && strncmp(event, "subscribe", len) == 0)
		ret->verb = WS_SUBSCRIBE;
	else
		return err_field(e, "event", "must be subscribe:…, unsubscribe:… or authenticate");
	if (ret->verb == WS_UNSUBSCRIBE_ALL)
		return 0;
	if (!topic_is_valid(topic))
		return err_field(e, "topic", "%s", forms);
	snprintf(ret->topic, sizeof(ret->topic), "%s", topic);
	return 0;
}

static int read_text(const cJSON *v, char *ret, size_t size, struct err *e)
{
	if (!cJSON_IsString(v) || !v->valuestring[0] || strlen(v->valuestring) >= size)
		return err_field(e, v->string, "must be a text of 1 to %zu characters", size - 1);
	memcpy(ret, v->valuestring, strlen(v->valuestring) + 1);
	return 0;
}

static int read_member(const cJSON *v, struct ws_frame *ret, struct err *e)
{
	struct ws_position position;

	if (strcmp(v->string, "event") == 0)
		return 0;
	if (strcmp(v->string, "since") == 0 && ret->verb == WS_SUBSCRIBE) {
		if (read_text(v, ret->since, sizeof(ret->since), e) < 0)
			return -1;
		return ws_position_parse(ret->since, &position)
		               ? 0
		               : err_field(e, "since", "is no position");
	}
	if (strcmp(v->string, "ticket") == 0 && ret->verb == WS_AUTHENTICATE)
		return read_text(v, ret->ticket, sizeof(ret->ticket), e);
	if (strcmp(v->string, "token") == 0 && ret->verb == WS_AUTHENTICATE)
		return read_text(v, ret->token, sizeof(ret->token), e);
	return err_field(e, v->string, "is not a known field");
}

static int read_json(const char *text, size_t len, struct ws_frame *ret, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	const cJSON *v;
	const char *event;

	if (json_parse(text, len, &doc, e) < 0)
		return -1;
	event = json_text(doc, "event");
	if (!event)
		return err_field(e, "event", "is missing");
	if (read_event(event, ret, e) < 0)
		return -1;
	cJSON_ArrayForEach(v, doc) {
		if (read_member(v, ret, e) < 0)
			return -1;
	}
	if (ret->verb == WS_AUTHENTICATE && !ret->ticket[0] == !ret->token[0])
		return err_field(e, "ticket", "give a ticket or a token");
	return 0;
}

int ws_frame_parse(const char *text, size_t len, struct ws_frame *ret, struct err *e)
{
	char event[128];

	memset(ret, 0, sizeof(*ret));
	if (len > WS_FRAME_MAX)
		return err_field(e, "", "is longer than %d bytes", WS_FRAME_MAX);
	if (len > 0 && text[0] == '{')
		return read_json(text, len, ret, e);
	if (len >= sizeof(event) || memchr(text, '\0', len))
		return err_field(e, "event", "must be subscribe:… or unsubscribe:…");
	memcpy(event, text, len);
	event[len] = '\0';
	if (read_event(event, ret, e) < 0)
		return -1;
	return ret->verb == WS_AUTHENTICATE ? err_field(e, "ticket", "is missing") : 0;
}

bool ws_position_parse(const char *text, struct ws_position *ret)
{
	size_t digits;

	if (strspn(text, "0123456789abcdef") != 8 || text[8] != ':')
		return false;
	digits = strspn(text + 9, "0123456789");
	if (digits == 0 || digits > 18 || text[9 + digits])
		return false;
	snprintf(ret->stream, sizeof(ret->stream), "%.8s", text);
	ret->seq = strtoull(text + 9, NULL, 10);
	return true;
}

void ws_position_text(const struct ws_position *p, char ret[WS_POSITION_SIZE])
{
	snprintf(ret, WS_POSITION_SIZE, "%s:%llu", p->stream, p->seq);
}

bool ws_position_covers(const struct ws_position *last, const struct ws_position *p)
{
	return strcmp(last->stream, p->stream) == 0 && p->seq <= last->seq;
}
