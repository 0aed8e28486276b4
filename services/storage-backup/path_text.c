#include "path_text.h"

#include "base/utf8.h"

#include <string.h>

const char *path_text(struct arena *a, const char *path, bool *ret_exact)
{
	size_t len = strlen(path);
	char *text = arena_strdup(a, path);

	*ret_exact = true;
	for (size_t i = 0; text && i < len;) {
		size_t n = utf8_len(path + i, len - i);

		if (n == 0 || (unsigned char)path[i] < 0x20 || path[i] == 0x7f) {
			text[i] = '?';
			*ret_exact = false;
			n = 1;
		}
		i += n;
	}
	return text;
}

bool text_is_plain(const char *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(text + i, len - i);
		if (n == 0 || text[i] == '\0')
			return false;
	}
	return true;
}

int path_check(const char *path, const char *field, struct err *e)
{
	size_t first = strcspn(path, "/");

	if (!(first == 9 &&
	      (memcmp(path, ".openclaw", 9) == 0 || memcmp(path, "workspace", 9) == 0)))
		return err_field(e, field, "must begin with workspace/ or .openclaw/");
	for (const char *part = path;; part += strcspn(part, "/") + 1) {
		size_t len = strcspn(part, "/");

		if (len == 0 || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return err_field(e, field, "has an empty, '.' or '..' part");
		if (!part[len])
			return 0;
	}
}
