#include "memory/file.h"

#include "container.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DIR_FLAGS    (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS   (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define ASIDE        "memory.aside" /* beside the workspace: the new file on its way in, the old out */
#define LOCK_MS      2000
#define LOCK_STEP_MS 10

int memory_place_open(struct files *f, const char *user_id, const char *instance_id,
                      struct memory_place *ret, struct err *e)
{
	return files_open_workspace(f, user_id, instance_id, &ret->instance, &ret->workspace, e);
}

int memory_place_lock(struct files *f, const char *user_id, const char *instance_id,
                      struct memory_place *ret, struct err *e)
{
	long long until_ms = clock_mono_ms() + LOCK_MS;

	if (files_make(f, user_id, instance_id, e) < 0 ||
	    memory_place_open(f, user_id, instance_id, ret, e) < 0)
		return -1;
	while (flock(ret->instance, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return files_err(e, "locking the instance's directory");
		if (clock_mono_ms() > until_ms)
			return err_set(e, ERR_UNAVAILABLE, "its files are being written by others");
		clock_sleep_ms(LOCK_STEP_MS);
	}
	return 0;
}

void memory_place_done(struct memory_place *p)
{
	if (p->workspace >= 0)
		close(p->workspace);
	if (p->instance >= 0)
		close(p->instance);
	*p = MEMORY_PLACE_INIT;
}

/* The folder that a path's file is in, opened part by part, and the file's name. -1 with errno. */
static int open_folder(int workspace, const char *path, bool is_made, const char **ret_name)
{
	int dir = openat(workspace, ".", DIR_FLAGS);
	char part[256];

	while (dir >= 0 && strchr(path, '/')) {
		size_t len = strcspn(path, "/");
		int parent = dir;

		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		dir = is_made ? files_make_dir(parent, part) : openat(parent, part, DIR_FLAGS);
		{
			int reason = errno;

			close(parent);
			errno = reason;
		}
		path += len + 1;
	}
	*ret_name = path;
	return dir;
}

static int tag_of(const char *data, size_t len, char ret[MEMORY_TAG_SIZE])
{
	unsigned char hash[32];

	crypto_generichash(hash, sizeof(hash), (const unsigned char *)data, len, NULL, 0);
	sodium_bin2hex(ret, MEMORY_TAG_SIZE, hash, sizeof(hash));
	return 0;
}

static void info_of(const struct stat *st, struct memory_info *ret)
{
	*ret = (struct memory_info){
		.size = st->st_size,
		.modified_ms = st->st_mtim.tv_sec * 1000LL + st->st_mtim.tv_nsec / 1000000,
	};
}

/* All that is in a plain file. 0, or -1 with errno: EFBIG where it is too long, EISDIR or EINVAL
 * where it is no plain file. */
static int read_all(int dir, const char *name, char **ret, struct memory_info *ret_info)
{
	OWN(fd) int fd = openat(dir, name, FILE_FLAGS);
	OWN(mem) char *data = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	info_of(&st, ret_info);
	errno = S_ISDIR(st.st_mode) ? EISDIR : S_ISREG(st.st_mode) ? EFBIG : EINVAL;
	if (!S_ISREG(st.st_mode) || st.st_size > MEMORY_FILE_MAX)
		return -1;
	data = malloc(MEMORY_FILE_MAX + 2);
	if (!data)
		return -1;
	/* It may grow while it is read. */
	while (n > 0 && len <= MEMORY_FILE_MAX) {
		n = read(fd, data + len, MEMORY_FILE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (n > 0)
		errno = EFBIG;
	if (n != 0)
		return -1;
	data[len] = '\0';
	ret_info->size = (long long)len;
	tag_of(data, len, ret_info->tag);
	*ret = TAKE(data);
	return 0;
}

bool memory_look(int dir, const char *name, struct memory_info *ret)
{
	OWN(mem) char *data = NULL;
	struct stat st;

	if (read_all(dir, name, &data, ret) == 0)
		return true;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	info_of(&st, ret);
	return true;
}

static int not_found(struct err *e, const char *path)
{
	return err_set(e, ERR_NOT_FOUND, "there is no file '%.100s'", path);
}

/* Why a file cannot be had, by errno. */
static int cannot_read(struct err *e, const char *path)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EISDIR:
	case EINVAL:
	case ENXIO:
	case ENAMETOOLONG:
		return not_found(e, path);
	case EFBIG:
		return err_set(e, ERR_TOO_LARGE, "the file is longer than %d bytes",
		               MEMORY_FILE_MAX);
	case EACCES:
		return err_set(e, ERR_CONFLICT, "the assistant has closed this file to others");
	default:
		return files_err(e, "reading a workspace file");
	}
}

int memory_read(const struct memory_place *p, const char *path, char **ret,
                struct memory_info *ret_info, struct err *e)
{
	const char *name;
	OWN(fd) int dir = open_folder(p->workspace, path, false, &name);

