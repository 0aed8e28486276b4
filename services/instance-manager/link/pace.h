#ifndef LINK_PACE_H
#define LINK_PACE_H

#include <stdbool.h>

/*
 * How much of the news desk's time one gateway may take when everything is asked of it. All share a
 * few threads, and each request may be answered just in time: so all requests of one go have an end
 * together, and a gateway that has not answered by it is left alone for a while. Pure; times are
 * monotonic ms.
 */
#define PACE_BETWEEN_MS 1500  /* between two goes */
#define PACE_WHOLE_MS   15000 /* of one go */
#define PACE_SLOW_MS    60000 /* after one that took longer */

struct pace {
	long long begun_ms, slow_until_ms; /* 0: never */
};

bool pace_begin(struct pace *p, long long now_ms); /* false: not yet */

/* How long the next request of this go may take, at most want_ms; 0: no time is left. */
int pace_left_ms(const struct pace *p, long long now_ms, int want_ms);

void pace_too_slow(struct pace *p, long long now_ms);

#endif
