#ifndef OWNER_AWAITER_H
#define OWNER_AWAITER_H

#include "app.h"

/*
 * Reads the messages of bots whose owner is awaited (owner.h), until one opens the link. Nobody else
 * reads them meanwhile: OpenClaw's channel is off, and a link is taken by one thread of one
 * instance-manager, for longer than a look may take. A kill at any point leaves the link to be taken
 * again, and the messages at Telegram.
 */
#define AWAITER_THREADS 8
#define AWAITER_HOLD    "20 s" /* a link is one thread's; longer than three questions */

struct awaiter;

int awaiter_start(struct app *app, struct awaiter **ret, struct err *e);
void awaiter_stop(struct awaiter *w); /* within a question's time; NULL is fine */
void awaiter_wake(struct awaiter *w); /* there may be a new link; NULL is fine */

#endif