	if (dir < 0 || read_all(dir, name, ret, ret_info) < 0)
		return cannot_read(e, path);
	return 0;
}

static int changed(struct err *e)
{
	return err_set(e, ERR_CONFLICT,
	               "the file is not as it was when it was read: read it again");
}

static bool tag_fits(int dir, const char *name, const char *if_match)
{
	OWN(mem) char *data = NULL;
	struct memory_info info;

	return read_all(dir, name, &data, &info) == 0 &&
	       (strcmp(if_match, MEMORY_ANY) == 0 || strcmp(if_match, info.tag) == 0);
}

/* What is there now, seen without opening it. ret_mode: of the file that takes its place. */
static int check_old(int dir, const char *name, const struct memory_put *put, mode_t *ret_mode,
                     struct err *e)
{
	struct stat st;

	*ret_mode = 0644;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return files_err(e, "looking at a workspace file");
		return put->if_match ? changed(e) : 0;
	}
	if (put->is_new)
		return err_set(e, ERR_CONFLICT, "there is a file of this name");
	if (!S_ISREG(st.st_mode))
		return err_field(e, "path", "names what is no plain file");
	*ret_mode = st.st_mode & 0777;
	return put->if_match && !tag_fits(dir, name, put->if_match) ? changed(e) : 0;
}

/* The assistant may have written since: what comes out of the exchange is what counts. A crash
 * between the two leaves the new file in its place and the old one aside. */
static int exchange(const struct memory_place *p, int dir, const char *name, const char *if_match)
{
	if (renameat2(p->instance, ASIDE, dir, name, RENAME_EXCHANGE) < 0)
		/* Not every file system can. */
		return errno == EINVAL ? renameat(p->instance, ASIDE, dir, name) : -1;
	if (tag_fits(p->instance, ASIDE, if_match))
		return 0;
	(void)renameat2(p->instance, ASIDE, dir, name, RENAME_EXCHANGE);
	errno = ESTALE;
	return -1;
}

static int put_in_place(const struct memory_place *p, int dir, const char *name,
                        const struct memory_put *put)
{
	int r;

	if (put->if_match)
		return exchange(p, dir, name, put->if_match);
	if (!put->is_new)
		return renameat(p->instance, ASIDE, dir, name);
	r = renameat2(p->instance, ASIDE, dir, name, RENAME_NOREPLACE);
	return r < 0 && errno == EINVAL ? renameat(p->instance, ASIDE, dir, name) : r;
}

static int cannot_write(struct err *e)
{
	switch (errno) {
	case ESTALE:
	case EEXIST:
	case ENOENT:
		return changed(e);
	case EISDIR:
	case ENOTEMPTY:
		return err_field(e, "path", "names a folder");
	default:
		return files_err(e, "writing a workspace file");
	}
}

int memory_write(const struct memory_place *p, const char *path, const struct memory_put *put,
                 struct memory_info *ret, struct err *e)
{
	const char *name;
	OWN(fd) int dir = open_folder(p->workspace, path, true, &name);
	struct stat st;
	mode_t mode;
	int r;

	if (dir < 0)
		return errno == ENOTDIR || errno == ELOOP
		               ? err_field(e, "path", "goes through what is no folder")
		               : files_err(e, "making folders in the workspace");
	if (check_old(dir, name, put, &mode, e) < 0)
		return -1;
	r = files_put_new(p->instance, ASIDE, put->data, put->len, mode);
	/* A crash here: what is aside is begun anew by the next. */
	fault_point("memory.written");
	if (r == 0)
		r = put_in_place(p, dir, name, put);
	if (r < 0)
		cannot_write(e);
	else
		fault_point("memory.placed");
	(void)unlinkat(p->instance, ASIDE, 0);
	if (r < 0)
		return -1;
	if (fsync(dir) < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return files_err(e, "writing a workspace file");
	info_of(&st, ret);
	ret->size = (long long)put->len;
	tag_of(put->data, put->len, ret->tag);
	return 0;
}

/* It is put aside first: whether it is the one that was meant is judged where nobody else writes. */
static int take_out(const struct memory_place *p, int dir, const char *name, const char *if_match)
{
	if (renameat(dir, name, p->instance, ASIDE) < 0)
		return -1;
	if (tag_fits(p->instance, ASIDE, if_match))
		return unlinkat(p->instance, ASIDE, 0);
	(void)renameat2(p->instance, ASIDE, dir, name, RENAME_NOREPLACE);
	errno = ESTALE;
	return -1;
}

int memory_remove(const struct memory_place *p, const char *path, const char *if_match,
                  struct err *e)
{
	const char *name;
	OWN(fd) int dir = open_folder(p->workspace, path, false, &name);
	struct stat st;
	int r;

	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cannot_read(e, path);
	if (!S_ISREG(st.st_mode))
		return not_found(e, path);
	if (if_match && !tag_fits(dir, name, if_match))
		return changed(e);
	r = if_match ? take_out(p, dir, name, if_match) : unlinkat(dir, name, 0);
	if (r < 0)
		return errno == ESTALE ? changed(e) : cannot_read(e, path);
	return fsync(dir) < 0 ? files_err(e, "removing a workspace file") : 0;
}
