#include "head.h"

#include "base/own.h"

#include <strings.h>

enum repeat { ONCE, JOIN_COMMA, JOIN_SEMICOLON };

/* clang-format off */
static const struct {
	const char *name;
	size_t offset;
	enum repeat repeat; /* what it means when it comes again: refused, or one list */
} known[] = {
	{ "Host",                          offsetof(struct head, host),              ONCE },
	{ "Connection",                    offsetof(struct head, connection),        JOIN_COMMA },
	{ "Expect",                        offsetof(struct head, expect),            ONCE },
	{ "Content-Type",                  offsetof(struct head, content_type),      ONCE },
	{ "Content-Length",                offsetof(struct head, content_length),    ONCE },
	{ "Transfer-Encoding",             offsetof(struct head, transfer_encoding), ONCE },
	{ "Authorization",                 offsetof(struct head, authorization),     ONCE },
	{ "Cookie",                        offsetof(struct head, cookie),            JOIN_SEMICOLON },
	{ "Origin",                        offsetof(struct head, origin),            ONCE },
	{ "Sec-Fetch-Site",                offsetof(struct head, fetch_site),        ONCE },
	{ "Access-Control-Request-Method", offsetof(struct head, cors_method),       ONCE },
	{ "If-Match",                      offsetof(struct head, if_match),          JOIN_COMMA },
	{ "If-None-Match",                 offsetof(struct head, if_none_match),     JOIN_COMMA },
	{ "Idempotency-Key",               offsetof(struct head, idempotency_key),   ONCE },
	{ "traceparent",                   offsetof(struct head, traceparent),       ONCE },
	{ "User-Agent",                    offsetof(struct head, user_agent),        ONCE },
	{ "X-Forwarded-For",               offsetof(struct head, forwarded_for),     JOIN_COMMA },
};
/* clang-format on */

static int take(const struct mg_header *h, struct arena *a, struct head *ret, struct err *e)
{
	for (size_t i = 0; i < COUNT(known); i++) {
		const char **slot = (const char **)(void *)((char *)ret + known[i].offset);

		if (strcasecmp(h->name, known[i].name) != 0)
			continue;
		if (!*slot) {
			*slot = h->value;
			return 0;
		}
		if (known[i].repeat == ONCE)
			return err_field(e, known[i].name, "comes twice in the header");
		*slot = arena_printf(a, "%s%s%s", *slot,
		                     known[i].repeat == JOIN_COMMA ? ", " : "; ", h->value);
		return *slot ? 0 : err_set(e, ERR_HEADERS, "the header is too large");
	}
	return 0;
}

/*
 * civetweb stops reading the header, without a word, at a line that begins with a space (a folded
 * one) or is no field at all, and takes a space before the colon; a proxy before it may see a
 * Content-Length where we see none. It has put zeros where a field and its line ended, so that the
 * bytes around them tell: after "\r\n" of the last field read, only "\r\n" may follow.
 */
static int check_shape(const struct mg_request_info *info, struct err *e)
{
	const char *end = info->http_version + strlen(info->http_version);

	for (int i = 0; i < info->num_headers; i++) {
		const struct mg_header *h = &info->http_headers[i];
		const char *after_name = h->name + strlen(h->name) + 1;

		if (h->name != end + 2)
			return err_field(e, "", "the header has a line that does not end in CR LF");
		if (h->value > after_name && !*after_name)
			return err_field(e, h->name, "has a space before its colon");
		end = h->value + strlen(h->value);
	}
	if (info->num_headers == MG_MAX_HEADERS || end - info->request_method > HEAD_MAX - 4)
		return err_set(e, ERR_HEADERS, "the header is longer than %d bytes or %d fields",
		               HEAD_MAX, MG_MAX_HEADERS - 1);
	if (info->num_headers > 0 && (end[1] || end[2] != '\r'))
		return err_field(e, "", "the header has a line that is no field");
	return 0;
}

static int read_length(struct head *h, struct err *e)
{
	const char *text = h->content_length;
	size_t len;

	if (h->transfer_encoding) {
		if (text)
			return err_field(e, "Content-Length", "comes with a Transfer-Encoding");
		if (strcasecmp(h->transfer_encoding, "chunked") != 0)
			return err_field(e, "Transfer-Encoding", "can only be chunked");
		h->body_len = -1;
		return 0;
	}
	if (!text)
		return 0;
	len = strlen(text);
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (len == 0 || len > 18 || strspn(text, "0123456789") != len)
		return err_field(e, "Content-Length", "is not a number of bytes");
	h->body_len = strtoll(text, NULL, 10);
	return 0;
}

int head_read(const struct mg_request_info *info, struct arena *a, struct head *ret, struct err *e)
{
	bool is_11 = strcmp(info->http_version, "1.1") == 0;

	*ret = (struct head){ 0 };
	if (check_shape(info, e) < 0)
		return -1;
	for (int i = 0; i < info->num_headers; i++)
		if (take(&info->http_headers[i], a, ret, e) < 0)
			return -1;
	if (is_11 && !ret->host)
		return err_field(e, "Host", "is missing in the header");

	/* As civetweb decides it, so that what the answer says is what happens. */
	ret->keeps_alive = ret->connection ? head_has_option(ret->connection, "keep-alive") : is_11;
	return read_length(ret, e);
}

static bool is_hex(const char *s, size_t len)
{
	return strspn(s, "0123456789abcdef") >= len;
}

void head_trace(const char *traceparent, char ret[33])
{
	const char *t = traceparent;

	ret[0] = '\0';
	if (t && strlen(t) == 55 && t[2] == '-' && t[35] == '-' && t[52] == '-' && is_hex(t, 2) &&
	    is_hex(t + 3, 32) && is_hex(t + 36, 16) && is_hex(t + 53, 2) &&
	    strncmp(t, "ff", 2) != 0 && strspn(t + 3, "0") < 32 && strspn(t + 36, "0") < 16)
		snprintf(ret, 33, "%.32s", t + 3);
}

bool head_has_option(const char *value, const char *option)
{
	size_t want = strlen(option);

	while (*value) {
		size_t len;

		value += strspn(value, " \t,");
		len = strcspn(value, " \t,;");
		if (len == want && strncasecmp(value, option, want) == 0)
			return true;
		value += strcspn(value, ",");
	}
	return false;
}
