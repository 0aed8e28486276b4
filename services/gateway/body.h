#ifndef GATEWAY_BODY_H
#define GATEWAY_BODY_H

#include "exchange.h"

/*
 * The request's fields: of the body's JSON, or of the query, then of the path; as the route says.
 * ERR_TOO_LARGE before anything of it is read; ERR_MEDIA_TYPE; ERR_INVALID naming the field. The
 * caller owns *ret, an object.
 */
int body_read(struct exchange *x, cJSON **ret, struct err *e);

/* Reads away what the client still sends, for a moment: a connection that is closed over unread
 * bytes is reset, and the client may never see its answer. Sets must_close when more is left. */
void body_discard(struct exchange *x);

#endif
