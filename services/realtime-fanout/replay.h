#ifndef REPLAY_H
#define REPLAY_H

#include "base/arena.h"
#include "stream.h"
#include "topic.h"

#define REPLAY_EVENTS_MAX 1000                 /* of the assistant's, whatever their topic */
#define REPLAY_BYTES_MAX  ((size_t)448 * 1024) /* of the frames together */

struct replay_ask {
	const struct stream_conn *conn;
	const struct topic *topic;
	const struct position *since;
	const struct stream_state *now;
	long long deadline_ms; /* unix ms: of whoever asks; 0: not known */
};

struct replayed {
	const char *
		events; /* a JSON array of frames in order, in the arena; NULL: it cannot be told */
	struct position upto;
	bool is_part; /* there is more behind upto, and it may be told */
};

/*
 * What happened in a topic after position since and up to now->last_seq; or, where the time is up
 * before, up to where reading had come to. Each part moves on by some events at least, so that whoever
 * asks for one after the other comes to an end. No events where it cannot be told whole: since is of
 * another stream, is older than what the stream still has, has too much behind it, or next to nothing
 * of it could be read in the time. ERR_UNAVAILABLE: JetStream does not answer, or too little of the
 * asker's time is left to begin. Any thread.
 */
int replay(const struct replay_ask *ask, struct arena *a, struct replayed *ret, struct err *e);

#endif
