#ifndef MEMORY_TREE_H
#define MEMORY_TREE_H

#include "memory/file.h"

#include "base/arena.h"

/*
 * The files of a workspace in the order of memory_path_compare(), a page at a time. A page ends
 * when it is full, or early when it has cost enough: the workspace may hold anything. What has no
 * name that memory_path_check() would take, and what is no plain file, is passed over.
 */
#define MEMORY_PAGE_MAX    100
#define MEMORY_LOOKS_MAX   20000              /* entries looked at for one page */
#define MEMORY_BYTES_MAX   (16 * 1024 * 1024) /* read for one page's tags */
#define MEMORY_ENTRIES_MAX 10000              /* of one folder; what is beyond is not shown */

struct memory_item {
	const char *path; /* in the arena */
	struct memory_info info;
};

struct memory_page {
	const char *after; /* NULL: from the start */
	size_t limit;      /* at most MEMORY_PAGE_MAX */
	struct memory_item items[MEMORY_PAGE_MAX];
	size_t count;
	bool has_more;
	char last[MEMORY_PATH_MAX + 1]; /* the next page is after it */
};

int memory_list(const struct memory_place *p, struct arena *a, struct memory_page *page,
                struct err *e);

#endif
