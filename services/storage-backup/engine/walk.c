#include "engine/walk.h"

#include "format/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define DIR_OPEN (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static const char *const roots[] = { ".openclaw", "workspace" };
static const char *const left_out[] = { ".openclaw/cache" };

struct walker {
	const struct walk_to *to;
	size_t name_bytes; /* held by the directories above */
	char path[ENGINE_PATH_MAX + 2];
};

/* All names of a directory, sorted: offsets into one block. */
struct names {
	char *block;
	size_t used, size;
	char **list;
	size_t count, list_size;
};

static void names_done(struct names *n)
{
	free(n->block);
	free(n->list);
}

static int names_add(struct names *n, const char *name, struct err *e)
{
	size_t len = strlen(name) + 1;

	if (n->used + len > n->size) {
		size_t size = 2 * n->size + 4096;
		char *block = realloc(n->block, size);

		if (!block)
			return err_set(e, ERR_INTERNAL, "out of memory");
		n->block = block;
		n->size = size;
	}
	memcpy(n->block + n->used, name, len);
	n->used += len;
	n->count++;
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_sort(struct names *n, struct err *e)
{
	size_t at = 0;

	n->list = mem_array(n->count + 1, sizeof(*n->list));
	if (!n->list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < n->count; i++) {
		n->list[i] = n->block + at;
		at += strlen(n->block + at) + 1;
	}
	qsort(n->list, n->count, sizeof(*n->list), by_bytes);
	return 0;
}

static int names_read(const struct walker *w, int at, struct names *n, struct err *e)
{
	int fd = openat(at, ".", DIR_OPEN);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (fd < 0 && errno == ENOENT)
		return names_sort(n, e); /* removed since it was opened: nothing is in it */
	if (!list) {
		if (fd >= 0)
			close(fd);
		return file_error(e, w->path);
	}
	errno = 0;
	/* Safe in glibc: the stream is ours alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (r == 0 && (entry = readdir(list))) {
		const char *name = entry->d_name;

		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			continue;
		r = names_add(n, name, e);
		if (w->name_bytes + n->used + n->count * sizeof(char *) > ENGINE_DIR_NAMES_MAX)
			r = err_set(e, ERR_TOO_LARGE, "too many names in %.100s", w->path);
		errno = 0;
	}
	if (r == 0 && errno)
		r = file_error(e, w->path);
	closedir(list);
	return r < 0 ? -1 : names_sort(n, e);
}

static bool is_left_out(const char *path)
{
	for (size_t i = 0; i < COUNT(left_out); i++)
		if (strcmp(path, left_out[i]) == 0)
			return true;
	return false;
}

static int vanished(const struct walker *w, struct err *e)
{
	return w->to->on_vanished ? w->to->on_vanished(w->to->ctx, w->path, e) : 0;
}

static int children(struct walker *w, int fd, size_t len, int depth, struct err *e);

/* One name of a directory; len: of the path with it. */
static int visit(struct walker *w, int parent, size_t len, size_t name_len, int depth,
                 struct err *e)
{
	struct walk_item item = {
		.path = w->path, .path_len = len, .parent = parent, .name = w->path + len - name_len
	};
	OWN(fd) int fd = -1;

	if (is_left_out(w->path))
		return 0;
	if (fstatat(parent, item.name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? vanished(w, e) : file_error(e, w->path);
	if (!S_ISDIR(item.st.st_mode))
		return w->to->on_item(w->to->ctx, &item, e);

	fd = openat(parent, item.name, DIR_OPEN);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return vanished(w, e);
	if (fd < 0 || fstat(fd, &item.st) < 0)
		return file_error(e, w->path);
	if (w->to->on_item(w->to->ctx, &item, e) < 0)
		return -1;
	return children(w, fd, len, depth + 1, e);
}

static int children(struct walker *w, int fd, size_t len, int depth, struct err *e)
{
	struct names n = { 0 };
	int r = depth > WALK_DEPTH_MAX
	                ? err_set(e, ERR_TOO_LARGE, "deeper than %d directories: %.80s",
	                          WALK_DEPTH_MAX, w->path)
	                : names_read(w, fd, &n, e);
	size_t held = n.used + n.count * sizeof(char *);

	w->name_bytes += held;
	for (size_t i = 0; r == 0 && i < n.count; i++) {
		size_t name_len = strlen(n.list[i]);

		if (len + 1 + name_len > ENGINE_PATH_MAX) {
			r = err_set(e, ERR_TOO_LARGE, "a path longer than %d bytes below %.80s",
			            ENGINE_PATH_MAX, w->path);
			break;
		}
		w->path[len] = '/';
		memcpy(w->path + len + 1, n.list[i], name_len + 1);
		r = visit(w, fd, len + 1 + name_len, name_len, depth, e);
		w->path[len] = 0;
	}
	w->name_bytes -= held;
	names_done(&n);
	return r;
}

int walk(const char *dir, const struct walk_to *to, struct err *e)
{
	OWN(fd) int root = open(dir, DIR_OPEN);
	OWN(mem) struct walker *w = mem_new(sizeof(*w));

	if (root < 0)
		return file_error(e, "the instance's directory");
	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	w->to = to;
	for (size_t i = 0; i < COUNT(roots); i++) {
		size_t len = strlen(roots[i]);
		struct stat st;

		memcpy(w->path, roots[i], len + 1);
		if (fstatat(root, roots[i], &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			continue; /* not there yet: nothing has vanished */
		if (visit(w, root, len, len, 0, e) < 0)
			return -1;
	}
	return 0;
}

int walk_parent(int root, const char *path, const char **ret_name, struct err *e)
{
	int at = openat(root, ".", DIR_OPEN);
	const char *slash;

	while (at >= 0 && (slash = strchr(path, '/'))) {
		OWN(mem) char *part = mem_text("%.*s", (int)(slash - path), path);
		int next = part ? openat(at, part, DIR_OPEN) : -1;

		close(at);
		at = next;
		path = slash + 1;
	}
	if (at < 0)
		return file_error(e, path);
	*ret_name = path;
	return at;
}
