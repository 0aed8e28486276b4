/*
 * Any bytes as an e-mail address. What the schema takes has at most one normal form, which the schema
 * takes as well, which is ASCII without capitals, and which is its own normal form. The same goes for
 * recovery codes.
 */

#include "email.h"
#include "factor.h"

#include "wire/format.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_email(const char *text)
{
	char once[EMAIL_SIZE], twice[EMAIL_SIZE];
	struct err e = ERR_INIT;

	if (email_normal(text, once, &e) < 0)
		return;
	if (wire_format_check(WIRE_FORMAT_EMAIL, text))
		return;
	for (const char *p = once; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || (*p >= 'A' && *p <= 'Z'))
			abort();
	if (wire_format_check(WIRE_FORMAT_EMAIL, once))
		abort();
	if (email_normal(once, twice, &e) < 0 || strcmp(once, twice) != 0)
		abort();
}

static void check_code(const char *text)
{
	static const unsigned char secret[FACTOR_SECRET_BYTES] = "12345678901234567890";
	char once[FACTOR_RECOVERY_SIZE], twice[FACTOR_RECOVERY_SIZE];

	if (factor_recovery_plain(text, once) &&
	    (!factor_recovery_plain(once, twice) || strcmp(once, twice) != 0))
		abort();
	if (factor_step_of(secret, sizeof(secret), 1111111111, text) != 0 && strlen(text) != 6)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);

	memcpy(text, data, size);
	check_email(text);
	check_code(text);
	return 0;
}
