#ifndef DELIVER_H
#define DELIVER_H

#include "bus/bus.h"
#include "interest.h"
#include "outbox.h"
#include "position.h"
#include "topic.h"

/* A topic that an event belongs to, and the gateways that have listeners. */
struct recipient {
	struct topic topic;
	char text[TOPIC_TEXT_SIZE];
	struct interest gateways;
};

/* An event as it lies in the stream. */
struct stored {
	natsMsg *msg;
	struct position position;
	uint64_t delivered;  /* how many the consumer had sent with this one */
	long long stored_ms; /* unix ms */

	/* Of deliver_find(). */
	char event[TOPIC_EVENT_SIZE];
	struct recipient to[TOPIC_NAMES_MAX];
	size_t to_count;
};

/* Reads what JetStream says about the message. ERR_INTERNAL when it is none of a stream's. */
int stored_read(natsMsg *msg, const char *stream_id, struct stored *ret, struct err *e);

/* The frame of a stored event that clients may see. ERR_INVALID: its body is no JSON object. */
int stored_frame(const struct stored *ev, const struct topic *topic, const char *event, char **ret,
                 struct err *e);

/*
 * Finds out for each of a batch of events who gets it, in one question to Redis; in the arena. Asked
 * once the events have been fetched: a gateway that says later that it listens reads its position
 * after that, and that position has them behind it.
 */
int deliver_find(struct redis *r, struct stored *evs, size_t count, struct arena *a, struct err *e);

/*
 * Puts one event into the outbox for every gateway that listens to it. One that cannot be shown to
 * anybody (no JSON, too large) is passed over and logged. It fails where the bus does: nothing is known
 * to have arrived, and the event is to be tried again.
 */
int deliver(struct outbox *o, const struct stored *ev, struct err *e);

#endif
