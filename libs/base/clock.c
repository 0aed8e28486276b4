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
	time_t s = (time_t)(unix_ms / 1000);
	char date[20];
	struct tm tm;

	if (!gmtime_r(&s, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		memcpy(date, "1970-01-01T00:00:00", sizeof(date));
	snprintf(buf, CLOCK_TEXT_SIZE, "%.19s.%03uZ", date, (unsigned)(unix_ms % 1000) % 1000);
	return buf;
}

bool clock_text_is_valid(const char *text)
{
	struct tm tm = { 0 };
	const char *end;

	if (strlen(text) != CLOCK_TEXT_SIZE - 1)
		return false;
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	return end == text + 19 && end[0] == '.' && strspn(end + 1, "0123456789") == 3 &&
	       end[4] == 'Z';
}

void clock_sleep_ms(long long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}
