#include "body.h"

#include "auth_check.h"
#include "base/clock.h"
#include "base/json.h"
#include "cookie.h"
#include "query.h"

#include <strings.h>

#define PIECE       65536 /* bytes that civetweb waits READ_MS for */
#define READ_MS     5000
#define BODY_MS     30000 /* a whole body */
#define DISCARD_MS  1000
#define TAG_MAX     130         /* bytes of an entity tag and its zero */
#define DISCARD_MAX (8LL << 20) /* bytes */
#define CHUNKED_MAX 65536       /* bytes of a body that does not say its length */

static bool is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	return content_type && strncasecmp(content_type, json, len) == 0 &&
	       strchr("; \t", content_type[len]);
}

static size_t body_max(const struct exchange *x)
{
	size_t max = x->route->body_max;

	return x->head.body_len < 0 && max > CHUNKED_MAX ? CHUNKED_MAX : max;
}

static int too_large(struct exchange *x, struct err *e)
{
	x->must_close = true;
	return err_set(e, ERR_TOO_LARGE, "the body is longer than %zu bytes%s", body_max(x),
	               x->head.body_len < 0 ? ", or has to say its length" : "");
}

static int ended_early(struct exchange *x, struct err *e)
{
	x->must_close = true;
	x->body_left = 0; /* there is nothing more to wait for */
	return err_field(e, "", "the body ended early or came too slowly");
}

/* civetweb waits at most request_timeout_ms for all that one mg_read() asks for. */
static int read_counted(struct exchange *x, char *data, struct err *e)
{
	long long until_ms = clock_mono_ms() + BODY_MS;

	while (x->body_left > 0) {
		int want = x->body_left < PIECE ? (int)x->body_left : PIECE;

		if (clock_mono_ms() > until_ms || mg_read(x->conn, data, (size_t)want) != want)
			return ended_early(x, e);
		data += want;
		x->body_left -= want;
	}
	return 0;
}

/* Byte by byte, since civetweb waits anew for each chunk: only between two reads can a client be
 * cut that makes a body last for ever. */
static int read_chunked(struct exchange *x, char *data, size_t *ret_len, struct err *e)
{
	long long until_ms = clock_mono_ms() + READ_MS;
	size_t len = 0;
	int n;

	while ((n = mg_read(x->conn, data + len, 1)) == 1) {
		if (++len > body_max(x))
			return too_large(x, e);
		if (clock_mono_ms() > until_ms)
			return ended_early(x, e);
	}
	if (n < 0)
		return ended_early(x, e);
	x->body_left = 0;
	*ret_len = len;
	return 0;
}

