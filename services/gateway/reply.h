#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include "exchange.h"

/*
 * Writes answers: the header that every answer has, and the envelope. One write where the body is
 * small. A client that is gone is nobody to tell.
 */
void reply_send(struct exchange *x, int status, const char *body, size_t len, int retry_after_s);
void reply_error(struct exchange *x, const struct err *e);

/* 204, or what a browser asks before a request from another origin (Fetch, CORS preflight). */
void reply_options(struct exchange *x);

#endif
