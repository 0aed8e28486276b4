#include "engine/tree.h"

#include "format/mem.h"

#include "engine/stream.h"
#include "engine/walk.h"

#include <errno.h>
#include <fcntl.h>

#define DIR_OPEN (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct builder {
	int dir;
	struct engine_totals totals;
	/* the directory of the last entry, kept open: most are beside each other */
	int parent;
	char parent_path[RECORD_PATH_MAX + 1];
	/* the file that is written */
	int fd;
	struct record file;
	uint64_t at;
	char path[RECORD_PATH_MAX + 1];
};

static int parent_open(struct builder *b, const char *path, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd;

	if (b->parent >= 0 && strlen(b->parent_path) == len &&
	    memcmp(b->parent_path, path, len) == 0) {
		*ret_name = slash ? slash + 1 : path;
		return 0;
	}
	fd = walk_parent(b->dir, path, ret_name, e);
	if (fd < 0)
		return -1;
	if (b->parent >= 0)
		close(b->parent);
	b->parent = fd;
	memcpy(b->parent_path, path, len);
	b->parent_path[len] = 0;
	return 0;
}

static void times_of(const struct record *r, struct timespec ret[2])
{
	ret[1] = (struct timespec){ .tv_sec = r->mtime_s, .tv_nsec = r->mtime_ns };
	ret[0] = ret[1];
}

int tree_own(int fd, const struct record *r, struct err *e)
{
	struct timespec times[2];

	times_of(r, times);
	if (fchown(fd, r->uid, r->gid) < 0 && (errno != EPERM || geteuid() == 0))
		return file_error(e, "owner of a restored file");
	if (fchmod(fd, r->mode) < 0 || futimens(fd, times) < 0) /* after: chown clears bits */
		return file_error(e, "mode of a restored file");
	return 0;
}

static int make_link(struct builder *b, const struct record *r, const char *name, struct err *e)
{
	struct timespec times[2];

	times_of(r, times);
	b->totals.links++;
	if (symlinkat(r->target, b->parent, name) < 0 ||
	    (fchownat(b->parent, name, r->uid, r->gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	     (errno != EPERM || geteuid() == 0)) ||
	    utimensat(b->parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return file_error(e, r->path);
	return 0;
}

static int on_entry(void *ctx, const struct record *r, struct err *e)
{
	struct builder *b = ctx;
	const char *name = NULL;

	if (parent_open(b, r->path, &name, e) < 0)
		return -1;
	if (r->type == RECORD_DIR) {
		b->totals.dirs++;
		return mkdirat(b->parent, name, 0700) < 0 ? file_error(e, r->path) : 0;
	}
	if (r->type == RECORD_LINK)
		return make_link(b, r, name, e);
	fault_point("restore.file");
	b->fd = openat(b->parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (b->fd < 0)
		return file_error(e, r->path);
	b->file = *r;
	b->at = 0;
	memcpy(b->path, r->path, r->path_len + 1);
	return 0;
}

static int on_data(void *ctx, const void *data, size_t len, struct err *e)
{
	struct builder *b = ctx;
	const char *from = data;

	b->at += len;
	while (len > 0) {
		ssize_t n = write(b->fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(e, b->path);
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

static int on_hole(void *ctx, uint64_t len, struct err *e)
{
	struct builder *b = ctx;

	b->at += len;
	return lseek(b->fd, (off_t)b->at, SEEK_SET) < 0 ? file_error(e, b->path) : 0;
}

static int on_file_end(void *ctx, struct err *e)
{
	struct builder *b = ctx;
	OWN(fd) int fd = b->fd;

	b->fd = -1;
	b->totals.files++;
	b->totals.bytes += (long long)b->file.size;
	/* A hole at the end is none until the file has its length. */
	if (ftruncate(fd, (off_t)b->file.size) < 0)
		return file_error(e, b->path);
	return tree_own(fd, &b->file, e);
}

int tree_build(const struct engine *en, struct stored_manifest *m, const char *under, int dir,
               struct pulse *pulse, struct engine_totals *ret, struct err *e)
{
	OWN(mem) struct builder *b = mem_new(sizeof(*b));
	struct stream_sink sink = { .on_entry = on_entry,
		                    .on_data = on_data,
		                    .on_hole = on_hole,
		                    .on_file_end = on_file_end,
		                    .ctx = b };
	int r;

	if (!b)
		return err_set(e, ERR_INTERNAL, "out of memory");
	b->dir = dir;
	b->parent = b->fd = -1;
	r = stream_run(en, m, under, &sink, pulse, e);
	if (b->parent >= 0)
		close(b->parent);
	if (b->fd >= 0)
		close(b->fd);
	if (r == 0)
		*ret = b->totals;
	return r;
}

static int finish_dir(int dir, const char *path, const struct record *r, struct err *e)
{
	const char *name = NULL;
	OWN(fd) int parent = walk_parent(dir, path, &name, e);
	OWN(fd) int fd = parent < 0 ? -1 : openat(parent, name, DIR_OPEN);

	if (parent < 0)
		return -1;
	return fd < 0 ? file_error(e, path) : tree_own(fd, r, e);
}

int tree_finish_dirs(struct stored_manifest *m, const char *under, int dir, struct err *e)
{
	char path[RECORD_PATH_MAX + 1];

	for (;;) {
		struct record r;
		bool is_end = false;

		if (stored_manifest_next(m, &r, &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		if (r.type != RECORD_DIR || !record_path_is_under(r.path, r.path_len, under))
			continue;
		memcpy(path, r.path, r.path_len);
		path[r.path_len] = 0;
		if (finish_dir(dir, path, &r, e) < 0)
			return -1;
	}
}