static int read_text(struct exchange *x, const char **ret, size_t *ret_len, struct err *e)
{
	size_t len = x->body_left < 0 ? body_max(x) : (size_t)x->body_left;
	char *data;

	if (x->body_left > (long long)x->route->body_max)
		return too_large(x, e);
	if (!is_json(x->head.content_type))
		return err_set(e, ERR_MEDIA_TYPE, "the body must be application/json");
	if (x->head.expect) {
		if (strcasecmp(x->head.expect, "100-continue") != 0)
			return err_field(e, "Expect", "can only be 100-continue");
		(void)mg_write(x->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	}
	data = arena_alloc(&x->arena, len + 1);
	if (!data)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (x->body_left < 0 ? read_chunked(x, data, &len, e) < 0 : read_counted(x, data, e) < 0)
		return -1;
	*ret = data;
	*ret_len = len;
	return 0;
}

static int read_object(struct exchange *x, cJSON **ret, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	const char *text = NULL;
	size_t len = 0;

	if (read_text(x, &text, &len, e) < 0)
		return -1;
	if (len > 0 && json_parse(text, len, &doc, e) < 0)
		return e->field[0] ? -1 : err_wrap(e, "the body");
	if (len == 0)
		doc = cJSON_CreateObject();
	if (!cJSON_IsObject(doc))
		return err_field(e, "", "the body: must be an object");
	*ret = TAKE(doc);
	return 0;
}

/* A browser's page never sees its refresh token: the cookie stands in where the body has none. */
static int add_refresh_token(struct exchange *x, cJSON *fields, struct err *e)
{
	const struct wire_msg *m = subjects[x->route->subject].in;
	const char *token;

	if (!wire_field_find(m, "refresh_token") ||
	    cJSON_GetObjectItemCaseSensitive(fields, "refresh_token"))
		return 0;
	token = cookie_find(x->head.cookie, COOKIE_REFRESH, &x->arena);
	if (!token)
		return 0;
	cJSON_AddStringToObject(fields, "refresh_token", token);
	return auth_check_origin(x, e);
}

/* One entity tag without its quotes, or *. A list, or a weak one, can mean nothing here. */
static int add_tag(const char *header, const char *value, const char *field, cJSON *fields,
                   struct err *e)
{
	size_t len = value ? strlen(value) : 0;
	char tag[TAG_MAX];

	if (!value)
		return 0;
	if (strcmp(value, "*") == 0)
		snprintf(tag, sizeof(tag), "*");
	else if (len > 2 && len - 2 < sizeof(tag) && value[0] == '"' && value[len - 1] == '"' &&
	         strcspn(value + 1, "\"") == len - 2)
		snprintf(tag, sizeof(tag), "%.*s", (int)len - 2, value + 1);
	else
		return err_field(e, header, "must be one entity tag in quotes, or *");
	cJSON_DeleteItemFromObjectCaseSensitive(fields, field);
	if (!cJSON_AddStringToObject(fields, field, tag))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

/* What the header asks of the state that is there, as fields of a message that knows them. */
static int add_tags(const struct exchange *x, cJSON *fields, struct err *e)
{
	const struct wire_msg *m = subjects[x->route->subject].in;

	if (!x->route->tag)
		return 0;
	if (wire_field_find(m, "if_match") &&
	    add_tag("If-Match", x->head.if_match, "if_match", fields, e) < 0)
		return -1;
	return wire_field_find(m, "if_none_match")
	               ? add_tag("If-None-Match", x->head.if_none_match, "if_none_match", fields, e)
	               : 0;
}

int body_read(struct exchange *x, cJSON **ret, struct err *e)
{
	const struct wire_msg *m = subjects[x->route->subject].in;
	const char *query = x->info->query_string;
	OWN(json) cJSON *fields = NULL;

	if (x->route->input == INPUT_QUERY && x->body_left != 0)
		return err_field(e, "", "a %s takes no body", x->info->request_method);
	if (x->route->input == INPUT_BODY && query && query[0])
		return err_field(e, "", "a %s takes no query parameters", x->info->request_method);

	if (x->body_left != 0) {
		if (read_object(x, &fields, e) < 0)
			return -1;
	} else {
		fields = cJSON_CreateObject();
	}
	if ((x->route->input == INPUT_QUERY && query_add_fields(query, m, fields, e) < 0) ||
	    route_add_params(x->route, x->path, fields, e) < 0 || add_tags(x, fields, e) < 0 ||
	    add_refresh_token(x, fields, e) < 0)
		return -1;
	*ret = TAKE(fields);
	return 0;
}

void body_discard(struct exchange *x)
{
	long long until_ms = clock_mono_ms() + DISCARD_MS, got = 0;
	char data[4096];
	int n = 0;

	while (x->body_left != 0 && x->body_left <= DISCARD_MAX) {
		n = mg_read(x->conn, data, sizeof(data));
		got += n;
		if (n <= 0 || got > DISCARD_MAX || clock_mono_ms() > until_ms)
			break;
		if (x->body_left > 0)
			x->body_left -= n;
	}
	/* civetweb would go on reading what is left, for as long as it comes. */
	x->must_close |= x->body_left > 0 || (x->body_left < 0 && n != 0);
}
