#ifndef AUTH_PROVE_H
#define AUTH_PROVE_H

#include "app.h"
#include "audit.h"

/*
 * Whether somebody is who they say: password, and what goes with it. The one place that sign-in,
 * re-authentication and a change of password ask; each wrong answer is counted (attempt.h) and audited
 * here. On the hash pool's threads.
 */
struct proof {
	const char *email;       /* email_normal()'s; NULL: the actor's */
	const char *password;    /* as given */
	const char *code;        /* of the second factor; NULL: none was given */
	enum audit_action wrong; /* how the audit log calls a refusal */
};

/* Who it is, once proven. */
struct proven {
	struct user_view user;
	const char *hash; /* of the password that fitted */
};

/* Takes the same time whether the address is anybody's or not. ERR_CREDENTIALS: not the one; with an
 * e-mail address it does not say what was wrong. ERR_LIMIT: not now. Only once the password is right:
 * ERR_SECOND_FACTOR, a code is needed too; ERR_CODE_WRONG. */
int prove(struct call *call, const struct proof *p, struct proven *ret, struct err *e);

#endif
