#include "json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *at;
	const char *end;
	unsigned int depth;
};

static struct json *parse_value(struct parser *p);

static void skip_space(struct parser *p)
{
	while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at)
		p->at++;
}

static bool take(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0)
		return false;
	p->at += len;
	return true;
}

static int hex4(struct parser *p)
{
	int value = 0;

	if (p->end - p->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = *p->at++;
		int digit = c >= '0' && c <= '9'   ? c - '0'
		            : c >= 'a' && c <= 'f' ? c - 'a' + 10
		            : c >= 'A' && c <= 'F' ? c - 'A' + 10
		                                   : -1;

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* Writes one code point as UTF-8 at most 4 bytes long. */
static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* After "\u": a code point, of a surrogate pair too; -1 for NUL and half pairs. */
static int32_t unicode_escape(struct parser *p)
{
	int high = hex4(p);
	int low;

	if (high <= 0 || (high >= 0xdc00 && high < 0xe000))
		return -1;
	if (high < 0xd800 || high >= 0xe000)
		return high;
	if (!take(p, "\\u"))
		return -1;
	low = hex4(p);
	if (low < 0xdc00 || low >= 0xe000)
		return -1;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static char *escape(struct parser *p, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int32_t c;

	if (p->at >= p->end)
		return NULL;
	if (*p->at == 'u') {
		p->at++;
		c = unicode_escape(p);
		return c < 0 ? NULL : put_utf8(out, (uint32_t)c);
	}
	found = *p->at ? strchr(from, *p->at) : NULL;
	if (!found)
		return NULL;
	p->at++;
	*out++ = to[found - from];
	return out;
}

/* The decoded string, never longer than its source. */
static char *parse_string(struct parser *p)
{
	char *start, *out;

	if (!take(p, "\""))
		return NULL;
	start = out = malloc((size_t)(p->end - p->at) + 1);
	while (out && p->at < p->end && *p->at != '"' && (unsigned char)*p->at >= 0x20) {
		char c = *p->at++;

		if (c == '\\')
			out = escape(p, out);
		else
			*out++ = c;
	}
	if (!out || !take(p, "\"")) {
		free(start);
		return NULL;
	}
	*out = '\0';
	return start;
}

static bool parse_number(struct parser *p, struct json *j)
{
	char copy[64];
	size_t len = 0;
	char *stop;

	while (p->at + len < p->end && p->at[len] && strchr("+-0123456789.eE", p->at[len]))
		len++;
	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, p->at, len);
	copy[len] = '\0';
	j->type = JSON_NUMBER;
	j->number = strtod(copy, &stop);
	p->at += len;
	return *stop == '\0' && isfinite(j->number);
}

/* The members up to the closing bracket; what was read so far hangs on j also on failure. */
static bool parse_members(struct parser *p, struct json *j, const char *close)
{
	struct json **tail = &j->child;

	skip_space(p);
	if (take(p, close))
		return true;
	for (;;) {
		char *key = NULL;

		skip_space(p);
		if (j->type == JSON_OBJECT) {
			key = parse_string(p);
			skip_space(p);
			if (!key || !take(p, ":")) {
				free(key);
				return false;
			}
		}
		*tail = parse_value(p);
		if (!*tail) {
			free(key);
			return false;
		}
		(*tail)->key = key;
		tail = &(*tail)->next;
		skip_space(p);
		if (take(p, close))
			return true;
		if (!take(p, ","))
			return false;
	}
}

static bool parse_into(struct parser *p, struct json *j)
{
	if (take(p, "{")) {
		j->type = JSON_OBJECT;
		return parse_members(p, j, "}");
	}
	if (take(p, "[")) {
		j->type = JSON_ARRAY;
		return parse_members(p, j, "]");
	}
	if (p->at < p->end && *p->at == '"') {
		j->type = JSON_STRING;
		j->string = parse_string(p);
		return j->string;
	}
	if (take(p, "null"))
		return true;
	j->truth = take(p, "true");
	if (j->truth || take(p, "false")) {
		j->type = JSON_BOOL;
		return true;
	}
	return parse_number(p, j);
}

static struct json *parse_value(struct parser *p)
{
	struct json *j = calloc(1, sizeof(*j));
	bool good;

	skip_space(p);
	good = j && ++p->depth <= JSON_DEPTH_MAX && parse_into(p, j);
	p->depth--;
	if (!good) {
		json_free(j);
		return NULL;
	}
	return j;
}

struct json *json_parse(const char *text, size_t len)
{
	struct parser p = { .at = text, .end = text + len };
	struct json *j = parse_value(&p);

	skip_space(&p);
	if (j && p.at != p.end) {
		json_free(j);
		return NULL;
	}
	return j;
}

void json_free(struct json *j)
{
	while (j) {
		struct json *next = j->next;

		json_free(j->child);
		free(j->key);
		free(j->string);
		free(j);
		j = next;
	}
}

const struct json *json_at(const struct json *j, const char *path)
{
	while (j && *path) {
		size_t len = strcspn(path, "/");

		j = j->type == JSON_OBJECT ? j->child : NULL;
		while (j && (strlen(j->key) != len || memcmp(j->key, path, len) != 0))
			j = j->next;
		path += len + (path[len] == '/');
	}
	return j;
}

const char *json_string_at(const struct json *j, const char *path, const char *otherwise)
{
	j = json_at(j, path);
	return j && j->type == JSON_STRING ? j->string : otherwise;
}

int64_t json_int_at(const struct json *j, const char *path, int64_t otherwise)
{
	j = json_at(j, path);
	/* Beyond 2^53 a double has lost digits, so such a number is no integer. */
	if (!j || j->type != JSON_NUMBER || fabs(j->number) > 9007199254740992.0 ||
	    j->number != floor(j->number))
		return otherwise;
	return (int64_t)j->number;
}

bool json_bool_at(const struct json *j, const char *path, bool otherwise)
{
	j = json_at(j, path);
	return j && j->type == JSON_BOOL ? j->truth : otherwise;
}

void text_add(struct text *t, const char *data, size_t len)
{
	if (t->failed)
		return;
	if (t->size - t->len <= len) {
		size_t size = (t->len + len + 1) * 2;
		char *grown = realloc(t->data, size);

		if (!grown) {
			t->failed = true;
			return;
		}
		t->data = grown;
		t->size = size;
	}
	memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

void text_printf(struct text *t, const char *fmt, ...)
{
	char *line = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&line, fmt, args);
	va_end(args);
	if (len < 0) {
		t->failed = true;
		return;
	}
	text_add(t, line, (size_t)len);
	free(line);
}

void text_json(struct text *t, const char *s)
{
	if (!s) {
		text_add(t, "null", 4);
		return;
	}
	text_add(t, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text_printf(t, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			text_printf(t, "\\u%04x", (unsigned char)*s);
		else
			text_add(t, s, 1);
	}
	text_add(t, "\"", 1);
}

void text_done(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}
