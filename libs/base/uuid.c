#include "base/uuid.h"

#include <sodium.h>

void uuid_make(char out[UUID_SIZE])
{
	unsigned char b[16];
	char hex[33];

	randombytes_buf(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	sodium_bin2hex(hex, sizeof(hex), b, sizeof(b));
	snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
	         hex + 20);
}

bool uuid_is_valid(const char *s)
{
	for (size_t i = 0; i < UUID_SIZE - 1; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (!s[i] || (is_dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i])))
			return false;
	}
	return !s[UUID_SIZE - 1];
}

void random_hex(size_t len, char *out)
{
	unsigned char b[32];

	/* In pieces of a buffer: each call of randombytes_buf() is a system call. */
	for (size_t at = 0; at < len; at += sizeof(b)) {
		size_t n = len - at < sizeof(b) ? len - at : sizeof(b);

		randombytes_buf(b, n);
		sodium_bin2hex(out + 2 * at, 2 * n + 1, b, n);
	}
	out[2 * len] = '\0';
}
