#ifndef BASE_FAULT_H
#define BASE_FAULT_H

/*
 * Places where the tests kill the process, as a power cut would. fault_point("create.started")
 * raises SIGKILL where the environment says ZAKI_FAULT=create.started, and ZAKI_FAULT_ONCE names a
 * file which is made first and which disarms the point when it is there already, so that a restart
 * gets past it. ZAKI_FAULT_TRACE names a file to which the name of each point that is passed is
 * added as a line, so that a test can find out which there are. Only builds with -DZAKI_FAULTS have
 * it: a release build has no such switch.
 *
 * fault_delay("replay.message") waits where the environment says ZAKI_FAULT_DELAY=replay.message=MS: a
 * machine that has too much to do, made to order.
 *
 * fault_patience(2000) is a time-out of 2000 (ms, or whatever it counts in), so many times as long as
 * the environment's ZAKI_FAULT_PATIENCE says: what a test asks for is answered, too, on a machine that
 * stands still for a while.
 *
 * fault_hook, where a test of this process has set it, is called at each point first, on the thread
 * that passes it: it may change what the code there relies on.
 */
extern void (*fault_hook)(const char *name);

/* Milliseconds by which ZAKI_FAULT_LATER_S, seconds, puts on a clock that goes by days. */
#ifdef ZAKI_FAULTS
void fault_point(const char *name);
void fault_delay(const char *name);
long long fault_later_ms(void);
int fault_patience(int span);
#else
static inline int fault_patience(int span)
{
	return span;
}

static inline long long fault_later_ms(void)
{
	return 0;
}

static inline void fault_point(const char *name)
{
	(void)name;
}

static inline void fault_delay(const char *name)
{
	(void)name;
}
#endif

#endif
