#include "memory/text.h"

#include "memory/file.h"

#include "base/utf8.h"

#include <sodium.h>

#define ENCODING sodium_base64_VARIANT_ORIGINAL
#define LETTERS  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

bool memory_text_is_plain(const char *data, size_t len)
{
	for (size_t i = 0, step; i < len; i += step) {
		unsigned char c = (unsigned char)data[i];

		step = utf8_len(data + i, len - i);
		if (step == 0 || c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r'))
			return false;
	}
	return true;
}

int memory_text_from(const char *data, size_t len, struct arena *a, const char **ret,
                     const char **ret_encoding, struct err *e)
{
	size_t size = sodium_base64_encoded_len(len, ENCODING);
	char *text;

	if (memory_text_is_plain(data, len)) {
		*ret = data;
		*ret_encoding = MEMORY_UTF8;
		return 0;
	}
	text = arena_alloc(a, size);
	if (!text)
		return err_set(e, ERR_TOO_LARGE, "message is too large");
	*ret = sodium_bin2base64(text, size, (const unsigned char *)data, len, ENCODING);
	*ret_encoding = MEMORY_BASE64;
	return 0;
}

static int check_size(size_t len, struct err *e)
{
	if (len > MEMORY_FILE_MAX)
		return err_set(e, ERR_TOO_LARGE, "a file may have %d bytes", MEMORY_FILE_MAX);
	return 0;
}

int memory_text_to(const char *text, const char *encoding, struct arena *a, const char **ret,
                   size_t *ret_len, struct err *e)
{
	size_t len = strlen(text), got = 0;
	unsigned char *data;

	if (!encoding || strcmp(encoding, MEMORY_UTF8) == 0) {
		*ret = text;
		*ret_len = len;
		return check_size(len, e);
	}
	data = arena_alloc(a, len + 1);
	if (!data)
		return err_set(e, ERR_TOO_LARGE, "message is too large");
	/* libsodium 1.0.18 also reads every byte above 0x7f as a digit. */
	if (strspn(text, LETTERS) != len ||
	    sodium_base642bin(data, len + 1, text, len, NULL, &got, NULL, ENCODING) != 0)
		return err_field(e, "content", "is no base64");
	*ret = (const char *)data;
	*ret_len = got;
	return check_size(got, e);
}
