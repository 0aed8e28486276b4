#ifndef STREAM_H
#define STREAM_H

#include "position.h"

#include "bus/bus.h"

/* The stream of all events, ZAKI_EVENTS: made here, filled by those to whom things happen. Any
 * thread. */
#define STREAM_NAME     "ZAKI_EVENTS"
#define STREAM_SUBJECTS "zaki.evt.>"

/*
 * A connection of its own, over which the stream is read and gateways are told, as a user that answers
 * nobody. For a user that may answer nats-server 2.9 keeps the reply subject of each message for as long
 * as it may be answered, and past 4,096 of them looks through all for each message more; each message of
 * the stream has one, so that at a hundred events a second and more reading it became ever slower.
 */
struct stream_conn {
	struct bus *bus;
	jsCtx *js; /* of it */
};

struct stream_state {
	char id[POSITION_ID_SIZE];
	uint64_t first_seq; /* of the oldest event that is still there; last_seq + 1 when none is */
	uint64_t last_seq;  /* 0: there never was one */
};

/* Makes it, or brings its limits to what they are to be. ERR_UNAVAILABLE: try again. */
int stream_make(jsCtx *js, struct err *e);

/* ERR_NOT_FOUND when there is none. */
int stream_state(jsCtx *js, struct stream_state *ret, struct err *e);

/* s as an error about what was done; NATS_OK is none. NATS_NOT_FOUND is ERR_NOT_FOUND, what passes
 * by itself ERR_UNAVAILABLE. */
int stream_check(natsStatus s, jsErrCode code, const char *what, struct err *e);

#endif
