#include "base/clock.h"

#include <errno.h>

static long long now_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

long long clock_now_ms(void)
{
	return now_ns(CLOCK_REALTIME) / 1000000;
}

long long clock_mono_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

long long clock_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

char *clock_text(long long unix_ms, char buf[CLOCK_TEXT_SIZE])
{
	long long ms = (unix_ms % 1000 + 1000) % 1000;
	time_t s = (time_t)(unix_ms / 1000 - (unix_ms % 1000 < 0));
	char date[20];
	struct tm tm;

	/* Past the year 9999 there is no such form. */
	if (!gmtime_r(&s, &tm) || tm.tm_year < -1900 ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		memcpy(date, "1970-01-01T00:00:00", sizeof(date));
	snprintf(buf, CLOCK_TEXT_SIZE, "%.19s.%03uZ", date, (unsigned)ms % 1000);
	return buf;
}

bool clock_text_is_valid(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	char again[CLOCK_TEXT_SIZE];
	struct tm tm = { 0 };

	/* strptime() alone takes spaces for zeros, a 30th of February and a second 60. */
	for (size_t i = 0; i < sizeof(form); i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		return false;
	clock_text(timegm(&tm) * 1000LL, again);
	return memcmp(text, again, 19) == 0;
}

void clock_sleep_ms(long long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, long long until_ms)
{
	struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}
