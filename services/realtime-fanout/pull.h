#ifndef PULL_H
#define PULL_H

#include "fetch.h"

/*
 * Reads the stream from where delivery had come to. How far that was is the acknowledgement floor
 * of a durable consumer, kept by JetStream beside the stream itself. Each session makes a consumer
 * of its own, named anew, at the highest floor there is, and then takes the others away: a holder
 * of the lease that was thought dead finds its consumer gone, and cannot take events out of the
 * middle of its successor's. One thread.
 */
#define PULL_BATCH 256

struct pull {
	struct fetch fetch;
	char stream_id[POSITION_ID_SIZE];
	uint64_t last_seq;  /* of the last event that was delivered */
	uint64_t delivered; /* how many messages the consumer has sent us */
};

struct pull_list {
	natsMsg *msgs[PULL_BATCH];
	size_t count;
};

/* A crash inside leaves a consumer too many, which the next session takes away. */
int pull_open(const struct stream_conn *conn, const char *me, struct pull *ret, struct err *e);
void pull_close(struct pull *p); /* a zeroed one is fine */

/* What is there, in order, after waiting for the first at most wait_ms; none is no failure. More are
 * on their way meanwhile. *ret is to be done with also where it fails. */
int pull_fetch(struct pull *p, int wait_ms, struct pull_list *ret, struct err *e);
void pull_list_done(struct pull_list *list); /* a zeroed one is fine */

/* All up to this message are done. Sent, not waited for: what is lost is delivered once more. */
int pull_done(struct pull *p, natsMsg *msg, struct err *e);

static inline void own_pull(struct pull *p)
{
	pull_close(p);
}

static inline void own_pull_list(struct pull_list *list)
{
	pull_list_done(list);
}

#endif
