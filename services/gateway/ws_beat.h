#ifndef GATEWAY_WS_BEAT_H
#define GATEWAY_WS_BEAT_H

#include "ws.h"

/*
 * Tells Redis every WS_BEAT_MS that this gateway lives, and resumes all topics when Redis had forgotten
 * it. On a thread of its own: behind the sockets' other work it would come too late just when there is
 * most of that, and for a gateway that is forgotten nothing is delivered.
 */
struct ws_beat;

int ws_beat_start(struct ws *w, struct ws_beat **ret, struct err *e);
void ws_beat_stop(struct ws_beat *b); /* NULL is fine */

#endif
