#include "engine/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define DIR_OPEN  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define DEPTH_MAX 64 /* descriptors held at a time; what lies deeper is moved up first */

struct remover {
	int top;
	unsigned long moved;
};

static int children(struct remover *rm, int fd, int depth, struct err *e);

static int remove_dir(struct remover *rm, int at, const char *name, int depth, struct err *e)
{
	char up[48];

	if (depth < DEPTH_MAX) {
		OWN(fd) int fd = openat(at, name, DIR_OPEN);

		if (fd < 0)
			return errno == ENOENT ? 0 : file_error(e, name);
		if (children(rm, fd, depth + 1, e) < 0)
			return -1;
		if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return file_error(e, name);
		return 0;
	}
	/* A former removal that was killed may have left some: their names are taken. */
	do
		snprintf(up, sizeof(up), ".removed-%lu", rm->moved++);
	while (renameat2(at, name, rm->top, up, RENAME_NOREPLACE) < 0 && errno == EEXIST);
	return 0;
}

/* Once over; directories that were moved up meanwhile may be missed. */
static int children(struct remover *rm, int fd, int depth, struct err *e)
{
	int copy = openat(fd, ".", DIR_OPEN);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	int r = 0;

	if (!list) {
		if (copy >= 0)
			close(copy);
		return file_error(e, "a directory that is removed");
	}
	/* Safe in glibc: the stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (r == 0 && (entry = readdir(list))) {
		const char *name = entry->d_name;

		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			continue;
		if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno == EISDIR || errno == EPERM)
			r = remove_dir(rm, fd, name, depth, e);
		else
			r = file_error(e, name);
	}
	closedir(list);
	return r;
}

int tree_remove(int parent, const char *name, struct err *e)
{
	struct remover rm = { .top = openat(parent, name, DIR_OPEN) };
	OWN(fd) int top = rm.top;
	unsigned long moved;

	if (top < 0)
		return errno == ENOENT ? 0 : file_error(e, name);
	do {
		moved = rm.moved;
		if (children(&rm, top, 0, e) < 0)
			return -1;
	} while (rm.moved != moved);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY)
		return file_error(e, name);
	/* What was moved up during the last round. */
	if (children(&rm, top, 0, e) < 0)
		return -1;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? file_error(e, name) : 0;
}
