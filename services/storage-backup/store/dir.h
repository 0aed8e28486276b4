#ifndef DIR_H
#define DIR_H

#include "store/storage_internal.h"

/*
 * A store in a directory: the key is the path below it. An object is written beside, synced, and
 * renamed to its name, then its directory is synced: after a power cut it is there whole or not at
 * all. What was being written when the process died is a file ".tmp-…" in the directory ".tmp",
 * which no listing shows and the next dir_open() that finds it an hour old removes. No link inside
 * is ever followed.
 */

/* Directory of a key's object, opened, made first where make says so. *ret_name: the key's last part. */
int dir_of(int root, const char *key, bool make, const char **ret_name, struct err *e);

/* The listing of storage_list(). */
int dir_list(void *impl, const char *prefix, const struct storage_list_to *to, struct err *e);

/* errno as the store's error. what: the key. */
int dir_error(struct err *e, const char *what);

struct dir {
	int root; /* the directory, open */
	int tmp;  /* its .tmp */
};

#define DIR_TMP ".tmp"

#endif
