#ifndef WALK_H
#define WALK_H

#include "engine/internal.h"

/*
 * All that a backup of a directory holds, in the order of its entries: .openclaw and workspace with
 * what is below them, but for what can be made again (.openclaw/cache). Opened part by part, no
 * link followed: whoever writes there cannot lead us elsewhere.
 */
#define WALK_DEPTH_MAX 256

struct walk_item {
	const char *path; /* below the directory */
	size_t path_len;
	int parent; /* open */
	const char *name;
	struct stat st;
};

struct walk_to {
	int (*on_item)(void *ctx, const struct walk_item *item, struct err *e);
	/* Was there when its directory was read. May be NULL. */
	int (*on_vanished)(void *ctx, const char *path, struct err *e);
	void *ctx;
};

/* ERR_NOT_FOUND: dir is not there. */
int walk(const char *dir, const struct walk_to *to, struct err *e);

/* The directory that holds the path, opened part by part; *ret_name: its last part, in path. */
int walk_parent(int root, const char *path, const char **ret_name, struct err *e);

#endif
