#ifndef AUTH_MAIL_LETTER_H
#define AUTH_MAIL_LETTER_H

#include "base/arena.h"
#include "base/err.h"
#include "link.h"

/*
 * A mail as text: RFC 5322 with a plain and an HTML part (MIME multipart/alternative), both from one
 * row of mails.def by one layout, so that neither says what the other does not. Pure.
 */
enum mail_id {
#define MAIL(id, ...) MAIL_##id,
#include "mail/mails.def"
#undef MAIL
	MAIL_COUNT
};

enum mail_to { MAIL_TO_ADDRESS, MAIL_TO_USER };

struct mail_row {
	const char *name;
	enum link_purpose purpose;
	int valid_s;
	const char *path; /* NULL: no link */
	enum mail_to to;
	const char *subject, *text, *button;
};

extern const struct mail_row mail_rows[MAIL_COUNT];

/* NULL: this build has no such mail. */
const struct mail_row *mail_row_find(const char *name);

struct letter {
	const struct mail_row *row;
	const char *id;         /* of the mail, in its Message-ID: sent twice it is still one */
	const char *from, *to;  /* addresses alone */
	const char *public_url; /* without a slash at its end */
	const char *token;      /* of the link; NULL where the row has none */
	const char *email, *detail, *address; /* detail and address may be NULL */
	long long asked_ms, now_ms;           /* unix ms */
};

/* *ret lives in the arena. */
int letter_write(const struct letter *l, struct arena *a, const char **ret, struct err *e);

#endif
