#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

size_t utf8_len(const char *text, size_t left)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *s = (const uint8_t *)text;
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

void utf8_copy(char *to, size_t size, const char *text)
{
	size_t left = strlen(text), used = 0;

	while (left > 0) {
		size_t n = utf8_len(text, left), step = n ? n : 1;

		if (used + step >= size)
			break;
		if (n)
			memcpy(to + used, text, n);
		else
			to[used] = '?';
		used += step;
		text += step;
		left -= step;
	}
	to[used] = '\0';
}
