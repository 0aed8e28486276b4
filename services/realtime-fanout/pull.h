#ifndef PULL_H
#define PULL_H

#include "stream.h"

/*
 * Reads the stream from where delivery had come to. How far that was is the acknowledgement floor
 * of a durable consumer, kept by JetStream beside the stream itself. Each session makes a consumer
 * of its own, named anew, at the highest floor there is, and then takes the others away: a holder
 * of the lease that was thought dead finds its consumer gone, and cannot take events out of the
 * middle of its successor's. One thread.
 */
#define PULL_BATCH 256

struct pull {
	jsCtx *js;
	natsSubscription *sub; /* NULL: not open */
	char stream_id[POSITION_ID_SIZE];
	uint64_t last_seq; /* of the last event that was delivered */
};

/* A crash inside leaves a consumer too many, which the next session takes away. */
int pull_open(jsCtx *js, const char *me, struct pull *ret, struct err *e);
void pull_close(struct pull *p); /* a zeroed one is fine */

/* Up to PULL_BATCH messages, in order, after waiting for the first at most wait_ms; none is no
 * failure. The caller destroys *ret. */
int pull_fetch(struct pull *p, int wait_ms, natsMsgList *ret, struct err *e);

/* All up to this message are done. Sent, not waited for: what is lost is delivered once more. */
int pull_done(natsMsg *msg, struct err *e);

static inline void own_pull(struct pull *p)
{
	pull_close(p);
}

#endif
