#ifndef GATEWAY_WS_TEXT_H
#define GATEWAY_WS_TEXT_H

#include "base/own.h"
#include "ws_frame.h"

#include <stddef.h>

/*
 * A frame on its way to clients: written once, held by as many queues as there are clients it goes
 * to. Counted by the event loop's thread alone; before it gets there, one thread owns it.
 */
struct ws_text {
	unsigned holders;
	size_t len;
	unsigned char room[]; /* what libwebsockets wants in front, then len bytes */
};

struct ws_text *ws_text_new(const char *data, size_t len); /* NULL when out of memory */
struct ws_text *ws_text_hold(struct ws_text *t);
void ws_text_drop(struct ws_text *t);
unsigned char *ws_text_data(struct ws_text *t);

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
