#ifndef GATEWAY_WS_SESSION_H
#define GATEWAY_WS_SESSION_H

#include "ws.h"

/* What sockets need of Redis and auth while they are open; on workers, answered on the loop's
 * thread. */

/* Whether the client's session goes on; closes it when not. Keeps its place. */
void ws_session_check(struct ws *w, struct ws_client *c);

/* A new ticket or token, so that the socket outlives the one it came with. */
void ws_session_renew(struct ws *w, struct ws_client *c, const struct ws_frame *f,
                      const char *trace_id);

/* Its place is free again. */
void ws_session_leave(struct ws *w, const struct ws_person *p);

#endif
