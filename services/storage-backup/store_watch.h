#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include "store/storage.h"

/* Asks the store every half minute whether it is there: a health check may not wait for it. */
struct store_watch;

int store_watch_start(struct storage *s, struct store_watch **ret, struct err *e);
void store_watch_stop(struct store_watch *w); /* NULL is fine */

/* How it was when it was last asked. Any thread. */
int store_watch_check(struct store_watch *w, struct err *e);

#endif
