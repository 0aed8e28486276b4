#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include "app.h"

/* The REST side: civetweb, a thread a connection, and routes.def. */

#define HTTP_TIMEOUT_MS    5000 /* a request's header; a body; a write that does not get on */
#define HTTP_KEEP_ALIVE_MS 5000 /* an idle connection; a proxy's idle time has to be shorter */

struct http;

/* Listens. ERR_UNAVAILABLE when it cannot. */
int http_start(struct app *app, struct http **ret, struct err *e);

/* New requests are answered 503; waits for those under way. */
void http_quiesce(struct http *h);
void http_stop(struct http *h); /* NULL is fine */

#endif
