#ifndef LINK_LOOK_H
#define LINK_LOOK_H

#include "link/conn.h"

/*
 * How a gateway's channel is, asked of it all the time that it is linked: of itself it tells only once
 * a minute (2026.9.6: `health`). The question costs it less than a millisecond, and what it answers is
 * news when it is another than before. On the loop's thread.
 */
void look_begin(struct conn *c); /* it is linked: nothing is known yet */
void look_tick(struct conn *c, long long now_ms);

/* False: f answers something else. */
bool look_answered(struct conn *c, const struct frame *f);

#endif
