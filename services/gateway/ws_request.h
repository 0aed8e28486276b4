#ifndef GATEWAY_WS_REQUEST_H
#define GATEWAY_WS_REQUEST_H

#include "base/err.h"

#include <stddef.h>

/*
 * The request that opens a WebSocket (RFC 6455, 4.2.1), read before there is a socket: who asks is
 * found out without the event loop waiting, a refusal is an answer in the platform's own form, and
 * what comes in a URL stays here. Pure. Texts point into the buffer.
 */
struct ws_request {
	const char *path; /* decoded by nobody: it has to be WS_PATH */
	const char *query;
	const char *host, *upgrade, *connection, *version, *key;
	const char *origin, *cookie, *authorization;
	const char *forwarded_for, *traceparent, *user_agent;
};

#define WS_PATH        "/ws"
#define WS_REQUEST_MAX 16384 /* bytes */

/* Reads buf, which is len bytes and ends with the header; cuts it into texts. ERR_NOT_FOUND,
 * ERR_METHOD, ERR_INVALID naming the field. *ret is filled as far
 * as it was read. */
int ws_request_parse(char *buf, size_t len, struct ws_request *ret, struct err *e);

/* Where the header ends in len bytes: past the empty line; 0: not yet. */
size_t ws_request_end(const char *buf, size_t len);

#endif
