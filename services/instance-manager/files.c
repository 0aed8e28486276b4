#include "files.h"

#include "container.h"
#include "files_keep.h"
#include "openclaw_config.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DIR_FLAGS  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NEW_CONFIG OPENCLAW_CONFIG_FILE ".new" /* beside .openclaw, where no container sees it */
#define OURS       (-1)                        /* make_dir: the directory stays this process's */
#define DEPTH_MAX  64   /* directories open at once while a tree is removed */
#define PASSES_MAX 1000 /* over one directory, should someone still write into it */
#define MAKE_TRIES 5    /* while the user's last other instance is being removed */

struct files {
	int fd; /* DATA_DIR */
};

OWN_DEFINE(dir, DIR *, closedir)

/* TAKE() for a descriptor, whose "none" is -1. */
static int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

int files_err(struct err *e, const char *what)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set(e, ERR_UNAVAILABLE, "%s: no space left in DATA_DIR (%m)", what);
	return err_set(e, ERR_INTERNAL, "%s: %m", what);
}

/* An own descriptor, or -1 with errno. uid OURS, or the directory's owner and mode are set; those
 * of one that a crash left half made as well. */
static int make_dir(int parent, const char *name, int uid)
{
	OWN(fd) int fd = -1;
	struct stat st;
	bool is_new = mkdirat(parent, name, 0700) == 0;

	if (!is_new && errno != EEXIST)
		return -1;
	fd = openat(parent, name, DIR_FLAGS);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (uid != OURS && (st.st_uid != (uid_t)uid || st.st_gid != (gid_t)uid) &&
	    fchown(fd, (uid_t)uid, (gid_t)uid) < 0)
		return -1;
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
		return -1;
	if (is_new && fsync(parent) < 0)
		return -1;
	return take_fd(&fd);
}

int files_make_dir(int parent, const char *name)
{
	return make_dir(parent, name, CONTAINER_UID);
}

/* Can a directory here be given to the container's user? What a crash leaves is no id: harmless. */
static int try_owner(int fd, struct err *e)
{
	char name[48];
	int r;

	snprintf(name, sizeof(name), ".try-%d", (int)getpid());
	(void)unlinkat(fd, name, AT_REMOVEDIR);
	if (mkdirat(fd, name, 0700) < 0)
		return err_field(e, "DATA_DIR", "nothing can be made in it: %m");
	r = fchownat(fd, name, CONTAINER_UID, CONTAINER_UID, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		err_field(
			e, "DATA_DIR",
			"what is in it cannot be given to user %d, as whom OpenClaw runs: run this "
			"as root or as that user (%m)",
			CONTAINER_UID);
	(void)unlinkat(fd, name, AT_REMOVEDIR);
	return r;
}

int files_open(const char *data_dir, struct files **ret, struct err *e)
{
	struct files *f;
	OWN(fd) int fd = -1;

	if (data_dir[0] != '/')
		return err_field(e, "DATA_DIR", "must be an absolute path");
	if (mkdir(data_dir, 0700) < 0 && errno != EEXIST)
		return err_field(e, "DATA_DIR", "cannot be made: %m");
	fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_field(e, "DATA_DIR", "cannot be opened: %m");
	if (try_owner(fd, e) < 0)
		return -1;
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, ERR_INTERNAL, "out of memory");
	f->fd = take_fd(&fd);
	*ret = f;
	return 0;
}

void files_close(struct files *f)
{
	if (!f)
		return;
	close(f->fd);
	free(f);
}

int files_open_user(struct files *f, const char *user_id)
{
	assert(uuid_is_valid(user_id));
	return openat(f->fd, user_id, DIR_FLAGS);
}

/* The instance's own directory; -1 with errno, ENOENT where it is not there. */
static int open_instance(struct files *f, const char *user_id, const char *instance_id)
{
	OWN(fd) int user = -1;

	assert(uuid_is_valid(user_id) && uuid_is_valid(instance_id));
	user = openat(f->fd, user_id, DIR_FLAGS);
	return user < 0 ? -1 : openat(user, instance_id, DIR_FLAGS);
}

static int make_all(struct files *f, const char *user_id, const char *instance_id)
{
	OWN(fd) int user = -1;
	OWN(fd) int instance = -1;
	OWN(fd) int state = -1;
	OWN(fd) int workspace = -1;

	user = make_dir(f->fd, user_id, OURS);
	if (user < 0)
		return -1;
	instance = make_dir(user, instance_id, OURS);
	if (instance < 0)
		return -1;
	state = make_dir(instance, CONTAINER_STATE_DIR, CONTAINER_UID);
	if (state < 0)
		return -1;
	workspace = make_dir(instance, CONTAINER_WORKSPACE_DIR, CONTAINER_UID);
	return workspace < 0 ? -1 : 0;
}

