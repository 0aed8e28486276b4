#ifndef LINK_HOLDER_H
#define LINK_HOLDER_H

#include "app.h"

/*
 * Which links this process has: a thread that keeps its lease in the database, takes assistants
 * that run and that nobody holds, and has them linked (link.h). Several instance-managers share the
 * assistants; each is held by one. A process whose lease runs out, since it was away from the
 * database or stood still, drops all its links before another may take them, and begins anew.
 */
struct holder;

int holder_start(struct app *app, struct holder **ret, struct err *e);
void holder_stop(struct holder *h); /* gives all up; NULL is fine */

/* An assistant has just come up: it is looked for now. Any thread. */
void holder_wake(struct holder *h);

/* The gateway is not where it was: its address is asked for anew. Any thread. */
void holder_forget(struct holder *h, const char *instance_id);

/* The name under which this process holds, in the database and as the end of its bus subject. */
const char *holder_name(const struct app *app);

#endif
