#ifndef SVC_TICKER_H
#define SVC_TICKER_H

#include "base/err.h"

/*
 * A thread that does one thing every period, and at once when it is woken. Work that is woken while
 * it runs, runs again after it. At the end it runs a last time when it was woken before.
 */
struct ticker;

typedef void ticker_work(void *ctx);

int ticker_start(ticker_work *work, void *ctx, long long period_ms, struct ticker **ret,
                 struct err *e);
void ticker_wake(struct ticker *t); /* any thread */
void ticker_stop(struct ticker *t); /* waits for what runs; NULL is fine */

#endif
