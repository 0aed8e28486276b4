#include "base/fault.h"

void (*fault_hook)(const char *name);

#ifdef ZAKI_FAULTS

#include "base/clock.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>

/* One write(2) a line: two daemons' lines never mix. A trace that cannot be written fails the test
 * which reads it. */
static void trace(const char *path, const char *name)
{
	OWN(fd) int fd = open(path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
	char line[128];
	int len = snprintf(line, sizeof(line), "%.120s\n", name);

	if (fd >= 0 && write(fd, line, (size_t)len) < 0)
		return;
}

long long fault_later_ms(void)
{
	const char *seconds = getenv("ZAKI_FAULT_LATER_S");

	return seconds ? strtoll(seconds, NULL, 10) * 1000 : 0;
}

int fault_patience(int span)
{
	const char *times = getenv("ZAKI_FAULT_PATIENCE");
	long long longer = times ? span * strtoll(times, NULL, 10) : span;

	return longer > INT_MAX ? INT_MAX : (int)longer;
}

void fault_delay(const char *name)
{
	const char *set = getenv("ZAKI_FAULT_DELAY");
	size_t len = strlen(name);

	if (set && strncmp(set, name, len) == 0 && set[len] == '=')
		clock_sleep_ms((int)strtol(set + len + 1, NULL, 10));
}

void fault_point(const char *name)
{
	const char *armed = getenv("ZAKI_FAULT");
	const char *once = getenv("ZAKI_FAULT_ONCE");
	const char *traced = getenv("ZAKI_FAULT_TRACE");

	if (fault_hook)
		fault_hook(name);
	if (traced)
		trace(traced, name);
	if (!armed || strcmp(armed, name) != 0)
		return;
	if (once) {
		OWN(fd) int fd = open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

		if (fd < 0 && errno == EEXIST)
			return;
	}
	raise(SIGKILL);
}

#endif
