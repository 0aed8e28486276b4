#ifndef AUTH_EMAIL_H
#define AUTH_EMAIL_H

#include "base/err.h"

/*
 * An address as it is kept and looked for, so that one mailbox is one account however it is written:
 * the part before the @ in lower case (ASCII; RFC 5321 lets a server tell cases apart, and none that
 * people use does), the domain as IDNA A-labels (UTS 46 by libidn2: lower case, Unicode NFC, width).
 */
#define EMAIL_SIZE 256 /* holds whatever the schema lets through */

/* ERR_INVALID naming the field "email". Any thread. */
int email_normal(const char *email, char ret[EMAIL_SIZE], struct err *e);

#endif
