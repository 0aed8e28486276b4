#include "engine/restore.h"

#include "format/mem.h"

#include "engine/walk.h"

#include <errno.h>
#include <fcntl.h>

#define DIR_OPEN  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NAME_SIZE 64

struct target {
	const char *path;
	int live;  /* the instance's directory */
	int stage; /* beside .openclaw and workspace, of the same file system */
	bool is_there, is_database;
};

static bool is_dir_at(int parent, const char *name)
{
	struct stat st;

	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* A directory above the path, in the stage always, in the live tree where it is missing. */
static int make_above(const struct target *t, const struct record *r, const char *path,
                      struct err *e)
{
	const int roots[] = { t->stage, t->live };

	for (size_t i = 0; i < COUNT(roots); i++) {
		const char *name = NULL;
		OWN(fd) int parent = walk_parent(roots[i], path, &name, e);
		OWN(fd) int fd = -1;

		if (parent < 0)
			return -1;
		if (mkdirat(parent, name, 0700) < 0) {
			if (errno != EEXIST)
				return file_error(e, path);
			if (!is_dir_at(parent, name))
				return err_set(e, ERR_CONFLICT,
				               "What it lay in is no directory any more.");
			continue;
		}
		fd = openat(parent, name, DIR_OPEN);
		if (fd < 0)
			return file_error(e, path);
		if (roots[i] == t->live && tree_own(fd, r, e) < 0)
			return -1;
	}
	return 0;
}

static bool is_above(const struct record *r, const char *path)
{
	return r->type == RECORD_DIR && strlen(path) > r->path_len &&
	       memcmp(path, r->path, r->path_len) == 0 && path[r->path_len] == '/';
}

/* What lies above the path, and whether it is there at all. */
static int look(const struct engine *en, const struct engine_ref *ref, struct target *t,
                struct err *e)
{
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	char path[RECORD_PATH_MAX + 1];
	size_t len = strlen(t->path);

	if (stored_manifest_open(en, ref, &m, e) < 0)
		return -1;
	for (;;) {
		struct record r;
		bool is_end = false;

		if (stored_manifest_next(&m, &r, &is_end, e) < 0)
			return -1;
		if (is_end)
			break;
		if (r.type != RECORD_DIR && r.type != RECORD_LINK && r.type != RECORD_FILE)
			continue;
		if (r.path_len == len && memcmp(r.path, t->path, len) == 0) {
			t->is_there = true;
			t->is_database = r.type == RECORD_FILE && r.flags & RECORD_IS_DATABASE;
			break;
		}
		if (!is_above(&r, t->path))
			continue;
		memcpy(path, r.path, r.path_len);
		path[r.path_len] = 0;
		if (make_above(t, &r, path, e) < 0)
			return -1;
	}
	return t->is_there ? 0 : err_set(e, ERR_NOT_FOUND, "not in this backup: %.120s", t->path);
}

/* A log that is left beside an older database would be played into it. */
static int remove_journals(int parent, const char *name, struct err *e)
{
	static const char *const ends[] = { "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < COUNT(ends); i++) {
		OWN(mem) char *journal = mem_text("%s%s", name, ends[i]);

		if (!journal)
			return err_set(e, ERR_INTERNAL, "out of memory");
		if (unlinkat(parent, journal, 0) < 0 && errno != ENOENT)
			return file_error(e, journal);
	}
	return 0;
}

static int put_in(const struct target *t, struct err *e)
{
	const char *name = NULL;
	OWN(fd) int from = walk_parent(t->stage, t->path, &name, e);
	OWN(fd) int to = from < 0 ? -1 : walk_parent(t->live, t->path, &name, e);

	if (to < 0)
		return -1;
	if (t->is_database && remove_journals(to, name, e) < 0)
		return -1;
	fault_point("restore.path.swap");
	if (renameat2(from, name, to, name, RENAME_EXCHANGE) < 0 &&
	    (errno != ENOENT || renameat2(from, name, to, name, RENAME_NOREPLACE) < 0))
		return file_error(e, t->path);
	fault_point("restore.path.swapped");
	return fsync(to) < 0 || fsync(from) < 0 ? file_error(e, t->path) : 0;
}

/* A file below a directory that only the backup has: tree_build() finds the parents made. */
int engine_restore_path(struct engine *en, const struct engine_restore_req *req, const char *path,
                        struct engine_totals *ret, struct err *e)
{
	struct pulse pulse = { .watch = &req->watch, .progress.step = "fetch" };
	struct target t = { .path = path, .live = -1, .stage = -1 };
	OWN(fd) int home = restore_home(req, e);
	OWN(fd) int live = -1;
	OWN(fd) int stage = -1;
	char name[NAME_SIZE];

	if (home < 0)
		return -1;
	if (!record_path_is_valid(path, strlen(path)))
		return err_field(e, "path", "is no path of a backup");
	live = openat(home, req->instance_id, DIR_OPEN);
	if (live < 0)
		return file_error(e, "the instance's directory");
	snprintf(name, sizeof(name), ".restore-%s", req->restore_id);
	if (tree_remove(live, name, e) < 0)
		return -1;
	stage = mkdirat(live, name, 0700) < 0 ? -1 : openat(live, name, DIR_OPEN);
	if (stage < 0)
		return file_error(e, name);
	t.live = live;
	t.stage = stage;
	if (look(en, &req->ref, &t, e) < 0 ||
	    restore_build(en, &req->ref, path, stage, &pulse, ret, e) < 0 || put_in(&t, e) < 0) {
		struct err ignored = ERR_INIT;

		tree_remove(live, name, &ignored); /* else the next try removes it */
		return -1;
	}
	return tree_remove(live, name, e);
}
