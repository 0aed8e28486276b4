#ifndef FETCH_H
#define FETCH_H

#include "stream.h"

#include "bus/bus.h"

/*
 * Messages of one pull consumer, by requests of our own: natsSubscription_Fetch() of cnats 3.4.1 writes
 * past its list when messages are left over from a request that it gave up waiting for. Here a request
 * stays open until the server has answered it whole. One thread.
 */
struct fetch {
	natsConnection *conn;
	natsSubscription *sub; /* NULL: not open */
	char inbox[BUS_INBOX_SIZE], next[160];
	int asked;          /* messages that may still come for what was asked */
	long long until_ms; /* monotonic: past it none of them comes any more */
};

int fetch_open(struct bus *b, const char *consumer, struct fetch *ret, struct err *e);
void fetch_close(struct fetch *f); /* a zeroed one is fine */

/* Asks for count more, which are sent as they are there, for so long. */
int fetch_ask(struct fetch *f, int count, int expires_ms, struct err *e);

/* The next one, after waiting for it at most so long (0: not at all); NULL: there is none yet, or the
 * server has nothing more for what was asked. The caller destroys it. ERR_UNAVAILABLE: the consumer or
 * the server is gone. */
int fetch_next(struct fetch *f, int wait_ms, natsMsg **ret, struct err *e);

static inline void own_fetch(struct fetch *f)
{
	fetch_close(f);
}

#endif
