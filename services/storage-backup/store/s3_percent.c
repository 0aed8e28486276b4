#include "store/s3_percent.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-._~";

static void encode(const char *text, const char *also, char *to, size_t size)
{
	const char *end = to + size - 4;

	for (; *text && to < end; text++) {
		if (strchr(unreserved, *text) || strchr(also, *text))
			*to++ = *text;
		else
			to += snprintf(to, 4, "%%%02X", (unsigned char)*text);
	}
	*to = 0;
}

void s3_encode(const char *text, char *to, size_t size)
{
	encode(text, "", to, size);
}

void s3_encode_path(const char *text, char *to, size_t size)
{
	encode(text, "/", to, size);
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

bool s3_decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from == '+') {
			*to++ = ' ';
		} else if (*from != '%') {
			*to++ = *from;
		} else {
			if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
				return false;
			*to = (char)(16 * digit(from[1]) + digit(from[2]));
			if (!*to++)
				return false;
			from += 2;
		}
	}
	*to = 0;
	return true;
}
