#ifndef AUTH_MAIL_DELIVER_H
#define AUTH_MAIL_DELIVER_H

#include "app.h"

/*
 * How a mail leaves: by SMTP where SMTP_URL is set, else as a file MAIL_DIR/<id>.eml, readable by
 * this user alone, for a platform without a mail server: its operator passes links on. A file is
 * there whole or not at all, and a mail written again replaces itself.
 */

/* Settings that their rows alone cannot judge. Names the setting. */
int deliver_check(struct app *app, struct err *e);

/* text: the whole message, CR LF. ERR_INVALID: refused for good; anything else may pass. */
int deliver(struct app *app, const char *id, const char *to, const char *text, struct err *e);

#endif
