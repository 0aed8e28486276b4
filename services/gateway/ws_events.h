#ifndef GATEWAY_WS_EVENTS_H
#define GATEWAY_WS_EVENTS_H

#include "ws.h"

/* What comes from the bus for sockets: deliveries to this gateway, and ended sessions. On threads of
 * the bus, which put it into the loop's inbox. */
struct ws_events;

int ws_events_start(struct ws *w, struct ws_events **ret, struct err *e);
void ws_events_free(struct ws_events *ev); /* after the bus has drained; NULL is fine */

/* Sees whether something was missed: the connection to the bus was made anew, or an event had to be
 * dropped. All topics then resume. The loop's thread. */
void ws_events_look(struct ws_events *ev);

#endif
