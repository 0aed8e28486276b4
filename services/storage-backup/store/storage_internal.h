#ifndef STORAGE_INTERNAL_H
#define STORAGE_INTERNAL_H

#include "store/storage.h"

struct storage_range {
	long long offset;
	void *buf;
	size_t len;
};

/* What a kind of store consists of. storage.c has checked keys and prefixes. */
struct storage_kind {
	void (*close)(void *impl);
	int (*put)(void *impl, const char *key, const void *data, size_t len, struct err *e);
	int (*put_file)(void *impl, const char *key, int fd, long long size, struct err *e);
	int (*get)(void *impl, const char *key, const struct storage_range *range, size_t *ret_len,
	           struct err *e);
	int (*head)(void *impl, const char *key, long long *ret_size, struct err *e);
	int (*delete)(void *impl, const char *key, struct err *e);
	int (*list)(void *impl, const char *prefix, const struct storage_list_to *to,
	            struct err *e);
};

struct storage {
	const struct storage_kind *kind;
	void *impl;
	size_t key_max; /* bytes of a key, without what the store puts before it */
};

int dir_open(const char *path, struct storage *ret, struct err *e);
int s3_open(const struct storage_opt *opt, struct storage *ret, struct err *e);

#endif
