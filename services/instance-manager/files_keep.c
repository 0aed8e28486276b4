#include "files_keep.h"

#include "files_tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NAME_SIZE (UUID_SIZE + 16)

/* Beside an instance's directory; no ids, so that nobody takes them for one. */
struct names {
	char kept[NAME_SIZE];  /* complete, from its rename on */
	char fresh[NAME_SIZE]; /* a copy that may be half made */
	char tried[NAME_SIZE]; /* what the new image made of the files */
};

static struct names names_of(const char *instance_id)
{
	struct names n;

	assert(uuid_is_valid(instance_id));
	snprintf(n.kept, sizeof(n.kept), ".kept-%s", instance_id);
	snprintf(n.fresh, sizeof(n.fresh), ".kept-%s.new", instance_id);
	snprintf(n.tried, sizeof(n.tried), ".tried-%s", instance_id);
	return n;
}

/* 1: it is there; 0: it is not; -1: errno. */
static int is_there(int user, const char *name)
{
	struct stat st;

	if (fstatat(user, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

/* On the disk before anybody changes the original. */
static int copy(int user, const char *instance_id, const struct names *n)
{
	OWN(fd) int from = openat(user, instance_id, DIR_FLAGS);
	OWN(fd) int to = -1;

	if (from < 0 || files_remove_dir(user, n->fresh) < 0 || mkdirat(user, n->fresh, 0700) < 0)
		return -1;
	to = openat(user, n->fresh, DIR_FLAGS);
	if (to < 0 || files_tree_copy(from, to, FILES_KEEP_DEPTH) < 0 || syncfs(to) < 0 ||
	    renameat(user, n->fresh, user, n->kept) < 0)
		return -1;
	return fsync(user);
}

int files_keep(struct files *f, const char *user_id, const char *instance_id, struct err *e)
{
	OWN(fd) int user = files_open_user(f, user_id);
	const struct names n = names_of(instance_id);
	int kept = user < 0 ? -1 : is_there(user, n.kept);

	if (kept == 1 || (kept == 0 && copy(user, instance_id, &n) == 0))
		return 0;
	if (errno == ELOOP)
		return err_set(e, ERR_CONFLICT, "its folders are nested more than %d deep",
		               FILES_KEEP_DEPTH);
	files_err(e, "keeping the instance's files");
	if (user >= 0)
		(void)files_remove_dir(user, n.fresh); /* the room is wanted */
	return -1;
}

int files_move_aside(struct files *f, const char *user_id, const char *instance_id, struct err *e)
{
	OWN(fd) int user = files_open_user(f, user_id);
	const struct names n = names_of(instance_id);
	int kept = user < 0 ? -1 : is_there(user, n.kept);

	if (kept == 0)
		return 0; /* it is back in its place already */
	if (kept < 0)
		return files_err(e, "looking for the files that were kept");
	/* In the same order again after a crash: what is in the place is of the new image until it
	 * has gone beside. */
	if (is_there(user, instance_id) == 1 &&
	    (files_remove_dir(user, n.tried) < 0 ||
	     renameat(user, instance_id, user, n.tried) < 0 || fsync(user) < 0))
		return files_err(e, "moving the new version's files aside");
	return 0;
}

int files_put_back(struct files *f, const char *user_id, const char *instance_id, struct err *e)
{
	OWN(fd) int user = files_open_user(f, user_id);
	const struct names n = names_of(instance_id);
	int kept = user < 0 ? -1 : is_there(user, n.kept);

	if (kept < 0 ||
	    (kept == 1 && (renameat(user, n.kept, user, instance_id) < 0 || fsync(user) < 0)))
		return files_err(e, "putting the files back");
	if (files_remove_dir(user, n.tried) < 0)
		return files_err(e, "removing the new version's files");
	return 0;
}

int files_forget_kept(int user, const char *instance_id)
{
	const struct names n = names_of(instance_id);

	if (files_remove_dir(user, n.kept) < 0 || files_remove_dir(user, n.fresh) < 0)
		return -1;
	return files_remove_dir(user, n.tried);
}

int files_drop_kept(struct files *f, const char *user_id, const char *instance_id, struct err *e)
{
	OWN(fd) int user = files_open_user(f, user_id);

	if (user < 0 && errno == ENOENT)
		return 0;
	return user < 0 || files_forget_kept(user, instance_id) < 0
	               ? files_err(e, "removing the files that were kept")
	               : 0;
}
