#ifndef GATEWAY_WS_TOLD_H
#define GATEWAY_WS_TOLD_H

#include "base/json.h"
#include "ws_call.h"
#include "ws_topic.h"

/* What realtime-fanout told of what was missed, and who hears it. The loop's thread. */
struct ws_told {
	cJSON *events;           /* frames, in order; NULL: none are told */
	struct ws_position upto; /* all up to here is told */
	bool is_part;            /* the rest is to be asked for from there */
};

/* false: call->err says why, also where the answer cannot be understood: that is none. */
bool ws_told_read(struct ws_call *call, struct ws_told *ret);
void ws_told_done(struct ws_told *told);

/* One; or all of a topic that resume, are the person's in whose name it was asked, and have what came
 * up to since. One that has less came to it after the question. */
struct ws_audience {
	struct ws_sub *only;
	struct ws_topic *topic;
	const char *user_id;
	struct ws_position since;
};

bool ws_audience_has(const struct ws_audience *to, const struct ws_sub *s);

/* The frames that each lacks. */
void ws_told_replay(const struct ws_told *told, const struct ws_audience *to);

/* The state as of the answer; and where what came after since cannot be told, that. */
void ws_told_state(struct ws_sub *s, const struct ws_call *call, const char *since);

static inline void own_ws_told(struct ws_told *told)
{
	ws_told_done(told);
}

#endif
