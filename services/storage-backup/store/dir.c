#include "store/dir.h"

#include "format/mem.h"
#include "store/key.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define COPY_BYTES (256 << 10)
#define LEFTOVER_S 3600
#define DIR_OPEN   (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MAKE_TRIES 5 /* a directory may vanish between its making and its use: it was empty */

int dir_error(struct err *e, const char *what)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return err_set(e, ERR_NOT_FOUND, "no object %s", what);
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return err_set(e, ERR_QUOTA, "the store is full: %s: %s", what,
		               strerrordesc_np(errno));
	case EACCES:
	case EPERM:
	case ELOOP:
	case EROFS:
		return err_set(e, ERR_FORBIDDEN, "the store refuses %s: %s", what,
		               strerrordesc_np(errno));
	default:
		return err_set(e, ERR_UNAVAILABLE, "the store: %s: %s", what,
		               strerrordesc_np(errno));
	}
}

/* One directory down; a new one is synced into its parent before anything is put in it. */
static int descend(int at, const char *name, bool make)
{
	int fd = openat(at, name, DIR_OPEN);

	for (int i = 0; fd < 0 && errno == ENOENT && make && i < MAKE_TRIES; i++) {
		if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
			return -1;
		if (fsync(at) < 0)
			return -1;
		fd = openat(at, name, DIR_OPEN);
	}
	return fd;
}

int dir_of(int root, const char *key, bool make, const char **ret_name, struct err *e)
{
	char part[KEY_PART_MAX + 1];
	int at = openat(root, ".", DIR_OPEN);
	const char *name = key, *slash;

	while (at >= 0 && (slash = strchr(name, '/'))) {
		int next;

		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		next = descend(at, part, make);
		close(at);
		at = next;
		name = slash + 1;
	}
	if (at < 0)
		return dir_error(e, key);
	*ret_name = name;
	return at;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* From *fd's start; size bytes must be there. */
static int copy_all(int to, int from, long long size, struct err *e)
{
	OWN(mem) char *buf = mem_new(COPY_BYTES);

	if (!buf)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (long long at = 0; at < size;) {
		size_t want = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
		ssize_t n = pread(from, buf, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_INTERNAL, "what is to be stored ends early");
		if (write_all(to, buf, (size_t)n) < 0)
			return dir_error(e, "an object");
		at += n;
	}
	return 0;
}

/* Directories that are left where an object is to be: of objects that are deleted. */
static void remove_empty(int parent, const char *name, int depth)
{
	int fd = depth < KEY_PARTS_MAX ? openat(parent, name, DIR_OPEN) : -1;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!list && fd >= 0)
		close(fd);
	/* Safe in glibc: the stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (list && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_empty(dirfd(list), entry->d_name, depth + 1);
	if (list)
		closedir(list);
	unlinkat(parent, name, AT_REMOVEDIR); /* fails where anything is in it */
}

/* The rename, and again where its directory has just gone with the last object in it. */
static int name_it(struct dir *d, const char *tmp, const char *key, struct err *e)
{
	for (int i = 0;; i++) {
		const char *name = NULL;
		OWN(fd) int parent = dir_of(d->root, key, true, &name, e);

		if (parent < 0)
			return -1;
		if (renameat(d->tmp, tmp, parent, name) == 0) {
			fault_point("store.dir.renamed");
			return fsync(parent) < 0 ? dir_error(e, key) : 0;
		}
		if (i == MAKE_TRIES || (errno != ENOENT && errno != EISDIR))
			return dir_error(e, key);
		if (errno == EISDIR)
			remove_empty(parent, name, 0);
	}
}

/* Gives a written temporary file its name. */
static int commit(struct dir *d, int fd, const char *tmp, const char *key, struct err *e)
{
	fault_point("store.dir.written");
	if (fsync(fd) < 0)
		return dir_error(e, key);
	fault_point("store.dir.synced");
	return name_it(d, tmp, key, e);
}

static int put_either(struct dir *d, const char *key, const void *data, int from, long long size,
                      struct err *e)
{
	char tmp[48] = "tmp-";
	OWN(fd) int fd = -1;
	int r;

	random_hex(16, tmp + 4);
	fd = openat(d->tmp, tmp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return dir_error(e, key);
	if (data)
		r = write_all(fd, data, (size_t)size) < 0 ? dir_error(e, key) : 0;
	else
		r = copy_all(fd, from, size, e);
	if (r < 0 || commit(d, fd, tmp, key, e) < 0) {
		unlinkat(d->tmp, tmp, 0); /* best effort: dir_open() removes leftovers */
		return -1;
	}
	return 0;
}

static int put(void *impl, const char *key, const void *data, size_t len, struct err *e)
{
	return put_either(impl, key, len ? data : "", -1, (long long)len, e);
}

static int put_file(void *impl, const char *key, int fd, long long size, struct err *e)
{
	return put_either(impl, key, NULL, fd, size, e);
}

static int object_open(struct dir *d, const char *key, struct stat *ret_st, struct err *e)
{
	const char *name = NULL;
	OWN(fd) int parent = dir_of(d->root, key, false, &name, e);
	int fd;

	if (parent < 0)
		return -1;
	fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return dir_error(e, key);
	if (fstat(fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode)) {
		close(fd);
		return err_set(e, ERR_NOT_FOUND, "no object %s", key);
	}
	return fd;
}

static int get(void *impl, const char *key, const struct storage_range *range, size_t *ret_len,
               struct err *e)
{
	struct stat st = { 0 };
	OWN(fd) int fd = object_open(impl, key, &st, e);
	size_t done = 0;

