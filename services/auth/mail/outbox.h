#ifndef AUTH_MAIL_OUTBOX_H
#define AUTH_MAIL_OUTBOX_H

#include "bus/bus.h"
#include "mail/letter.h"
#include "store/pg.h"

/* A mail to be sent. */
struct outbox_mail {
	enum mail_id id;
	const char *email;   /* where to */
	const char *user_id; /* NULL for rows of MAIL_TO_ADDRESS: found when it is sent */
	const char *detail;  /* may be NULL */
};

/*
 * Writes a mail down, in the caller's transaction where one is open: it goes out if and only if that
 * commits. The caller wakes app->courier after it. One statement that takes the same time whoever has
 * the address, and whether anybody has.
 */
int outbox_add(struct pg_conn *c, const struct bus_ctx *ctx, const struct outbox_mail *mail,
               struct err *e);

/* Takes back what still waits for a user who goes, and forgets what was sent to them. */
int outbox_forget(struct pg_conn *c, const char *user_id, struct err *e);

#endif
