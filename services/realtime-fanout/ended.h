#ifndef ENDED_H
#define ENDED_H

#include "base/arena.h"
#include "stream.h"
#include "topic.h"

/*
 * A topic whose assistant is gone. Nobody knows any more whose it was but the event that says so, for
 * as long as the stream has it. *ret is that event as a frame of the topic's, in the arena.
 * ERR_NOT_FOUND: there is no such event, or it was not this person's. Any thread.
 */
int ended_read(const struct stream_conn *conn, const struct topic *topic, const char *user_id,
               struct arena *a, const char **ret, struct err *e);

#endif
