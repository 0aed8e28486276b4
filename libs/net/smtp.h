#ifndef NET_SMTP_H
#define NET_SMTP_H

#include "base/err.h"

/*
 * Mail to an SMTP server by libcurl. One connection a mail; any thread. Credentials go over TLS only:
 * smtps://, or smtp:// with STARTTLS, which is demanded unless is_plain says that the way is safe
 * without (a relay on this machine).
 */
struct smtp_opt {
	const char
		*url; /* smtp[s]://[USER:PASSWORD@]HOST[:PORT][/NAME-FOR-EHLO]; never in an error */
	bool is_plain;
	int connect_ms, timeout_ms; /* until it is connected; the whole mail */
};

struct smtp_mail {
	const char *from, *to; /* addresses alone */
	const char *data;      /* the whole message: RFC 5322, lines ended by CR LF */
	size_t len;
};

/*
 * Returns once the server has taken the mail. *stop becoming true ends the try within a second; NULL:
 * never. ERR_INVALID: the server refuses this recipient or message for good; ERR_UNAVAILABLE,
 * ERR_TIMEOUT, ERR_UPSTREAM: try again later. After any but ERR_INVALID it may have been taken all
 * the same. Messages name no address.
 */
int smtp_send(const struct smtp_opt *opt, const struct smtp_mail *mail, const volatile bool *stop,
              struct err *e);

/* ERR_INVALID naming the field SMTP_URL unless smtp_send() could use it. */
int smtp_check(const struct smtp_opt *opt, struct err *e);

#endif
