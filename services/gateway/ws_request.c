#include "ws_request.h"

#include "base/own.h"
#include "head.h"

#include <strings.h>

#define FIELDS_MAX 63
#define KEY_LEN    24 /* base64 of 16 bytes */

/* clang-format off */
static const struct {
	const char *name;
	size_t offset;
} known[] = {
	{ "Host",                  offsetof(struct ws_request, host) },
	{ "Upgrade",               offsetof(struct ws_request, upgrade) },
	{ "Connection",            offsetof(struct ws_request, connection) },
	{ "Sec-WebSocket-Version", offsetof(struct ws_request, version) },
	{ "Sec-WebSocket-Key",     offsetof(struct ws_request, key) },
	{ "Origin",                offsetof(struct ws_request, origin) },
	{ "Cookie",                offsetof(struct ws_request, cookie) },
	{ "Authorization",         offsetof(struct ws_request, authorization) },
	{ "X-Forwarded-For",       offsetof(struct ws_request, forwarded_for) },
	{ "traceparent",           offsetof(struct ws_request, traceparent) },
	{ "User-Agent",            offsetof(struct ws_request, user_agent) },
};
/* clang-format on */

size_t ws_request_end(const char *buf, size_t len)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4);

	return end ? (size_t)(end - buf) + 4 : 0;
}

/* The next line, its CR LF cut off; NULL where it is not ended so or holds another control. */
static char *line_cut(char **s)
{
	char *line = *s, *end = strstr(line, "\r\n");

	if (!end)
		return NULL;
	*end = '\0';
	*s = end + 2;
	for (char *c = line; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return NULL;
	return line;
}

/* "GET /ws?ticket=x HTTP/1.1" */
static int read_line(char *line, struct ws_request *ret, struct err *e)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
	char *query;

	if (!version || strcmp(version + 1, "HTTP/1.1") != 0)
		return err_field(e, "", "the request line is not one of HTTP/1.1");
	*target++ = '\0';
	*version = '\0';
	query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	ret->path = target;
	ret->query = query;
	if (strcmp(target, WS_PATH) != 0)
		return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
	if (strcmp(line, "GET") != 0)
		return err_set(e, ERR_METHOD, "this path takes GET");
	return 0;
}

static int read_field(char *line, struct ws_request *ret, struct err *e)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (!colon || colon == line || strcspn(line, " \t") < (size_t)(colon - line))
		return err_field(e, "", "the header has a line that is no field");
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	for (end = value + strlen(value); end > value && strchr(" \t", end[-1]); end--)
		end[-1] = '\0';
	for (size_t i = 0; i < COUNT(known); i++) {
		const char **slot = (const char **)(void *)((char *)ret + known[i].offset);

		if (strcasecmp(line, known[i].name) != 0)
			continue;
		if (*slot)
			return err_field(e, known[i].name, "comes twice in the header");
		*slot = value;
	}
	return 0;
}

static int check_upgrade(const struct ws_request *r, struct err *e)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (!r->host)
		return err_field(e, "Host", "is missing in the header");
	if (!r->upgrade || !head_has_option(r->upgrade, "websocket") || !r->connection ||
	    !head_has_option(r->connection, "upgrade"))
		return err_field(e, "Upgrade", "only WebSockets are served here");
	if (!r->version || strcmp(r->version, "13") != 0)
		return err_field(e, "Sec-WebSocket-Version", "must be 13");
	if (!r->key || strlen(r->key) != KEY_LEN || strspn(r->key, base64) != KEY_LEN - 2 ||
	    strcmp(r->key + KEY_LEN - 2, "==") != 0)
		return err_field(e, "Sec-WebSocket-Key", "must be 16 bytes in base64");
	return 0;
}

int ws_request_parse(char *buf, size_t len, struct ws_request *ret, struct err *e)
{
	char *s = buf, *line;

	*ret = (struct ws_request){ 0 };
	if (len < 4 || memcmp(buf + len - 4, "\r\n\r\n", 4) != 0 || memchr(buf, '\0', len))
		return err_field(e, "", "this is no HTTP request");
	buf[len - 2] = '\0'; /* the last field keeps its CR LF */

	line = line_cut(&s);
	if (!line)
		return err_field(e, "", "this is no HTTP request");
	if (read_line(line, ret, e) < 0)
		return -1;
	for (size_t n = 0; *s; n++) {
		if (n == FIELDS_MAX)
			return err_set(e, ERR_HEADERS, "the header has more than %d fields",
			               FIELDS_MAX);
		line = line_cut(&s);
		if (!line)
			return err_field(e, "", "the header has a line that is no field");
		if (read_field(line, ret, e) < 0)
			return -1;
	}
	return check_upgrade(ret, e);
}