	if (fd < 0)
		return -1;
	while (done < range->len) {
		ssize_t n = pread(fd, (char *)range->buf + done, range->len - done,
		                  range->offset + (long long)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 &&
		    errno == EIO) /* the disk has lost it: asking again gives it back to nobody */
			return err_set(e, ERR_UPSTREAM, "%s cannot be read off its disk", key);
		if (n < 0)
			return dir_error(e, key);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return 0;
}

static int head(void *impl, const char *key, long long *ret_size, struct err *e)
{
	struct stat st = { 0 };
	OWN(fd) int fd = object_open(impl, key, &st, e);

	if (fd < 0)
		return -1;
	*ret_size = st.st_size;
	return 0;
}

/*
 * Takes away the directories above a key that nothing is left in: their names are people's, too. One
 * that a put has just made may go: the put makes it again. A crash here leaves them empty.
 */
static int remove_above(struct dir *d, const char *key, struct err *e)
{
	char above[STORAGE_KEY_MAX + 1];
	char *slash;
	bool has_removed = false;

	snprintf(above, sizeof(above), "%s", key);
	while ((slash = strrchr(above, '/'))) {
		const char *name = NULL;
		struct err missing = ERR_INIT;
		OWN(fd) int parent = -1;

		*slash = 0;
		parent = dir_of(d->root, above, false, &name, &missing);
		if (parent < 0 && missing.code == ERR_NOT_FOUND)
			continue; /* gone with another's last object */
		if (parent < 0) {
			*e = missing;
			return -1;
		}
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0) {
			has_removed = true;
			continue;
		}
		return has_removed && fsync(parent) < 0 ? dir_error(e, key) : 0;
	}
	return has_removed && fsync(d->root) < 0 ? dir_error(e, key) : 0;
}

static int delete_object(void *impl, const char *key, struct err *e)
{
	struct dir *d = impl;
	const char *name = NULL;
	struct err missing = ERR_INIT;
	OWN(fd) int parent = dir_of(d->root, key, false, &name, &missing);

	if (parent < 0 && missing.code == ERR_NOT_FOUND)
		return 0;
	if (parent < 0) {
		*e = missing;
		return -1;
	}
	assert(name);
	if (unlinkat(parent, name, 0) < 0 && errno != ENOENT && errno != EISDIR)
		return dir_error(e, key);
	return fsync(parent) < 0 ? dir_error(e, key) : remove_above(d, key, e);
}

static void close_dir(void *impl)
{
	struct dir *d = impl;

	if (d->root >= 0)
		close(d->root);
	if (d->tmp >= 0)
		close(d->tmp);
	free(d);
}

/* Of processes that died. Another's that is being written is younger. */
static void remove_leftovers(struct dir *d)
{
	int fd = openat(d->tmp, ".", DIR_OPEN);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat st;

	if (!list && fd >= 0)
		close(fd);
	/* Safe in glibc: the stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (list && (entry = readdir(list)))
		if (fstatat(d->tmp, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_mtime < clock_now_ms() / 1000 - LEFTOVER_S)
			unlinkat(d->tmp, entry->d_name, 0);
	if (list)
		closedir(list);
}

static const struct storage_kind kind = {
	.close = close_dir,
	.put = put,
	.put_file = put_file,
	.get = get,
	.head = head,
	.delete = delete_object,
	.list = dir_list,
};

int dir_open(const char *path, struct storage *ret, struct err *e)
{
	struct dir *d;

	if (path[0] != '/' || !path[1])
		return err_field(e, "STORAGE_URL", "must be file:///DIRECTORY");
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_field(e, "STORAGE_URL", "cannot make %s: %s", path,
		                 strerrordesc_np(errno));
	d = mem_new(sizeof(*d));
	if (!d)
		return err_set(e, ERR_INTERNAL, "out of memory");
	ret->kind = &kind;
	ret->impl = d;
	d->tmp = -1;
	d->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root >= 0)
		d->tmp = descend(d->root, DIR_TMP, true);
	if (d->tmp < 0)
		return err_field(e, "STORAGE_URL", "cannot open %s: %s", path,
		                 strerrordesc_np(errno));
	remove_leftovers(d);
	return 0;
}
