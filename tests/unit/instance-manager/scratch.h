#ifndef SCRATCH_H
#define SCRATCH_H

#include "files.h"

#include "test.h"

#include <ftw.h>

/* A data folder, gone after its test, and who is in it. */
#define USER "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define ID   "11111111-2222-4333-8444-555555555555"
#define UID  1000

struct scratch {
	char dir[64];
	struct files *files;
};

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int scratch_open(struct scratch *s)
{
	struct err e = ERR_INIT;

	snprintf(s->dir, sizeof(s->dir), "/tmp/test-files-XXXXXX");
	return mkdtemp(s->dir) ? files_open(s->dir, &s->files, &e) : -1;
}

static inline void scratch_close(struct scratch *s)
{
	files_close(s->files);
	nftw(s->dir, scratch_remove, 64, FTW_DEPTH | FTW_PHYS);
}

#endif
