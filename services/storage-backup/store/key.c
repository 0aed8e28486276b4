#include "store/key.h"

#include "base/utf8.h"

#include <string.h>

/* C0, DEL, C1, and the two that no XML may hold. s: a valid character of len bytes. */
static bool is_refused(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;

	if (len == 1)
		return u[0] < 0x20 || u[0] == 0x7f;
	return (len == 2 && u[0] == 0xc2 && u[1] < 0xa0) ||
	       (len == 3 && u[0] == 0xef && u[1] == 0xbf && u[2] >= 0xbe);
}

static bool is_text(const char *s, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t n = utf8_len(s + at, len - at);

		if (!n || is_refused(s + at, n))
			return false;
		at += n;
	}
	return true;
}

/* One that the key goes on behind, or ends with. */
static bool is_whole_part(const char *part, size_t len)
{
	return len > 0 && len <= KEY_PART_MAX && !(len == 1 && part[0] == '.') &&
	       !(len == 2 && part[0] == '.' && part[1] == '.');
}

static bool is_either(const char *key, size_t max, bool is_prefix)
{
	size_t len = strlen(key), parts = 1;
	const char *part = key, *slash;

	if (len > max || !is_text(key, len))
		return false;
	for (; (slash = strchr(part, '/')); part = slash + 1, parts++)
		if (!is_whole_part(part, (size_t)(slash - part)))
			return false;
	if (parts > KEY_PARTS_MAX)
		return false;
	return is_prefix ? strlen(part) <= KEY_PART_MAX : is_whole_part(part, strlen(part));
}

bool key_is_valid(const char *key, size_t max)
{
	return is_either(key, max, false);
}

bool key_is_prefix(const char *prefix, size_t max)
{
	return is_either(prefix, max, true);
}
