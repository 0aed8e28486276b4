#ifndef BUS_DELIVERY_H
#define BUS_DELIVERY_H

#include "base/err.h"

#include <stddef.h>

/*
 * What realtime-fanout sends to a gateway, as zaki.rt.<gateway id>: events in the order of the stream,
 * many in one message, since each message costs nats-server and both ends more than an event does.
 * Each is two lines, the second being the frame that clients get, JSON without line breaks:
 *
 *	<position> <topic>[ over]
 *	{"event":"instance.status",…}
 *
 * "over": nothing comes after it in this topic. Pure.
 */
#define DELIVERY_WORD_SIZE 65 /* of a position and of a topic, with the zero */

struct delivery {
	char position[DELIVERY_WORD_SIZE];
	char topic[DELIVERY_WORD_SIZE];
	bool is_over;
	const char *frame; /* not ended by a zero; of one that was read: in the message */
	size_t frame_len;
};

/* Bytes that it takes, the most. */
size_t delivery_size(const struct delivery *d);

/* Writes it to `to`, which has room for delivery_size(); the bytes that it took. */
size_t delivery_write(const struct delivery *d, char *to);

/* Reads the one at *at, before end, and moves *at behind it. ERR_INVALID: there is none. */
int delivery_read(const char **at, const char *end, struct delivery *ret, struct err *e);

#endif
