#include "live.h"

#include "path_text.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* glibc has no name for it yet. */
static int open_below(int dir, const char *path)
{
	const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		                      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		                                 RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int live_text(const char *dir, const char *path, size_t max, char **ret, struct err *e)
{
	OWN(fd) int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	OWN(fd) int fd = root < 0 ? -1 : open_below(root, path);
	OWN(mem) char *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n;

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		return err_set(e, ERR_INTERNAL, "opening a file of the assistant's: %m");
	if (fd < 0 && errno == ELOOP)
		return 0;
	if (fd < 0) {
		*ret = strdup("");
		return *ret ? 1 : err_set(e, ERR_INTERNAL, "out of memory");
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > max)
		return 0;
	text = calloc(1, max + 1);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	do {
		n = read(fd, text + len, max - len);
		if (n < 0)
			return err_set(e, ERR_INTERNAL, "reading a file of the assistant's: %m");
		len += (size_t)n;
	} while (n > 0 && len < max);
	if (!text_is_plain(text, len))
		return 0;
	*ret = TAKE(text);
	return 1;
}
