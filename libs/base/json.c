#include "base/json.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at s, 0 if there is none that is valid and shortest (RFC 3629). */
static size_t utf8_len(const uint8_t *s, size_t left)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80       ? 1
	           : s[0] >> 5 == 6  ? 2
	           : s[0] >> 4 == 14 ? 3
	           : s[0] >> 3 == 30 ? 4
	                             : 0;
	uint32_t c;

	if (n <= 1 || n > left)
		return n <= left ? n : 0;

	c = s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3fU);
	}
	return c >= smallest[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Bytes of the number at s as RFC 8259 writes one, 0 if it is none. */
static size_t number_len(const uint8_t *s, size_t left)
{
	size_t i = s[0] == '-', from;

	from = i;
	while (i < left && is_digit(s[i]))
		i++;
	if (i == from || (s[from] == '0' && i - from > 1))
		return 0;
	if (i < left && s[i] == '.') {
		from = ++i;
		while (i < left && is_digit(s[i]))
			i++;
		if (i == from)
			return 0;
	}
	if (i < left && (s[i] == 'e' || s[i] == 'E')) {
		i++;
		if (i < left && (s[i] == '+' || s[i] == '-'))
			i++;
		from = i;
		while (i < left && is_digit(s[i]))
			i++;
		if (i == from)
			return 0;
	}
	return i;
}

/* Bytes of one character inside a string, escapes whole. 0: *e is set. */
static size_t string_step(const uint8_t *s, size_t left, struct err *e)
{
	size_t n = utf8_len(s, left);

	if (n == 0) {
		err_field(e, "", "is not UTF-8");
		return 0;
	}
	if (s[0] < 0x20) {
		err_field(e, "", "has a control character in a string");
		return 0;
	}
	if (s[0] != '\\' || left < 2)
		return n;
	if (left >= 6 && memcmp(s, "\\u0000", 6) == 0) {
		err_field(e, "", "has a zero character in a string");
		return 0;
	}
	return 2;
}

/* Bytes of one token outside strings. 0: *e is set. */
static size_t token_step(const uint8_t *s, size_t left, int *depth, struct err *e)
{
	size_t n;

	if (s[0] == '{' || s[0] == '[') {
		if (++*depth > JSON_DEPTH_MAX) {
			err_field(e, "", "is nested deeper than %d", JSON_DEPTH_MAX);
			return 0;
		}
		return 1;
	}
	if (s[0] == '}' || s[0] == ']') {
		--*depth;
		return 1;
	}
	if (s[0] == '-' || is_digit(s[0])) {
		n = number_len(s, left);
		if (n == 0)
			err_field(e, "", "has a number that is not JSON");
		return n;
	}
	if (s[0] >= 0x80 || (s[0] < 0x20 && !memchr("\t\r\n", s[0], 3))) {
		err_field(e, "", "is not JSON");
		return 0;
	}
	return 1;
}

static int text_check(const uint8_t *s, size_t len, struct err *e)
{
	bool in_string = false;
	int depth = 0;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		if (s[i] == '"') {
			in_string = !in_string;
			n = 1;
			continue;
		}
		n = in_string ? string_step(s + i, len - i, e)
		              : token_step(s + i, len - i, &depth, e);
		if (n == 0)
			return -1;
	}
	return 0;
}

/* What only the parsed tree shows: keys that come twice, numbers past a double. */
static int tree_check(const cJSON *v, struct err *e)
{
	const cJSON *child;

	if (cJSON_IsNumber(v) && !isfinite(v->valuedouble))
		return err_field(e, v->string ? v->string : "", "is too large a number");

	if (cJSON_IsObject(v) && cJSON_GetArraySize(v) > JSON_MEMBERS_MAX)
		return err_field(e, v->string ? v->string : "", "has more than %d members",
		                 JSON_MEMBERS_MAX);
	cJSON_ArrayForEach(child, v) {
		if (cJSON_IsObject(v) &&
		    cJSON_GetObjectItemCaseSensitive(v, child->string) != child)
			return err_field(e, child->string, "comes twice");
		if (tree_check(child, e) < 0)
			return -1;
	}
	return 0;
}

int json_parse(const char *data, size_t len, cJSON **ret, struct err *e)
{
	const char *end = NULL;
	cJSON *doc;

	if (text_check((const uint8_t *)data, len, e) < 0)
		return -1;

	doc = cJSON_ParseWithLengthOpts(data, len, &end, false);
	if (!doc)
		return err_field(e, "", "is not JSON");

	while (end < data + len && *end && strchr(" \t\r\n", *end))
		end++;
	if (end != data + len) {
		cJSON_Delete(doc);
		return err_field(e, "", "has bytes after the document");
	}
	if (tree_check(doc, e) < 0) {
		cJSON_Delete(doc);
		return -1;
	}

	*ret = doc;
	return 0;
}

const char *json_text(const cJSON *obj, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(obj, key));
}
