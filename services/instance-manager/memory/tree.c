#include "memory/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct walk {
	struct memory_page *page;
	struct arena *arena;
	size_t looks;
	long long bytes;
};

struct names {
	char **list;
	size_t count;
};

static void names_free(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_add(struct names *n, const char *name)
{
	if (n->count % 64 == 0) {
		char **more = realloc(n->list, (n->count + 64) * sizeof(*more));

		if (!more)
			return false;
		n->list = more;
	}
	n->list[n->count] = strdup(name);
	return n->list[n->count] && ++n->count;
}

/* The names in a folder, sorted. fd is taken. */
static int names_read(int fd, struct names *ret, struct err *e)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	bool has_room = true;

	if (!dir) {
		close(fd);
		return files_err(e, "reading a folder of the workspace");
	}
	/* Safe in glibc: the stream is this call's alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (has_room && ret->count < MEMORY_ENTRIES_MAX && (entry = readdir(dir)))
		if (memory_name_fits(entry->d_name, strlen(entry->d_name)))
			has_room = names_add(ret, entry->d_name);
	closedir(dir);
	if (!has_room)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ret->count > 0)
		qsort(ret->list, ret->count, sizeof(*ret->list), by_name);
	return 0;
}

/* 1: the page is done. */
static int add_file(struct walk *w, int dir, const char *name, const char *path, struct err *e)
{
	struct memory_page *page = w->page;
	struct memory_item *item;

	if (page->count == page->limit || w->bytes > MEMORY_BYTES_MAX) {
		page->has_more = true;
		return 1;
	}
	item = &page->items[page->count];
	if (!memory_look(dir, name, &item->info))
		return 0;
	if (item->info.tag[0])
		w->bytes += item->info.size;
	item->path = arena_strdup(w->arena, path);
	if (!item->path)
		return err_set(e, ERR_INTERNAL, "out of memory");
	page->count++;
	snprintf(page->last, sizeof(page->last), "%s", path);
	return 0;
}

static int walk_folder(struct walk *w, int fd, const char *folder, int depth, struct err *e);

/* NOLINTNEXTLINE(misc-no-recursion): at most MEMORY_DEPTH_MAX deep */
static int walk_entry(struct walk *w, int dir, const char *name, const char *path, int depth,
                      struct err *e)
{
	struct memory_page *page = w->page;
	bool is_before = page->after && memory_path_compare(path, page->after) <= 0;
	struct stat st;
	int fd;

	if (is_before && strcmp(path, page->after) != 0 && !memory_path_is_above(path, page->after))
		return 0;
	if (++w->looks > MEMORY_LOOKS_MAX && page->last[0]) {
		page->has_more = true;
		return 1;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* it has gone since */
	if (S_ISREG(st.st_mode))
		return is_before ? 0 : add_file(w, dir, name, path, e);
	if (!S_ISDIR(st.st_mode) || depth + 1 >= MEMORY_DEPTH_MAX)
		return 0;
	fd = openat(dir, name, DIR_FLAGS);
	if (fd < 0)
		return 0; /* gone, or closed to us */
	if (!is_before)
		snprintf(page->last, sizeof(page->last), "%s", path);
	return walk_folder(w, fd, path, depth + 1, e);
}

/* fd is taken. 0, 1: the page is done, or -1. NOLINTNEXTLINE(misc-no-recursion) */
static int walk_folder(struct walk *w, int fd, const char *folder, int depth, struct err *e)
{
	struct names names = { 0 };
	OWN(fd) int dir = openat(fd, ".", DIR_FLAGS);
	int r = names_read(fd, &names, e);

	for (size_t i = 0; dir >= 0 && r == 0 && i < names.count; i++) {
		char path[MEMORY_PATH_MAX + 1];
		int len = snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] ? "/" : "",
		                   names.list[i]);

		if (len <= MEMORY_PATH_MAX)
			r = walk_entry(w, dir, names.list[i], path, depth, e);
	}
	names_free(&names);
	return r;
}

int memory_list(const struct memory_place *p, struct arena *a, struct memory_page *page,
                struct err *e)
{
	struct walk w = { .page = page, .arena = a };
	int fd = openat(p->workspace, ".", DIR_FLAGS);

	page->count = 0;
	page->has_more = false;
	page->last[0] = '\0';
	if (fd < 0)
		return files_err(e, "reading the workspace");
	return walk_folder(&w, fd, "", 0, e) < 0 ? -1 : 0;
}
