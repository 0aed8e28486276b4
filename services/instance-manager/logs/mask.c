#include "logs/mask.h"

#include "base/own.h"

#include <string.h>

#define TOKEN_CHARS  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define BEARER_CHARS TOKEN_CHARS ".~+/="
#define DIGITS       "0123456789"

static void cover(char *from, size_t len)
{
	memset(from, '*', len);
}

static void cover_all(char *text, const char *secret)
{
	size_t len = strlen(secret);

	for (char *at = text; len >= MASK_SECRET_MIN && (at = strstr(at, secret)); at += len)
		cover(at, len);
}

/* What comes behind a word, where it is long enough to be a secret. */
static void cover_behind(char *text, const char *word, const char *chars, size_t len_min)
{
	for (char *at = text; (at = strcasestr(at, word));) {
		size_t len;

		at += strlen(word);
		len = strspn(at, chars);
		if (len >= len_min)
			cover(at, len);
	}
}

/* <bot id>:<secret>, also in a URL's /bot<id>:<secret>/. */
static void cover_bot_tokens(char *text)
{
	for (char *at = text; (at = strchr(at, ':')); at++) {
		size_t digits = 0, len = strspn(at + 1, TOKEN_CHARS);

		while (at - text > (ptrdiff_t)digits && strchr(DIGITS, at[-1 - (ptrdiff_t)digits]))
			digits++;
		if (digits >= 6 && len >= 30)
			cover(at + 1, len);
	}
}

void mask_text(char *text, const char *const *secrets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (secrets[i])
			cover_all(text, secrets[i]);
	cover_bot_tokens(text);
	cover_behind(text, "bearer ", BEARER_CHARS, 12);
	cover_behind(text, "sk-", TOKEN_CHARS, 12);
}

void mask_controls(char *text)
{
	char *to = text;

	for (const char *from = text; *from;) {
		if (from[0] == '\x1b' && from[1] == '[') {
			from += 2;
			from += strspn(from, "0123456789;?");
			from += *from != '\0';
		} else if (((unsigned char)*from < 0x20 && *from != '\t') || *from == 0x7f) {
			from++;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}
