#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>

/* Wall-clock time is unix milliseconds; spans are measured on the monotonic clock. Any thread. */

#define CLOCK_TEXT_SIZE 25 /* "2026-02-10T12:00:00.000Z" and its zero */

long long clock_now_ms(void);  /* unix ms */
long long clock_mono_ms(void); /* for spans only */
long long clock_mono_ns(void);

/* RFC 3339 in UTC with milliseconds, into buf. Returns buf. */
char *clock_text(long long unix_ms, char buf[CLOCK_TEXT_SIZE]);

/* Exactly the form that clock_text() writes. */
bool clock_text_is_valid(const char *text);

void clock_sleep_ms(long long ms);

/*
 * A condition whose timed waits go by the monotonic clock: setting the machine's time neither
 * lengthens nor ends one. Only such a condition may be given to clock_cond_wait().
 */
void clock_cond_init(pthread_cond_t *cond);

/* With the lock held, until it is signalled (or wakes for nothing, as any condition may). False:
 * clock_mono_ms() has reached until_ms. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, long long until_ms);

#endif