int files_make(struct files *f, const char *user_id, const char *instance_id, struct err *e)
{
	assert(uuid_is_valid(user_id) && uuid_is_valid(instance_id));

	/* ENOENT: files_delete() took the user's directory away in between. */
	for (int i = 0; i < MAKE_TRIES; i++) {
		if (make_all(f, user_id, instance_id) == 0)
			return 0;
		if (errno != ENOENT)
			break;
	}
	return files_err(e, "making the instance's directories");
}

int files_exists(struct files *f, const char *user_id, const char *instance_id, bool *ret,
                 struct err *e)
{
	OWN(fd) int fd = open_instance(f, user_id, instance_id);

	if (fd < 0 && errno != ENOENT)
		return files_err(e, "looking for the instance's directory");
	*ret = fd >= 0;
	return 0;
}

int files_open_workspace(struct files *f, const char *user_id, const char *instance_id,
                         int *ret_instance, int *ret_workspace, struct err *e)
{
	OWN(fd) int instance = open_instance(f, user_id, instance_id);
	OWN(fd) int workspace = -1;

	if (instance >= 0)
		workspace = openat(instance, CONTAINER_WORKSPACE_DIR, DIR_FLAGS);
	if (workspace < 0)
		return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "it has no files yet")
		                       : files_err(e, "opening the workspace");
	*ret_instance = take_fd(&instance);
	*ret_workspace = take_fd(&workspace);
	return 0;
}

/* Is this very text there, as a plain file of the right owner? In doubt: no. */
static bool has_text(int state, const char *text, size_t len)
{
	OWN(fd)
	int fd =
		openat(state, OPENCLAW_CONFIG_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	OWN(mem) char *there = NULL;
	struct stat st;
	bool is_same;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != CONTAINER_UID ||
	    st.st_gid != CONTAINER_UID || (st.st_mode & 07777) != 0600 || st.st_nlink != 1 ||
	    (unsigned long long)st.st_size != len)
		return false;
	there = malloc(len + 1);
	if (!there)
		return false;
	is_same = read(fd, there, len) == (ssize_t)len && memcmp(there, text, len) == 0;
	explicit_bzero(there, len);
	return is_same;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int files_put_new(int dir, const char *name, const char *text, size_t len, mode_t mode)
{
	OWN(fd) int fd = -1;

	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, text, len) < 0 ||
	    fchown(fd, CONTAINER_UID, CONTAINER_UID) < 0 || fchmod(fd, mode) < 0)
		return -1;
	return fsync(fd);
}

static int remove_entry(int root, int dir, const char *name, int depth);

/* The new file is complete and on the disk, beside .openclaw, before it takes the old one's place: a
 * crash before the rename leaves the old file, and the new one for the next call to begin anew. */
static int replace_config(int instance, int state, const char *text, size_t len)
{
	if (files_put_new(instance, NEW_CONFIG, text, len, 0600) < 0)
		return -1;
	if (renameat(instance, NEW_CONFIG, state, OPENCLAW_CONFIG_FILE) < 0) {
		/* The assistant has put a directory there. */
		if (errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST)
			return -1;
		if (remove_entry(instance, state, OPENCLAW_CONFIG_FILE, 0) < 0 ||
		    renameat(instance, NEW_CONFIG, state, OPENCLAW_CONFIG_FILE) < 0)
			return -1;
	}
	return fsync(state);
}

int files_write_config(struct files *f, const char *user_id, const char *instance_id,
                       const char *text, bool *ret_changed, struct err *e)
{
	OWN(fd) int instance = -1;
	OWN(fd) int state = -1;
	size_t len = strlen(text);
	bool is_changed;

	if (len > FILES_CONFIG_MAX)
		return err_set(e, ERR_INTERNAL, "a config of more than %d bytes", FILES_CONFIG_MAX);
	instance = open_instance(f, user_id, instance_id);
	if (instance >= 0)
		state = openat(instance, CONTAINER_STATE_DIR, DIR_FLAGS);
	if (state < 0)
		return files_err(e, "opening the instance's directory");

	is_changed = !has_text(state, text, len);
	if (is_changed && replace_config(instance, state, text, len) < 0) {
		files_err(e, "writing the config");
		(void)unlinkat(instance, NEW_CONFIG, 0);
		return -1;
	}
	if (ret_changed)
		*ret_changed = is_changed;
	return 0;
}

