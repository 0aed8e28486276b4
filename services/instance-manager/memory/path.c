#include "memory/path.h"

#include "base/utf8.h"

#include <sodium.h>
#include <string.h>

#define ENCODING       sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define NAME_BYTES_MAX 255 /* what file systems take */

bool memory_name_fits(const char *name, size_t len)
{
	if (len == 0 || len > NAME_BYTES_MAX || name[0] == '.')
		return false;
	for (size_t i = 0, step; i < len; i += step) {
		const unsigned char *c = (const unsigned char *)name + i;

		step = utf8_len(name + i, len - i);
		if (step == 0 || c[0] < 0x20 || c[0] == 0x7f || c[0] == '/' ||
		    (step == 2 && c[0] == 0xc2 && c[1] < 0xa0))
			return false;
	}
	return true;
}

int memory_path_check(const char *path, struct err *e)
{
	size_t len = strlen(path), parts = 0;

	if (len == 0 || len > MEMORY_PATH_MAX)
		return err_field(e, "path", "must be 1 to %d bytes long", MEMORY_PATH_MAX);
	for (const char *at = path;; at += 1) {
		size_t part = strcspn(at, "/");

		if (!memory_name_fits(at, part))
			return err_field(e, "path",
			                 "has a part that is empty, hidden, too long or no text");
		if (++parts > MEMORY_DEPTH_MAX)
			return err_field(e, "path", "is deeper than %d", MEMORY_DEPTH_MAX);
		at += part;
		if (!*at)
			return 0;
	}
}

/* No name has a byte below ' ', so that a '/' read as 1 sorts part by part. */
static int weight(char c)
{
	return c == '/' ? 1 : (unsigned char)c;
}

int memory_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return weight(*a) - weight(*b);
}

bool memory_path_is_above(const char *path, const char *of)
{
	size_t len = strlen(path);

	return strncmp(path, of, len) == 0 && of[len] == '/';
}

char *memory_cursor_text(const char *path, char out[MEMORY_CURSOR_MAX])
{
	return sodium_bin2base64(out, MEMORY_CURSOR_MAX, (const unsigned char *)path, strlen(path),
	                         ENCODING);
}

int memory_cursor_parse(const char *text, char out[MEMORY_PATH_MAX + 1], struct err *e)
{
	struct err ignored = ERR_INIT;
	char again[MEMORY_CURSOR_MAX];
	size_t len = 0;

	/* libsodium 1.0.18 also reads every byte above 0x7f, as '_': the last comparison sees it. */
	if (sodium_base642bin((unsigned char *)out, MEMORY_PATH_MAX, text, strlen(text), NULL, &len,
	                      NULL, ENCODING) != 0)
		return err_field(e, "cursor", "is not a cursor of this list");
	out[len] = '\0';
	if (strlen(out) != len || memory_path_check(out, &ignored) < 0 ||
	    strcmp(memory_cursor_text(out, again), text) != 0)
		return err_field(e, "cursor", "is not a cursor of this list");
	return 0;
}
