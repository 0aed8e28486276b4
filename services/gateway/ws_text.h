#ifndef GATEWAY_WS_TEXT_H
#define GATEWAY_WS_TEXT_H

#include "base/own.h"
#include "ws_frame.h"

#include <stddef.h>

/*
 * Bytes on their way to clients: one whole frame of RFC 6455, since a server's are not masked and so
 * the same for all. Written once, held by as many queues as there are clients it goes to. Counted by
 * the event loop's thread alone; before it gets there, one thread owns it.
 */
struct ws_text {
	unsigned holders;
	size_t len; /* of all of bytes */
	unsigned char bytes[];
};

/* Opcodes of control frames. */
enum ws_control { WS_CLOSE = 0x8, WS_PING = 0x9, WS_PONG = 0xa };

/* Each NULL when out of memory. */
struct ws_text *ws_text_new(const char *data, size_t len); /* a text message */
struct ws_text *ws_text_control(enum ws_control what, const void *data,
                                size_t len);               /* len: ≤ 125 */
struct ws_text *ws_text_raw(const char *data, size_t len); /* no frame: what opens the socket */

struct ws_text *ws_text_hold(struct ws_text *t);
void ws_text_drop(struct ws_text *t);

/* What frames of the gateway's own have; each may be NULL. */
struct ws_frame_out {
	const char *event; /* "subscribed"; never NULL */
	const char *topic, *position, *trace_id;
	const char *data;      /* JSON */
	const struct err *err; /* as data, instead */
	const char *since;     /* as data, instead */
};

struct ws_text *ws_text_frame(const struct ws_frame_out *f);

OWN_DEFINE(ws_text, struct ws_text *, ws_text_drop)

#endif
