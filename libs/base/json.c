#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

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

/* The code unit of "\uXXXX" at s; -1 when it is none. */
static long code_unit(const uint8_t *s, size_t left)
{
	static const char digits[] = "0123456789abcdef";
	long unit = 0;

	if (left < 6 || s[0] != '\\' || s[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		const char *at = s[i] ? strchr(digits, s[i] | 0x20) : NULL;

		/* A space or a control character is not a digit with the bit of small letters. */
		if (!at || (s[i] < 'A' && !is_digit(s[i])))
			return -1;
		unit = unit << 4 | (at - digits);
	}
	return unit;
}

/* Bytes of one escape, a pair of surrogates whole. 0: *e is set. cJSON reads \uXXXX that is no hex
 * as zero, and so cuts the string there. */
static size_t escape_step(const uint8_t *s, size_t left, struct err *e)
{
	long unit, low;

	if (left >= 2 && s[1] != 'u') {
		if (s[1] && strchr("\"\\/bfnrt", s[1]))
			return 2;
		err_field(e, "", "has an unknown escape in a string");
		return 0;
	}
	unit = code_unit(s, left);
	if (unit == 0) {
		err_field(e, "", "has a zero character in a string");
		return 0;
	}
	if (unit > 0 && (unit < 0xd800 || unit > 0xdfff))
		return 6;
	low = unit >= 0xd800 && unit <= 0xdbff ? code_unit(s + 6, left - 6) : -1;
	if (low >= 0xdc00 && low <= 0xdfff)
		return 12;
	err_field(e, "", "has an escape in a string that is no character");
	return 0;
}

/* Bytes of one character inside a string, escapes whole. 0: *e is set. */
static size_t string_step(const uint8_t *s, size_t left, struct err *e)
{
	size_t n = utf8_len((const char *)s, left);

	if (n == 0) {
		err_field(e, "", "is not UTF-8");
		return 0;
	}
	if (s[0] < 0x20) {
		err_field(e, "", "has a control character in a string");
		return 0;
	}
	return s[0] == '\\' ? escape_step(s, left, e) : n;
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
