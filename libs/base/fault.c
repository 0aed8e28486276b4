#include "base/fault.h"

#ifdef ZAKI_FAULTS

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

void fault_point(const char *name)
{
	const char *armed = getenv("ZAKI_FAULT");
	const char *once = getenv("ZAKI_FAULT_ONCE");

	if (!armed || strcmp(armed, name) != 0)
		return;
	if (once) {
		OWN(fd) int fd = open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

		if (fd < 0 && errno == EEXIST)
			return;
	}
	raise(SIGKILL);
}

#else
typedef int fault_is_off; /* an empty translation unit is not C */
#endif
