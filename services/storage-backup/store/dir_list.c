#include "store/dir.h"

#include "store/key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DEPTH_MAX KEY_PARTS_MAX

struct listing {
	const char *prefix;
	size_t prefix_len;
	const struct storage_list_to *to;
	bool is_done;
	char key[STORAGE_KEY_MAX + 2];
};

struct names {
	char **names; /* directories end in '/', which sorts them among keys as S3 does */
	size_t count, size;
};

static void names_done(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int names_add(struct names *n, const char *name, bool is_dir, struct err *e)
{
	if (n->count == n->size) {
		size_t size = n->size ? 2 * n->size : 64;
		char **more = realloc(n->names, size * sizeof(*more));

		if (!more)
			return err_set(e, ERR_INTERNAL, "out of memory");
		n->names = more;
		n->size = size;
	}
	if (asprintf(&n->names[n->count], "%s%s", name, is_dir ? "/" : "") < 0)
		return err_set(e, ERR_INTERNAL, "out of memory");
	n->count++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files and directories of fd, which it takes. */
static int names_read(int fd, struct names *n, struct err *e)
{
	DIR *list = fdopendir(fd);
	const struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!list) {
		close(fd);
		return dir_error(e, "a directory");
	}
	/* Safe in glibc: the stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (r == 0 && (entry = readdir(list))) {
		if (entry->d_name[0] == '.' &&
		    (!entry->d_name[1] || strcmp(entry->d_name, "..") == 0))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* deleted meanwhile */
		if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
			r = names_add(n, entry->d_name, S_ISDIR(st.st_mode), e);
	}
	closedir(list);
	if (n->count)
		qsort(n->names, n->count, sizeof(*n->names), by_name);
	return r;
}

/* Could a key that begins with l->key, len bytes, begin with the prefix? */
static bool may_match(const struct listing *l, size_t len)
{
	return strncmp(l->key, l->prefix, len < l->prefix_len ? len : l->prefix_len) == 0;
}

static int walk(struct listing *l, int at, size_t len, int depth, struct err *e);

static int visit(struct listing *l, int at, size_t len, const char *name, int depth, struct err *e)
{
	size_t name_len = strlen(name);
	bool is_dir = name[name_len - 1] == '/';
	struct stat st;
	int fd;

	if (len + name_len > STORAGE_KEY_MAX)
		return 0; /* none of ours */
	memcpy(l->key + len, name, name_len + 1);
	if (!may_match(l, len + name_len))
		return 0;
	if (!is_dir) {
		if (len + name_len < l->prefix_len ||
		    fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		l->is_done = !l->to->on_object(l->to->ctx,
		                               &(struct storage_object){ l->key, st.st_size });
		return 0;
	}
	if (len + name_len > l->prefix_len && l->to->on_dir) {
		l->is_done = !l->to->on_dir(l->to->ctx, l->key);
		return 0;
	}
	l->key[len + name_len - 1] = 0;
	fd = openat(at, l->key + len, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	l->key[len + name_len - 1] = '/';
	if (fd < 0)
		return errno == ENOENT ? 0 : dir_error(e, l->key);
	return walk(l, fd, len + name_len, depth + 1, e);
}

/* Takes the descriptor at. */
static int walk(struct listing *l, int at, size_t len, int depth, struct err *e)
{
	OWN(fd) int here = dup(at);
	struct names n = { 0 };
	int r = names_read(at, &n, e);

	if (here < 0)
		r = dir_error(e, "a directory");
	if (depth > DEPTH_MAX)
		r = err_set(e, ERR_UPSTREAM, "the store's directories lie too deep");
	for (size_t i = 0; r == 0 && !l->is_done && i < n.count; i++)
		if (len || strcmp(n.names[i], DIR_TMP "/") != 0)
			r = visit(l, here, len, n.names[i], depth, e);
	names_done(&n);
	return r;
}

int dir_list(void *impl, const char *prefix, const struct storage_list_to *to, struct err *e)
{
	struct dir *d = impl;
	struct listing l = { .prefix = prefix, .prefix_len = strlen(prefix), .to = to };
	int root = openat(d->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return dir_error(e, "the directory");
	return walk(&l, root, 0, 0, e);
}
