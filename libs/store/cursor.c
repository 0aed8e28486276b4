#include "store/cursor.h"

#include <errno.h>
#include <sodium.h>

#define ENCODING sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define US_MAX   (1LL << 56) /* some thousand years */

char *cursor_text(const struct cursor *c, char out[CURSOR_SIZE])
{
	char plain[CURSOR_SIZE / 2 + 16];
	int len = snprintf(plain, sizeof(plain), "%lld:%s", c->created_us, c->id);

	return sodium_bin2base64(out, CURSOR_SIZE, (const unsigned char *)plain, (size_t)len,
	                         ENCODING);
}

int cursor_parse(const char *text, struct cursor *ret, struct err *e)
{
	unsigned char plain[CURSOR_SIZE];
	struct cursor c = { 0 };
	char again[CURSOR_SIZE], *colon = NULL;
	size_t len = 0;

	if (sodium_base642bin(plain, sizeof(plain) - 1, text, strlen(text), NULL, &len, NULL,
	                      ENCODING) != 0)
		return err_field(e, "cursor", "is not a cursor of this list");
	plain[len] = '\0';
	errno = 0;
	c.created_us = strtoll((const char *)plain, &colon, 10);
	if (errno || *colon != ':' || c.created_us < 0 || c.created_us > US_MAX ||
	    !uuid_is_valid(colon + 1))
		return err_field(e, "cursor", "is not a cursor of this list");
	snprintf(c.id, sizeof(c.id), "%s", colon + 1);

	/* One text for one place: no second spelling is taken. */
	if (strcmp(cursor_text(&c, again), text) != 0)
		return err_field(e, "cursor", "is not a cursor of this list");
	*ret = c;
	return 0;
}
