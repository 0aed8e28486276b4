#ifndef STORE_ONCE_H
#define STORE_ONCE_H

#include "base/arena.h"
#include "base/uuid.h"
#include "store/pg.h"

/*
 * The memory behind Idempotency-Key (SPEC 3): for ONCE_KEEP_S the same key and request give the same
 * answer, another request under the same key is a conflict. Each service has a table of its own,
 * idempotency_<service>:
 *
 *	scope text, key text, subject text, request_hash text, owner text, about uuid,
 *	created_at timestamptz, claimed_at timestamptz, status integer, reply text,
 *	primary key (scope, key)
 *
 * A claim is a row without a status. Where its process dies, a request with the same key and body
 * takes it over once it is ONCE_CLAIM_S old, and runs again: what ran before must be repeatable or
 * refuse by itself. Any thread.
 */
#define ONCE_KEEP_S  86400
#define ONCE_CLAIM_S 60

enum once_table { ONCE_AUTH, ONCE_INSTANCE, ONCE_BACKUP };

/* Who asks what. owner is of this call alone among all that run now, in any process. */
struct once_ask {
	enum once_table table;
	const char *scope; /* the user's id, or "anonymous" */
	const char *key, *subject, *request_hash, *owner;
};

/* What was answered before. */
struct once_answer {
	int status;        /* HTTP; 0: nothing yet, the claim is the caller's */
	const char *reply; /* in the arena */
};

/* 0 with a status of 0: go on, and call once_finish() in the end. ERR_CONFLICT: the key is another
 * request's, or (with retry_after_s) the same one's, still under way. */
int once_begin(struct pg_conn *c, const struct once_ask *ask, struct arena *a,
               struct once_answer *ret, struct err *e);

/* Keeps the answer, or with a status of 0 gives the claim up. Does nothing where the claim is not
 * owner's any more. about: the user that the answer tells of, for once_forget(); NULL: nobody. */
int once_finish(struct pg_conn *c, const struct once_ask *ask, const struct once_answer *answer,
                const char *about, struct err *e);

/* What a claim has made (an account, a key: its id), noted in the transaction that makes it: where the
 * process dies before it has kept its answer, whoever takes the claim over finds it and need not refuse to
 * make it again. */
int once_note(struct pg_conn *c, const struct once_ask *ask, const char *about, struct err *e);
int once_made(struct pg_conn *c, const struct once_ask *ask, char ret[UUID_SIZE], struct err *e);

int once_purge(struct pg_conn *c, enum once_table t, struct err *e); /* what is too old */

/* All that a user asked, and all that tells of them. */
int once_forget(struct pg_conn *c, enum once_table t, const char *user_id, struct err *e);

#endif
