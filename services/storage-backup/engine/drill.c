#include "engine/database.h"

#include "engine/restore.h"
#include "engine/walk.h"
#include "format/mem.h"

#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>

#define NAME_SIZE 48

struct driller {
	const struct engine *en;
	struct stored_manifest m;
	int dir;
	struct pulse pulse;
	struct engine_proof *ret;
	char path[RECORD_PATH_MAX + 1];
	struct stat st;
	unsigned char data[CHUNK_MAX];
};

static int differs(const struct driller *d, const char *what, struct err *e)
{
	return err_set(e, ERR_UPSTREAM, "restored, %.120s has another %s", d->path, what);
}

static int read_whole(const struct driller *d, int fd, void *to, size_t len, off_t at,
                      struct err *e)
{
	ssize_t n = pread(fd, to, len, at);

	if (n < 0)
		return file_error(e, d->path);
	return (size_t)n == len ? 0 : differs(d, "length", e);
}

static int check_hole(struct driller *d, int fd, off_t at, uint64_t len, struct err *e)
{
	while (len > 0) {
		size_t part = len < sizeof(d->data) ? (size_t)len : sizeof(d->data);

		if (read_whole(d, fd, d->data, part, at, e) < 0)
			return -1;
		if (d->data[0] || memcmp(d->data, d->data + 1, part - 1) != 0)
			return differs(d, "content", e);
		at += (off_t)part;
		len -= part;
	}
	return 0;
}

/* Reads the file off the disk and names each stretch of it anew. */
static int check_content(struct driller *d, int fd, const struct record *file, struct err *e)
{
	uint64_t extents = file->extents;
	off_t at = 0;

	for (uint64_t i = 0; i < extents; i++) {
		unsigned char id[CHUNK_ID_LEN];
		struct record x;
		bool is_end = false;

		if (pulse_tell(&d->pulse, false, e) < 0 ||
		    stored_manifest_next(&d->m, &x, &is_end, e) < 0)
			return -1;
		if (x.type == RECORD_HOLE) {
			if (check_hole(d, fd, at, x.size, e) < 0)
				return -1;
			at += (off_t)x.size;
			continue;
		}
		if (read_whole(d, fd, d->data, x.place.plain_len, at, e) < 0)
			return -1;
		chunk_id(manifest_keys(d->m.reader), d->data, x.place.plain_len, id);
		if (memcmp(id, x.id, sizeof(id)) != 0)
			return differs(d, "content", e);
		d->ret->chunks++;
		d->pulse.progress.bytes_done += x.place.plain_len;
		at += x.place.plain_len;
	}
	return 0;
}

static int check_file(struct driller *d, int parent, const char *name, const struct record *r,
                      struct err *e)
{
	bool is_database = r->flags & RECORD_IS_DATABASE;
	OWN(fd) int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return file_error(e, d->path);
	if (d->st.st_size != (off_t)r->size)
		return differs(d, "length", e);
	d->ret->files++;
	d->ret->bytes += (long long)r->size;
	if (check_content(d, fd, r, e) < 0)
		return -1;
	if (!is_database)
		return 0;
	d->ret->databases++;
	return database_check(parent, name, e);
}

static int check_link(const struct driller *d, int parent, const char *name, const struct record *r,
                      struct err *e)
{
	char target[RECORD_PATH_MAX + 1];
	ssize_t len = readlinkat(parent, name, target, sizeof(target));

	if (len < 0 || (size_t)len != r->target_len ||
	    memcmp(target, r->target, r->target_len) != 0)
		return differs(d, "target", e);
	return 0;
}

static bool is_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The scratch directory's disk may hold no such time: then it is what setting it makes of it. */
static int check_time(const struct driller *d, int parent, const char *name, const struct record *r,
                      struct err *e)
{
	const struct timespec want = { .tv_sec = r->mtime_s, .tv_nsec = (long)r->mtime_ns };
	const struct timespec times[2] = { want, want };
	struct stat again;

	if (is_time(&d->st.st_mtim, &want))
		return 0;
	if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(parent, name, &again, AT_SYMLINK_NOFOLLOW) < 0)
		return file_error(e, d->path);
	return is_time(&d->st.st_mtim, &again.st_mtim) ? 0 : differs(d, "time", e);
}

