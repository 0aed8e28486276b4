#ifndef GATEWAY_WS_FRAME_H
#define GATEWAY_WS_FRAME_H

#include "base/err.h"

#include <stddef.h>

/*
 * What a client says, as text
 *
 *	subscribe:<topic>  unsubscribe:<topic>  unsubscribe:*
 *
 * or as JSON: {"event":"subscribe:<topic>","since":"<position>"}; and, so that a socket outlives its
 * access token, {"event":"authenticate","ticket":"…"} or with "token". Topics are those of
 * proto/topics.def. Pure.
 */
#define WS_FRAME_MAX      4096 /* bytes */
#define WS_TOPIC_SIZE     48
#define WS_POSITION_SIZE  65
#define WS_CREDENTIAL_MAX 2048

enum ws_verb { WS_SUBSCRIBE, WS_UNSUBSCRIBE, WS_UNSUBSCRIBE_ALL, WS_AUTHENTICATE };

struct ws_frame {
	enum ws_verb verb;
	char topic[WS_TOPIC_SIZE];          /* "" where the verb has none, or it is none */
	char since[WS_POSITION_SIZE];       /* "": from now on */
	char ticket[WS_CREDENTIAL_MAX + 1]; /* "" or */
	char token[WS_CREDENTIAL_MAX + 1];
};

/* ERR_INVALID. ret->topic is filled where what was refused is about a topic. */
int ws_frame_parse(const char *text, size_t len, struct ws_frame *ret, struct err *e);

/* A place in the stream of events: "<8 hex of the stream's birth>:<number>". */
struct ws_position {
	char stream[9]; /* "": none */
	unsigned long long seq;
};

bool ws_position_parse(const char *text, struct ws_position *ret);
void ws_position_text(const struct ws_position *p, char ret[WS_POSITION_SIZE]);

/* Whether an event at p has been seen by whoever has seen all up to last. Nothing of another stream
 * has: it was made anew. */
bool ws_position_covers(const struct ws_position *last, const struct ws_position *p);

#endif
