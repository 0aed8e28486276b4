#include "engine/restore.h"

#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>

#define DIR_OPEN  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NAME_SIZE 96

static int req_check(const struct engine_restore_req *req, struct err *e)
{
	if (ref_check(&req->ref, e) < 0)
		return -1;
	if (!uuid_is_valid(req->instance_id))
		return err_field(e, "instance_id", "is no UUID");
	if (!uuid_is_valid(req->restore_id))
		return err_field(e, "restore_id", "is no UUID");
	return 0;
}

int restore_home(const struct engine_restore_req *req, struct err *e)
{
	OWN(fd) int data = open(req->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (req_check(req, e) < 0)
		return -1;
	if (data < 0)
		return file_error(e, "DATA_DIR");
	/* A person's first instance on this machine, after a disaster. */
	if (mkdirat(data, req->ref.user_id, 0700) < 0 && errno != EEXIST)
		return file_error(e, "a user's directory");
	fd = openat(data, req->ref.user_id, DIR_OPEN);
	return fd < 0 ? file_error(e, "a user's directory") : fd;
}

static void staging_name(const struct engine_restore_req *req, char ret[NAME_SIZE])
{
	snprintf(ret, NAME_SIZE, "%s.restore-%s", req->instance_id, req->restore_id);
}

/* Does home/name hold the mark of this restore? */
static bool is_marked(int home, const char *name, const char *restore_id)
{
	OWN(fd) int dir = openat(home, name, DIR_OPEN);
	OWN(fd)
	int fd = dir < 0 ? -1 : openat(dir, RESTORE_MARK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[UUID_SIZE] = "";

	return fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) == sizeof(text) - 1 &&
	       strcmp(text, restore_id) == 0;
}

/* The last step of a fetch: what has the mark is complete. */
static int mark(int dir, const char *restore_id, struct err *e)
{
	OWN(fd)
	int fd = openat(dir, RESTORE_MARK ".new",
	                O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t len = (ssize_t)strlen(restore_id);

	if (fd < 0 || write(fd, restore_id, (size_t)len) != len || fsync(fd) < 0 ||
	    renameat(dir, RESTORE_MARK ".new", dir, RESTORE_MARK) < 0 || fsync(dir) < 0)
		return file_error(e, "the mark of a restore");
	return 0;
}

int restore_build(const struct engine *en, const struct engine_ref *ref, const char *under, int dir,
                  struct pulse *pulse, struct engine_totals *ret, struct err *e)
{
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	OWN(stored_manifest) struct stored_manifest again = { 0 };

	if (stored_manifest_open(en, ref, &m, e) < 0)
		return -1;
	pulse->progress.files_total = (long long)manifest_head(m.reader)->files;
	pulse->progress.bytes_total = (long long)manifest_head(m.reader)->bytes;
	if (tree_build(en, &m, under, dir, pulse, ret, e) < 0)
		return -1;
	fault_point("restore.built");
	if (stored_manifest_open(en, ref, &again, e) < 0 ||
	    tree_finish_dirs(&again, under, dir, e) < 0)
		return -1;
	if (syncfs(dir) < 0)
		return file_error(e, "restored files");
	fault_point("restore.synced");
	return 0;
}

static int fetched_totals(const struct engine *en, const struct engine_restore_req *req,
                          struct engine_totals *ret, struct err *e)
{
	struct manifest_head head;

	if (stored_manifest_head(en, &req->ref, &head, e) < 0)
		return -1;
	totals_of_head(&head, ret);
	return 0;
}

/* Into home/name, which is not there. */
static int fetch_into(const struct engine *en, const struct engine_restore_req *req, int home,
                      const char *name, struct engine_totals *ret, struct err *e)
{
	struct pulse pulse = { .watch = &req->watch, .progress.step = "fetch" };
	OWN(fd) int dir = -1;

	if (mkdirat(home, name, 0700) < 0)
		return file_error(e, name);
	fault_point("restore.begin");
	dir = openat(home, name, DIR_OPEN);
	if (dir < 0)
		return file_error(e, name);
	if (restore_build(en, &req->ref, "", dir, &pulse, ret, e) < 0 ||
	    mark(dir, req->restore_id, e) < 0)
		return -1;
	if (fsync(home) < 0)
		return file_error(e, name);
	fault_point("restore.fetched");
	return 0;
}

int engine_restore_fetch(struct engine *en, const struct engine_restore_req *req,
                         struct engine_totals *ret, struct err *e)
{
	OWN(fd) int home = restore_home(req, e);
	char name[NAME_SIZE];
	struct err ignored = ERR_INIT;

	if (home < 0)
		return -1;
	staging_name(req, name);
	if (is_marked(home, name, req->restore_id) ||
	    is_marked(home, req->instance_id, req->restore_id))
		return fetched_totals(en, req, ret, e);
	if (tree_remove(home, name, e) < 0)
		return -1;
	if (fetch_into(en, req, home, name, ret, e) == 0)
		return 0;
	/* The assistant runs on beside it: its disk is not kept full until the next try. */
	if (e->code == ERR_QUOTA)
		tree_remove(home, name, &ignored);
	return -1;
}

int engine_restore_swap(struct engine *en, const struct engine_restore_req *req, bool *ret_done,
                        struct err *e)
{
	OWN(fd) int home = restore_home(req, e);
	char name[NAME_SIZE];

	(void)en;
	if (home < 0)
		return -1;
	staging_name(req, name);
	*ret_done = false;
	if (is_marked(home, req->instance_id, req->restore_id))
		return fsync(home) < 0 ? file_error(e, "a user's directory") : 0;
	if (!is_marked(home, name, req->restore_id))
		return err_set(e, ERR_NOT_FOUND, "nothing complete to swap in");
	fault_point("restore.swap");
	if (renameat2(home, name, home, req->instance_id, RENAME_EXCHANGE) < 0 &&
	    (errno != ENOENT ||
	     renameat2(home, name, home, req->instance_id, RENAME_NOREPLACE) < 0))
		return file_error(e, "the swap of a restore");
	fault_point("restore.swapped");
	if (fsync(home) < 0)
		return file_error(e, "a user's directory");
	*ret_done = true;
	return 0;
}

int engine_restore_clean(struct engine *en, const struct engine_restore_req *req, struct err *e)
{
	OWN(fd) int home = restore_home(req, e);
	char name[NAME_SIZE];

	(void)en;
	if (home < 0)
		return -1;
	staging_name(req, name);
	fault_point("restore.clean");
	return tree_remove(home, name, e);
}
