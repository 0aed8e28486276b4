#ifndef WATCH_H
#define WATCH_H

#include "app.h"

/*
 * Listens to the engine, on a thread of its own: what happens to a container makes its instance due
 * at once. Where the stream breaks, or is heard for the first time, all instances are due, since no
 * one heard what happened before.
 */
struct watch;

int watch_start(struct app *app, struct watch **ret, struct err *e);
void watch_stop(struct watch *w); /* NULL is fine */

#endif
