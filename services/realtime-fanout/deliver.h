#ifndef DELIVER_H
#define DELIVER_H

#include "bus/bus.h"
#include "position.h"
#include "store/redis.h"

struct topic;

/* An event as it lies in the stream. */
struct stored {
	natsMsg *msg;
	struct position position;
	long long stored_ms; /* unix ms */
};

/* Reads what JetStream says about the message. ERR_INTERNAL when it is none of a stream's. */
int stored_read(natsMsg *msg, const char *stream_id, struct stored *ret, struct err *e);

/* The frame of a stored event that clients may see. ERR_INVALID: its body is no JSON object. */
int stored_frame(const struct stored *ev, const struct topic *topic, const char *event, char **ret,
                 struct err *e);

/*
 * Sends one event to every gateway that listens to its topic. One that cannot be shown to anybody
 * (no topic, no JSON, too large) is passed over and logged. It fails where Redis or the bus does:
 * nothing is known to have arrived, and the event is to be tried again.
 */
int deliver(struct bus *b, struct redis *r, const struct stored *ev, struct err *e);

#endif
