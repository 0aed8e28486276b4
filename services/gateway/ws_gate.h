#ifndef GATEWAY_WS_GATE_H
#define GATEWAY_WS_GATE_H

#include "ws.h"

/*
 * Where sockets come in: a thread accepts connections and reads the request of each, without waiting
 * for any one of them; a worker then finds out who it is (ws_auth.h) and whether there is room
 * (ws_slot.h). Whoever may not is answered in HTTP, in the platform's envelope; for all others the
 * loop makes it a WebSocket.
 */
#define WS_GATE_PENDING_MAX 1024 /* connections whose request is being read */
#define WS_GATE_MS          5000 /* for a whole request */

struct ws_gate;

int ws_gate_start(struct ws *w, struct ws_gate **ret, struct err *e);
void ws_gate_stop(struct ws_gate *g); /* NULL is fine */

#endif
