#ifndef GATEWAY_WS_AUTH_H
#define GATEWAY_WS_AUTH_H

#include "app.h"
#include "ws_client.h"
#include "ws_request.h"

/*
 * Who wants a socket: a ticket (good once), an access token, in the URL as the seed has it or as a
 * Bearer, or the access cookie with an Origin of ours. Fills p->ctx's user and session and
 * p->expires_s; whether the session goes on is ws_slot.h's to find out. ERR_UNAUTHENTICATED, or
 * ERR_UNAVAILABLE where Redis has to be asked and is away. Any thread; may wait for Redis.
 */
int ws_auth_request(struct app *app, const struct ws_request *r, struct ws_person *p,
                    struct err *e);

/* The same for a socket that is open: exactly one of them is not "". */
int ws_auth_again(struct app *app, const char *ticket, const char *token, struct ws_person *p,
                  struct err *e);

#endif
