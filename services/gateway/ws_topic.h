#ifndef GATEWAY_WS_TOPIC_H
#define GATEWAY_WS_TOPIC_H

#include "ws_sub.h"

/* One topic as ws_topics.c keeps it, and where it is found by its name. The loop's thread. */
struct ws_topic {
	struct ws_topic *next;
	struct ws_sub *subs;
	char name[WS_TOPIC_SIZE];
	unsigned calls;       /* subscriptions of it that are being asked for */
	bool is_registered;   /* realtime-fanout may know that we listen */
	bool is_releasing;    /* until nothing of that can happen any more: */
	long long settled_ms; /* monotonic; 0: an answer is waited for */
	bool must_resume, is_resuming;
	unsigned refusals; /* times that it was said not to be there, one after the other */
	long long idle_ms; /* monotonic; since when nobody listens, or when to try again */
};

#define WS_TOPIC_BUCKETS 4096
#define WS_TOPIC_IDLE_MS 3000 /* one that nobody listens to is kept, for those who come back */

struct ws_topic_table {
	struct ws_topic *buckets[WS_TOPIC_BUCKETS];
};

/* Where it is, or would be. */
struct ws_topic **ws_topic_find(struct ws_topic_table *t, const char *name);
struct ws_topic *ws_topic_make(struct ws_topic_table *t,
                               const char *name); /* or found; NULL: out of memory */

void ws_topic_table_done(struct ws_topic_table *t);

#endif
