#include "email.h"

#include "wire/format.h"

#include <idn2.h>
#include <string.h>

#define EMAIL_MAX 254 /* RFC 5321 */

int email_normal(const char *email, char ret[EMAIL_SIZE], struct err *e)
{
	const char *at = strrchr(email, '@');
	size_t local = at ? (size_t)(at - email) : 0;
	char *domain = NULL;
	size_t len;

	if (!at || !at[1] || local > 64 ||
	    idn2_to_ascii_8z(at + 1, &domain, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return err_field(e, "email", "must be an e-mail address");
	len = local + 1 + strlen(domain);
	if (len <= EMAIL_MAX) {
		for (size_t i = 0; i < local; i++)
			ret[i] = (char)(email[i] >= 'A' && email[i] <= 'Z' ? email[i] + 32
			                                                   : email[i]);
		ret[local] = '@';
		memcpy(ret + local + 1, domain, len - local);
	}
	idn2_free(domain);
	/* What IDNA makes of a name may be none: U+00A0 becomes a space, wide digits an IP address. */
	if (len > EMAIL_MAX || wire_format_check(WIRE_FORMAT_EMAIL, ret))
		return err_field(e, "email", "must be an e-mail address");
	return 0;
}
