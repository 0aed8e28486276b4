#ifndef GLANCE_H
#define GLANCE_H

#include "engine.h"

/*
 * What the engine's list last showed, and whom its events have named since. An instance that was
 * running then, as it should be, and was inspected after it was last heard of need not be inspected
 * again: with hundreds of them that is most of what the engine is asked. A list alone is not
 * believed: what ended and was started again before it was asked for looks like what ran all the
 * time. Nobody relies on it for more than GLANCE_AGE_MS, nor while the events are not heard. Any
 * thread.
 */
#define GLANCE_AGE_MS 15000

struct glance;

int glance_new(struct glance **ret, struct err *e);
void glance_free(struct glance *g); /* NULL is fine */

/* Before the list is asked for, and with it. What events name in between is not believed. */
void glance_begin(struct glance *g);
void glance_put(struct glance *g, const struct engine_item *items, size_t count);

/* Something happened to this instance's container; NULL: nothing is heard any more. */
void glance_touch(struct glance *g, const char *instance_id);
void glance_hear(struct glance *g); /* events are heard again */

/* Around an inspection in which all was as the row says: what an event names after glance_mark() is
 * not settled by it. */
long long glance_mark(struct glance *g);
void glance_settle(struct glance *g, const char *instance_id, long long mark);

/* Does its one container run, with this digest, for all that is known? */
bool glance_is_running(struct glance *g, const char *instance_id, const char *spec);

#endif
