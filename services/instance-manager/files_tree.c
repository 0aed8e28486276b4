#include "files_tree.h"

#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <search.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

OWN_DEFINE(dir, DIR *, closedir)

/* A file of several names, and the first that its copy got. */
struct linked {
	dev_t dev;
	ino_t ino;
	char path[];
};

struct copy {
	int root;            /* of the copy */
	void *linked;        /* tsearch(3) */
	char path[PATH_MAX]; /* below root, of what is copied now */
	int unnamed;         /* above 0: that is too long to be named */
	int depth_max;
};

static int compare(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* 1: it has been copied under another name, and this one is made; 0: it is to be copied. */
static int link_again(struct copy *c, int to, const char *name, const struct stat *st)
{
	struct linked *l;
	struct linked **found;
	size_t len = strlen(c->path);

	if (st->st_nlink < 2 || c->unnamed)
		return 0;
	l = calloc(1, sizeof(*l) + len + 1);
	if (!l)
		return -1;
	l->dev = st->st_dev;
	l->ino = st->st_ino;
	memcpy(l->path, c->path, len + 1);
	found = tsearch(l, &c->linked, compare);
	if (found && *found == l)
		return 0;
	free(l);
	if (!found) {
		errno = ENOMEM;
		return -1;
	}
	return linkat(c->root, (*found)->path, to, name, 0) < 0 ? -1 : 1;
}

static int set_attributes(int fd, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	struct stat now;

	if (fstat(fd, &now) < 0)
		return -1;
	if ((now.st_uid != st->st_uid || now.st_gid != st->st_gid) &&
	    fchown(fd, st->st_uid, st->st_gid) < 0)
		return -1;
	if (fchmod(fd, st->st_mode & 07777) < 0)
		return -1;
	return futimens(fd, times);
}

/* One piece that has contents; what lies between pieces is a hole in the copy too. */
static int copy_piece(int from, int to, off_t at, off_t end)
{
	char buf[64 * 1024];

	while (at < end) {
		size_t want = end - at < (off_t)sizeof(buf) ? (size_t)(end - at) : sizeof(buf);
		ssize_t n = pread(from, buf, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n; /* shorter than it was: as it is now */
		for (ssize_t put = 0; put < n;) {
			ssize_t k = pwrite(to, buf + put, (size_t)(n - put), at + put);

			if (k < 0 && errno == EINTR)
				continue;
			if (k < 0)
				return -1;
			put += k;
		}
		at += n;
	}
	return 0;
}

static int copy_contents(int from, int to, off_t size)
{
	off_t at = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? ftruncate(to, size) : -1; /* holes to the end */
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || copy_piece(from, to, data, hole) < 0)
			return -1;
		at = hole;
	}
	return ftruncate(to, size);
}

static int copy_file(struct copy *c, int from, int to, const char *name, const struct stat *st)
{
	OWN(fd) int in = -1;
	OWN(fd) int out = -1;
	struct stat now;
	int r = link_again(c, to, name, st);

	if (r != 0)
		return r < 0 ? -1 : 0;
	in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0 || fstat(in, &now) < 0)
		return -1;
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0 || copy_contents(in, out, now.st_size) < 0)
		return -1;
	return set_attributes(out, &now);
}

static int copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(from, name, target, sizeof(target) - 1);

	if (len < 0)
		return -1;
	target[len] = '\0';
	return symlinkat(target, to, name);
}

static int set_own(int to, const char *name, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_inside(struct copy *c, int from, int to, int depth);

static int copy_folder(struct copy *c, int from, int to, const char *name, int depth)
{
	OWN(fd) int in = openat(from, name, DIR_FLAGS);
	OWN(fd) int out = -1;

	if (in < 0)
		return -1;
	if (depth >= c->depth_max) {
		errno = ELOOP;
		return -1;
	}
	if (mkdirat(to, name, 0700) < 0)
		return -1;
	out = openat(to, name, DIR_FLAGS);
	return out < 0 ? -1 : copy_inside(c, in, out, depth + 1);
}

static int copy_entry(struct copy *c, int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return copy_folder(c, from, to, name, depth);
	case S_IFREG:
		return copy_file(c, from, to, name, &st);
	case S_IFLNK:
		return copy_link(from, to, name) < 0 ? -1 : set_own(to, name, &st);
	case S_IFIFO:
		return mkfifoat(to, name, st.st_mode & 0777) < 0 ? -1 : set_own(to, name, &st);
	default: /* sockets of what has ended */
		return 0;
	}
}

/* The path of what is copied, one name longer. False: too long to be named. */
static bool path_add(struct copy *c, size_t len, const char *name)
{
	if (len + strlen(name) + 2 > sizeof(c->path))
		return false;
	snprintf(c->path + len, sizeof(c->path) - len, "%s%s", len ? "/" : "", name);
	return true;
}

/* `from` and `to` stay the caller's. */
static int copy_inside(struct copy *c, int from, int to, int depth)
{
	int again = openat(from, ".", DIR_FLAGS); /* fdopendir() takes its own */
	OWN(dir) DIR *dir = again < 0 ? NULL : fdopendir(again);
	const size_t len = strlen(c->path);
	const struct dirent *entry;
	struct stat st;
	bool is_named;
	int r = 0;

	if (!dir || fstat(from, &st) < 0) {
		if (!dir && again >= 0)
			close(again);
		return -1;
	}
	/* Safe in glibc: the stream is this call's alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		is_named = path_add(c, len, entry->d_name);
		c->unnamed += !is_named;
		r = copy_entry(c, from, to, entry->d_name, depth);
		c->unnamed -= !is_named;
		c->path[len] = '\0';
	}
	if (r < 0 || errno != 0)
		return -1;
	return set_attributes(to, &st);
}

int files_tree_copy(int from, int to, int depth_max)
{
	struct copy *c = calloc(1, sizeof(*c));
	int r, reason;

	if (!c)
		return -1;
	c->root = to;
	c->depth_max = depth_max;
	r = copy_inside(c, from, to, 0);
	reason = errno;
	tdestroy(c->linked, free);
	free(c);
	errno = reason;
	return r;
}
