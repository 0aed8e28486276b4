#ifndef GATEWAY_HEAD_H
#define GATEWAY_HEAD_H

#include "base/arena.h"
#include "base/err.h"

#include <civetweb.h>

/*
 * What the gateway reads of a request's header, each NULL where it is absent. A field that must not
 * come twice and does, a length that is no number, and whatever two readers of the same bytes could
 * understand differently (RFC 9112, 6 and 11.2) is refused: the connection then has to end, since
 * nobody knows where the next request begins.
 */
struct head {
	const char *host, *connection, *expect;
	const char *content_type, *content_length, *transfer_encoding;
	const char *authorization, *cookie;
	const char *origin, *fetch_site, *cors_method;
	const char *if_match, *if_none_match;
	const char *idempotency_key, *traceparent, *user_agent, *forwarded_for;

	long long body_len; /* bytes; -1: chunked */
	bool keeps_alive;   /* the client wants the connection to go on */
};

#define HEAD_MAX 16384 /* bytes of a request's line and header */

/* ERR_INVALID, or ERR_HEADERS past HEAD_MAX. Texts live in the connection's buffer or the arena. */
int head_read(const struct mg_request_info *info, struct arena *a, struct head *ret, struct err *e);

/* The trace id of a well-formed traceparent (W3C Trace Context), else "". */
void head_trace(const char *traceparent, char ret[33]);

/* "a, B;q=1" has "b". */
bool head_has_option(const char *value, const char *option);

#endif
