#include "percent.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the sequence that begins here, 0 where it is none (RFC 3629: shortest forms, no
 * surrogates, at most U+10FFFF). */
static size_t sequence_len(const unsigned char *s, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		unsigned long least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };

	for (size_t i = 0; i < 4; i++) {
		unsigned long code = s[0] & (unsigned char)~forms[i].mask;

		if ((s[0] & forms[i].mask) != forms[i].lead)
			continue;
		if (i + 1 > left)
			return 0;
		for (size_t k = 1; k <= i; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[k] & 0x3f);
		}
		return code >= forms[i].least && code <= 0x10ffff &&
		                       (code < 0xd800 || code > 0xdfff)
		               ? i + 1
		               : 0;
	}
	return 0;
}

bool utf8_is_valid(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0, n; i < len; i += n) {
		n = sequence_len(p + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

bool percent_decode(const char *s, size_t len, bool plus, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)s[i];

		if (c == '%') {
			if (len - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
				return false;
			c = hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c < 0x20 || c == 0x7f || n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return utf8_is_valid(out, n);
}
