#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include "files.h"
#include "memory/path.h"

#include <stdint.h>

/*
 * One file of an assistant's workspace, the same whether its container runs or not. What lies in
 * the workspace is the assistant's to make (files.h): every folder on the way is opened by itself
 * and no link is followed, so that no path leads out of it.
 *
 * A file's tag is a digest of what is in it. Who writes may say which one they have seen: a file
 * that has another by then, whoever wrote it, the assistant too, is left as it is and the answer is
 * ERR_CONFLICT. Writers of one instance wait for each other, over processes, by a lock (flock) on
 * its directory.
 *
 * Any thread. Paths have passed memory_path_check().
 */
#define MEMORY_FILE_MAX (1024 * 1024) /* bytes of a file that is read or written */
#define MEMORY_TAG_SIZE 65            /* 64 hexadecimal digits and the zero */
#define MEMORY_ANY      "*"           /* if_match: any, but there must be one */

struct memory_info {
	long long size; /* bytes */
	long long modified_ms;
	char tag[MEMORY_TAG_SIZE]; /* "": it is longer than MEMORY_FILE_MAX */
};

/* An instance's open directories. */
struct memory_place {
	int instance; /* what no container sees */
	int workspace;
};

#define MEMORY_PLACE_INIT ((struct memory_place){ -1, -1 })

/* ERR_NOT_FOUND: it has no files yet, having never been started. */
int memory_place_open(struct files *f, const char *user_id, const char *instance_id,
                      struct memory_place *ret, struct err *e);
/* For writing: makes what is missing, and waits for other writers. ERR_UNAVAILABLE: for too long. */
int memory_place_lock(struct files *f, const char *user_id, const char *instance_id,
                      struct memory_place *ret, struct err *e);
void memory_place_done(struct memory_place *p); /* gives the lock back */

/* What a file holds, in *ret (free()) with a zero behind it; its length is in *ret_info.
 * ERR_NOT_FOUND: it is not there, or no plain file. ERR_TOO_LARGE. */
int memory_read(const struct memory_place *p, const char *path, char **ret,
                struct memory_info *ret_info, struct err *e);

/* The same of an entry of an open folder, without its content; one that cannot be read has no tag.
 * false: it is no plain file. */
bool memory_look(int dir, const char *name, struct memory_info *ret);

struct memory_put {
	const char *data;
	size_t len;           /* at most MEMORY_FILE_MAX */
	const char *if_match; /* NULL: whatever is there */
	bool is_new;          /* nothing may be there */
};

/* Whole or not at all, and on the disk when it returns; a crash leaves the old file or the new.
 * Folders on the way are made. ERR_CONFLICT; ERR_INVALID: field path, which goes through a file or
 * names a folder. */
int memory_write(const struct memory_place *p, const char *path, const struct memory_put *put,
                 struct memory_info *ret, struct err *e);

/* if_match NULL: whatever is there. ERR_NOT_FOUND, ERR_CONFLICT. */
int memory_remove(const struct memory_place *p, const char *path, const char *if_match,
                  struct err *e);

static inline void own_memory_place(struct memory_place *p)
{
	memory_place_done(p);
}

#endif
