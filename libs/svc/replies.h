#ifndef SVC_REPLIES_H
#define SVC_REPLIES_H

#include "bus/bus.h"
#include "store/once.h"

/*
 * What stands between a bus that remembers replies (bus_once) and the table that they lie in
 * (store/once.h). A service's begin and finish are a line each; it says which table that is, and
 * whom an answer tells of. Any thread.
 */
#define REPLIES_OWNER_SIZE 64

struct replies {
	enum once_table table;
	struct pg_pool *db;
};

/* The claim of a call that has an Idempotency-Key: its own among all that run now. It points at
 * owner and at the call. */
struct once_ask replies_ask(enum once_table table, const struct call *c,
                            char owner[REPLIES_OWNER_SIZE]);

/* bus_once.begin */
int replies_begin(const struct replies *r, struct call *c, struct bus_stored *ret, struct err *e);

/* bus_once.finish; about: once_finish()'s. An answer that cannot be kept goes out all the same and
 * is logged: its claim is taken over once it is old. */
void replies_finish(const struct replies *r, struct call *c, const struct once_answer *answer,
                    const char *about);

#endif
