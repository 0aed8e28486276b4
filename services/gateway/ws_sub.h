#ifndef GATEWAY_WS_SUB_H
#define GATEWAY_WS_SUB_H

#include "ws_client.h"

/* One client's subscription to one topic: see ws_topics.h for its states. The loop's thread. */

enum ws_sub_state { SUB_WANTED, SUB_CALLING, SUB_LIVE, SUB_RESUMING };

struct ws_topic;
struct ws_held;

struct ws_sub {
	struct ws_client *client;
	struct ws_topic *topic;
	struct ws_sub *next_of_client;
	struct ws_sub *prev, *next; /* of the topic */

	enum ws_sub_state state;
	struct ws_position last;      /* all up to it was sent, or is in the state that was */
	char since[WS_POSITION_SIZE]; /* as the client gave it; "": none */
	char trace_id[BUS_TRACE_SIZE];

	struct ws_held *first, *last_held; /* events that came while it waits for an answer */
	size_t held, held_bytes;
};

/* The client's, or NULL. */
struct ws_sub *ws_sub_find(const struct ws_client *c, const char *topic);
struct ws_sub *ws_sub_new(struct ws_client *c, struct ws_topic *topic); /* NULL: out of memory */
void ws_sub_free(struct ws_sub *s);

/* An event that is no older than what it has: sent, or held. text is the caller's. */
void ws_sub_event(struct ws_sub *s, const struct ws_position *at, struct ws_text *text);

/* The same out of an answer, which comes before all that is held. */
void ws_sub_replay(struct ws_sub *s, const struct ws_position *at, struct ws_text *text);

/* It has all up to p. */
void ws_sub_has(struct ws_sub *s, const struct ws_position *p);

/* What is held follows, and then what comes. */
void ws_sub_go_live(struct ws_sub *s);

void ws_sub_clear(struct ws_sub *s); /* forgets what is held */

#endif
