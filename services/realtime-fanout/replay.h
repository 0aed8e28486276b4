#ifndef REPLAY_H
#define REPLAY_H

#include "base/arena.h"
#include "stream.h"
#include "topic.h"

#define REPLAY_EVENTS_MAX 1000                 /* of the assistant's, whatever their topic */
#define REPLAY_BYTES_MAX  ((size_t)448 * 1024) /* of the frames together */

/*
 * What happened in a topic after position since and up to now->last_seq: *ret_events is a JSON
 * array of frames in order, in the arena. It is NULL where that cannot be told whole: since is of
 * another stream, is older than what the stream still has, or has too much behind it.
 * ERR_UNAVAILABLE: JetStream does not answer. Any thread.
 */
int replay(const struct stream_conn *conn, const struct topic *topic, const struct position *since,
           const struct stream_state *now, struct arena *a, const char **ret_events, struct err *e);

#endif
