/*
 * Any bytes as an e-mail address: what the schema lets through either becomes one form or is refused by
 * name, and that form is its own: written again it is the same, so that one mailbox is one account.
 */

#include "email.h"

#include "base/own.h"
#include "wire/format.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);
	char once[EMAIL_SIZE], twice[EMAIL_SIZE];
	struct err e = ERR_INIT;

	memcpy(text, data, size);
	if (wire_format_check(WIRE_FORMAT_EMAIL, text) || strlen(text) >= EMAIL_SIZE)
		return 0;
	if (email_normal(text, once, &e) < 0) {
		if (e.code != ERR_INVALID || strcmp(e.field, "email") != 0)
			abort();
		return 0;
	}
	if (strlen(once) >= EMAIL_SIZE || !strchr(once, '@') || email_normal(once, twice, &e) < 0 ||
	    strcmp(once, twice) != 0)
		abort();
	return 0;
}
