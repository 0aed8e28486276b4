#ifndef FRAME_H
#define FRAME_H

#include "topic.h"

#include <stddef.h>

/* An event as clients read it (SPEC 4). Pure. */

struct frame_in {
	const char *event;    /* "instance.status" */
	const char *topic;    /* "instance.<id>" */
	const char *position; /* "<stream>:<n>" */
	const char *ts;       /* RFC 3339 */
	const char *trace_id; /* "" when none is known */
	const char *body;     /* as published, not ended by a zero; must be one JSON object */
	size_t body_len;
};

/* Of the body: what a frame is wrapped in on its way must not make it too deep for json_parse(). */
#define FRAME_DEPTH_MAX 24

/* The text of one frame. The caller frees *ret (OWN(json_text)). ERR_INVALID: the body is no JSON
 * object. */
int frame_make(const struct frame_in *in, char **ret, struct err *e);

#endif
