#ifndef GLANCE_H
#define GLANCE_H

#include "engine.h"

/*
 * What the engine's list last showed, and whom its events have named since. An instance that was
 * running then, as it should be, and has not been heard of since need not be inspected: with
 * hundreds of them that is most of what the engine is asked. Nobody relies on it for more than
 * GLANCE_AGE_MS, nor while the events are not heard. Any thread.
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

/* Does its one container run, with this digest, for all that is known? */
bool glance_is_running(struct glance *g, const char *instance_id, const char *spec);

#endif
