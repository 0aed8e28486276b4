#ifndef AUTH_LINK_H
#define AUTH_LINK_H

#include "store/pg.h"

#include "base/uuid.h"

/*
 * The secrets in mailed links: 256 random bits each, kept as their BLAKE2b hash, good once, for one
 * purpose and for a while. Using one ends all others that the user has for the same purpose.
 */
#define LINK_TEXT_SIZE 44 /* base64url of 32 bytes, and the zero */

enum link_purpose {
	LINK_NONE,
	LINK_VERIFY,    /* the address is the user's */
	LINK_RESET,     /* a new password may be set */
	LINK_EMAIL_NEW, /* the new address is theirs */
	LINK_EMAIL_OLD, /* the old address agrees to the new one */
	LINK_COUNT
};

struct link {
	enum link_purpose purpose;
	char user_id[UUID_SIZE];
	char email[256]; /* where it was sent */
};

/* A new one, for what->user_id and what->email; text in ret. */
int link_make(struct pg_conn *c, const struct link *what, int valid_s, char ret[LINK_TEXT_SIZE],
              struct err *e);

/* What a link is for; its row stays locked until the caller's transaction ends. purposes: a bit (1 <<
 * purpose) for each that will do. ERR_LINK: unknown, used, too old or for something else. */
int link_look(struct pg_conn *c, const char *text, unsigned purposes, struct link *ret,
              struct err *e);

/* Ends all links that the user has for this purpose, in the caller's transaction. */
int link_spend(struct pg_conn *c, const char *user_id, enum link_purpose purpose, struct err *e);

#endif