static int check_entry(struct driller *d, const struct record *r, struct err *e)
{
	const char *name = NULL;
	OWN(fd) int parent = -1;
	mode_t type = r->type == RECORD_DIR ? S_IFDIR : r->type == RECORD_LINK ? S_IFLNK : S_IFREG;

	memcpy(d->path, r->path, r->path_len);
	d->path[r->path_len] = 0;
	parent = walk_parent(d->dir, d->path, &name, e);
	if (parent < 0)
		return -1;
	if (fstatat(parent, name, &d->st, AT_SYMLINK_NOFOLLOW) < 0)
		return file_error(e, d->path);
	if ((d->st.st_mode & S_IFMT) != type)
		return differs(d, "type", e);
	if (r->type == RECORD_LINK)
		return check_link(d, parent, name, r, e);
	if ((d->st.st_mode & 07777) != r->mode)
		return differs(d, "mode", e);
	/* A check of a database before this one may have made files in the directory. */
	if (r->type == RECORD_DIR)
		return 0;
	if (check_time(d, parent, name, r, e) < 0)
		return -1;
	return check_file(d, parent, name, r, e);
}

static int compare(struct driller *d, const struct engine_ref *ref, struct err *e)
{
	if (stored_manifest_open(d->en, ref, &d->m, e) < 0)
		return -1;
	d->pulse.progress.step = "compare";
	d->pulse.progress.bytes_done = 0;
	d->pulse.progress.percent = 0;
	d->ret->packs = manifest_head(d->m.reader)->packs;
	for (;;) {
		struct record r;
		bool is_end = false;

		if (stored_manifest_next(&d->m, &r, &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		if (r.type != RECORD_NOTE && check_entry(d, &r, e) < 0)
			return -1;
	}
}

static int drill_in(const struct engine *en, const struct engine_ref *ref, int dir,
                    struct driller *d, struct err *e)
{
	struct engine_totals totals;
	int r;

	d->en = en;
	d->dir = dir;
	r = restore_build(en, ref, "", dir, &d->pulse, &totals, e);
	fault_point("drill.restored");
	if (r == 0)
		r = compare(d, ref, e);
	stored_manifest_done(&d->m);
	return r;
}

/* One that keeps the tree is asked for where something is to be started from it. */
static int place_make(const struct engine *en, const char *keep_dir, char name[NAME_SIZE],
                      struct err *e)
{
	OWN(fd) int scratch = open(en->scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char id[UUID_SIZE];
	int fd;

	if (keep_dir) {
		if (mkdir(keep_dir, 0700) < 0)
			return file_error(e, keep_dir);
		fd = open(keep_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? file_error(e, keep_dir) : fd;
	}
	uuid_make(id);
	snprintf(name, NAME_SIZE, "drill-%s", id);
	if (scratch < 0 || mkdirat(scratch, name, 0700) < 0)
		return file_error(e, "scratch directory");
	fd = openat(scratch, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? file_error(e, "scratch directory") : fd;
}

int engine_drill(struct engine *en, const struct engine_ref *ref, const char *keep_dir,
                 const struct engine_watch *watch, struct engine_proof *ret, struct err *e)
{
	OWN(mem) struct driller *d = mem_new(sizeof(*d));
	char name[NAME_SIZE] = "";
	OWN(fd) int dir = -1;
	int r;

	*ret = (struct engine_proof){ 0 };
	if (!d)
		return err_set(e, ERR_INTERNAL, "out of memory");
	d->ret = ret;
	d->pulse = (struct pulse){ .watch = watch, .progress.step = "fetch" };
	dir = place_make(en, keep_dir, name, e);
	if (dir < 0) {
		/* What is missing is on this machine, and no part of the backup. */
		if (e->code == ERR_NOT_FOUND)
			e->code = ERR_INTERNAL;
		return -1;
	}
	r = drill_in(en, ref, dir, d, e);
	if (!keep_dir) {
		OWN(fd) int scratch = open(en->scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct err left = ERR_INIT;

		if (tree_remove(scratch, name, &left) < 0 && r == 0) {
			*e = left;
			r = -1;
		}
	}
	return r;
}

int engine_drill_forget(const char *keep_dir, struct err *e)
{
	const char *slash = strrchr(keep_dir, '/');
	char above[ENGINE_PATH_MAX];
	OWN(fd) int parent = -1;

	if (!slash || (size_t)(slash - keep_dir) >= sizeof(above))
		return err_set(e, ERR_INVALID, "the drill's directory is none");
	snprintf(above, sizeof(above), "%.*s", (int)(slash - keep_dir), keep_dir);
	parent = open(above, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT ? 0 : file_error(e, above);
	return tree_remove(parent, slash + 1, e);
}
