#include "export/name.h"

#include "base/json.h"
#include "export/zip.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DIGEST 8 /* bytes of it that a name which was cut ends in */

struct text {
	char *data;
	size_t len, size;
};

/* false: there is no room. */
static bool add(struct text *t, const char *bytes, size_t len)
{
	if (len >= t->size - t->len)
		return false;
	memcpy(t->data + t->len, bytes, len);
	t->len += len;
	t->data[t->len] = '\0';
	return true;
}

static bool add_encoded(struct text *t, const char *value, bool is_path)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		bool is_odd =
			c < 0x20 || c == 0x7f || strchr("\\:*?\"<>|%", c) || (c == '/' && !is_path);
		char code[4];

		snprintf(code, sizeof(code), "%%%02X", c);
		if (!add(t, is_odd ? code : value, is_odd ? 3 : 1))
			return false;
	}
	return true;
}

/* A part that no file system would take. UTF-8 is not cut in the middle of a character. */
static bool add_cut(struct text *t, const char *part, size_t len)
{
	unsigned char digest[crypto_generichash_BYTES_MIN];
	char hex[2 * DIGEST + 1];
	size_t keep = NAME_PART_MAX - 2 * DIGEST - 1;

	crypto_generichash(digest, sizeof(digest), (const unsigned char *)part, len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), digest, DIGEST);
	while (keep > 0 && ((unsigned char)part[keep] & 0xc0) == 0x80)
		keep--;
	return add(t, part, keep) && add(t, "~", 1) && add(t, hex, 2 * DIGEST);
}

static bool shorten(const char *name, struct text *t)
{
	for (;; name++) {
		size_t len = strcspn(name, "/");

		if (!(len > NAME_PART_MAX ? add_cut(t, name, len) : add(t, name, len)))
			return false;
		name += len;
		if (!*name)
			return true;
		if (!add(t, "/", 1))
			return false;
	}
}

static int fill(const char *pattern, const cJSON *fields, struct text *t, struct err *e)
{
	while (*pattern) {
		size_t plain = strcspn(pattern, "{"), len;
		char field[64];
		const char *value;

		if (!add(t, pattern, plain))
			return err_field(e, "path", "is too long for a file's name");
		pattern += plain;
		if (!*pattern)
			return 0;
		len = strcspn(pattern, "}");
		snprintf(field, sizeof(field), "%.*s", (int)len - 1, pattern + 1);
		value = json_text(fields, field);
		if (!value)
			return err_field(e, field, "is not there");
		if (!add_encoded(t, value, strcmp(field, "path") == 0))
			return err_field(e, field, "is too long for a file's name");
		pattern += len + 1;
	}
	return 0;
}

int name_make(const char *pattern, const cJSON *fields, char ret[NAME_SIZE], struct err *e)
{
	char whole[NAME_SIZE] = "";
	struct text t = { whole, 0, sizeof(whole) }, cut = { ret, 0, NAME_SIZE };

	ret[0] = '\0';
	if (fill(pattern, fields, &t, e) < 0)
		return -1;
	if (!shorten(whole, &cut) || !zip_name_is_safe(ret))
		return err_field(e, "path", "is no name that a file can have everywhere");
	return 0;
}
