#ifndef GATEWAY_WS_TOPICS_H
#define GATEWAY_WS_TOPICS_H

#include "ws.h"

/*
 * Who listens to what. A subscription goes through
 *
 *	WANTED    it waits for its turn: a client's are asked for one by one, and only while it takes
 *	          what it is sent, which bounds what one client can make us keep
 *	CALLING   realtime-fanout is asked; events that come are held
 *	LIVE      `subscribed` was sent, with the state as of a position; events past it follow
 *	RESUMING  events may have been missed (the bus was away, or Redis forgot us); what comes is
 *	          held until realtime-fanout has told what was missed. A call that was under way then
 *	          may have registered what is forgotten since: its answer counts, and RESUMING follows
 *
 * Per subscription nothing up to the position it has is ever sent again, so that no event comes
 * twice, and what is held comes after what was before it, so that they come in order. The loop's
 * thread.
 */
struct ws_topics;
struct ws_call;

/* Asks: ws_call_start(). */
typedef bool ws_topics_ask(struct ws *w, const struct ws_call *what);

int ws_topics_new(struct ws *w, ws_topics_ask *ask, struct ws_topics **ret, struct err *e);
void ws_topics_free(struct ws_topics *t); /* NULL is fine; no client is left */

void ws_topics_subscribe(struct ws_topics *t, struct ws_client *c, const struct ws_frame *f,
                         const char *trace_id);
/* Says so to the client. topic "": all of them. */
void ws_topics_unsubscribe(struct ws_topics *t, struct ws_client *c, const char *topic,
                           const char *trace_id);
/* Of a client that is gone. */
void ws_topics_leave(struct ws_topics *t, struct ws_client *c);

/* The client has taken what it was sent: the next of its subscriptions may have its turn. */
void ws_topics_go_on(struct ws_topics *t, struct ws_client *c);

/* An event. text is the caller's. */
void ws_topics_event(struct ws_topics *t, const char *topic, const struct ws_position *at,
                     struct ws_text *text);

/* The topic has ended: whoever listens is told so (`unsubscribed`), after what is on its way. */
void ws_topics_over(struct ws_topics *t, const char *topic);

/* Events may have been missed from now on back to each one's last position. */
void ws_topics_resume_all(struct ws_topics *t);

/*
 * Redis has forgotten this gateway, so that no event comes: after deafen, none that does is sent, and
 * nothing resumes until listen. In between ws_beat.c makes it known again. A topic that is registered
 * anew at that moment would else bring an event before those that were missed.
 */
void ws_topics_deafen(struct ws_topics *t);
void ws_topics_listen(struct ws_topics *t);

/* Every second: what waits for its time. */
void ws_topics_tick(struct ws_topics *t, long long now_ms);

/* What a call brought: ws_call.c. */
void ws_topics_answer(struct ws_topics *t, struct ws_call *call);

#endif