/* A directory of the assistant's, whose mode may keep even its owner out. -1 with errno. */
static int open_any(int dir, const char *name)
{
	OWN(fd) int path = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char link[40];
	struct stat st;

	if (path < 0 || fstat(path, &st) < 0)
		return -1;
	if ((st.st_mode & 0700) != 0700) {
		/* There is no fchmod() on O_PATH; this names the same directory, not a link. */
		snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
		(void)chmod(link, 0700); /* if it matters, opening says so */
	}
	return openat(path, ".", DIR_FLAGS);
}

/* The next name but "." and ".."; NULL at the end. */
static const char *next_name(DIR *dir)
{
	const struct dirent *entry;

	/* Safe in glibc: the stream is this call's alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return entry->d_name;
	return NULL;
}

/* Removes what is in the directory. fd is taken. */
static int remove_inside(int root, int fd, int depth)
{
	OWN(dir) DIR *dir = fdopendir(fd);
	const char *name;
	size_t found;
	int passes = 0;

	if (!dir) {
		close(fd);
		return -1;
	}
	do {
		found = 0;
		rewinddir(dir);
		while ((name = next_name(dir))) {
			found++;
			if (remove_entry(root, dirfd(dir), name, depth + 1) < 0)
				return -1;
		}
		if (++passes > PASSES_MAX) {
			errno = EBUSY;
			return -1;
		}
	} while (found > 0);
	return 0;
}

/*
 * Removes one entry and all below it, never following a link. What lies too deep to hold every
 * directory on the way open is moved up into root, where a later pass finds it: as a tree of any
 * depth is removed with DEPTH_MAX descriptors.
 */
static int remove_entry(int root, int dir, const char *name, int depth)
{
	char moved[40] = ".deep-";
	int fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth >= DEPTH_MAX) {
		random_hex(8, moved + strlen(moved));
		return renameat(dir, name, root, moved) < 0 && errno != ENOENT ? -1 : 0;
	}
	fd = open_any(dir, name);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (remove_inside(root, fd, depth) < 0)
		return -1;
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -1 : 0;
}

/* A crash in the middle leaves a part of it, for the next call to remove. */
int files_remove_dir(int parent, const char *name)
{
	int root = openat(parent, name, DIR_FLAGS), again;
	int r;

	if (root < 0)
		return errno == ENOENT ? 0 : -1;
	again = openat(root, ".", DIR_FLAGS); /* remove_inside() takes its own */
	r = again < 0 ? -1 : remove_inside(root, again, 0);
	close(root);
	if (r < 0)
		return -1;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -1 : 0;
}

int files_delete(struct files *f, const char *user_id, const char *instance_id, struct err *e)
{
	OWN(fd) int user = -1;

	assert(uuid_is_valid(user_id) && uuid_is_valid(instance_id));
	user = openat(f->fd, user_id, DIR_FLAGS);
	if (user < 0)
		return errno == ENOENT ? 0 : files_err(e, "opening the user's directory");
	if (files_remove_dir(user, instance_id) < 0 || files_forget_kept(user, instance_id) < 0)
		return files_err(e, "removing the instance's directory");

	/* The user's own with the last instance. */
	if (unlinkat(f->fd, user_id, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST &&
	    errno != ENOENT)
		return files_err(e, "removing the user's directory");
	if (fsync(user) < 0 || fsync(f->fd) < 0)
		return files_err(e, "removing the instance's directory");
	return 0;
}

/* 1: go on; 0: on_instance has had enough; -1: errno. */
static int each_of_user(int data, const char *user_id, files_on_instance *on_instance, void *ctx)
{
	int fd = openat(data, user_id, DIR_FLAGS);
	OWN(dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const char *name;

	if (!dir) {
		int reason = errno;

		if (fd >= 0)
			close(fd);
		errno = reason;
		return reason == ENOENT || reason == ENOTDIR || reason == ELOOP ? 1 : -1;
	}
	while ((name = next_name(dir)))
		if (uuid_is_valid(name) && !on_instance(user_id, name, ctx))
			return 0;
	return 1;
}

int files_each(struct files *f, files_on_instance *on_instance, void *ctx, struct err *e)
{
	int fd = openat(f->fd, ".", DIR_FLAGS);
	OWN(dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const char *name;
	int r = 1;

	if (!dir) {
		files_err(e, "listing DATA_DIR");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r > 0 && (name = next_name(dir)))
		if (uuid_is_valid(name))
			r = each_of_user(f->fd, name, on_instance, ctx);
	return r < 0 ? files_err(e, "listing a user's directory") : 0;
}
