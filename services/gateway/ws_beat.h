#ifndef GATEWAY_WS_BEAT_H
#define GATEWAY_WS_BEAT_H

#include "ws.h"

/*
 * Tells Redis every WS_BEAT_MS that this gateway lives. When Redis has forgotten it, nothing is delivered
 * to it, and what it listened to is forgotten, too, topic by topic as their events come. Then, in this
 * order: the loop sends no event any more; Redis is told anew; all topics resume. On a thread of its own:
 * behind the sockets' other work it would come too late just when there is most of that.
 */
struct ws_beat;

int ws_beat_start(struct ws *w, struct ws_beat **ret, struct err *e);
void ws_beat_stop(struct ws_beat *b); /* NULL is fine */

#endif
