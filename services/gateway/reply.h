#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include "exchange.h"

/*
 * Writes answers: the header that every answer has, and the envelope. One write where the body is
 * small. A client that is gone is nobody to tell.
 */
void reply_send(struct exchange *x, int status, const char *body, size_t len, int retry_after_s);
void reply_error(struct exchange *x, const struct err *e);

/* An answer that is written as it is made, for a file of that name: header, then any number of pieces,
 * then the end, without which clients know that they have not got it all. -1: the client is gone. */
void reply_stream_begin(struct exchange *x, const char *type, const char *file);
int reply_stream(struct exchange *x, const void *data, size_t len);
void reply_stream_end(struct exchange *x);

/* 204, or what a browser asks before a request from another origin (Fetch, CORS preflight). */
void reply_options(struct exchange *x);

#endif
