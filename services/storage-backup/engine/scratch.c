#include "engine/tree.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

/* What scratch directories hold by name is called so; anything older than the longest snapshot and
 * drill take is a dead process's. */
static const char *const names[] = { "db-", "drill-", "trial-" };

#define LEFTOVER_S ENGINE_GRACE_MIN_S

static bool is_leftover(int dir, const char *name)
{
	struct stat st;

	for (size_t i = 0; i < COUNT(names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			       st.st_mtime < clock_now_ms() / 1000 - LEFTOVER_S;
	return false;
}

static void remove_leftovers(const char *path)
{
	DIR *list = opendir(path);
	const struct dirent *entry;

	/* Safe in glibc: the stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (list && (entry = readdir(list))) {
		struct err ignored = ERR_INIT; /* another process may be removing it too */

		if (!is_leftover(dirfd(list), entry->d_name))
			continue;
		if (unlinkat(dirfd(list), entry->d_name, 0) < 0 && errno == EISDIR)
			tree_remove(dirfd(list), entry->d_name, &ignored);
	}
	if (list)
		closedir(list);
}

int scratch_make(const char *path, struct err *e)
{
	if (path[0] != '/')
		return err_set(e, ERR_INVALID, "the scratch directory's path must be absolute");
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return file_error(e, path);
	remove_leftovers(path);
	return 0;
}

int scratch_file(const struct engine *en, struct err *e)
{
	int fd = open(en->scratch_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : file_error(e, "scratch directory");
}
