#ifndef STORAGE_H
#define STORAGE_H

#include "base/err.h"
#include "base/own.h"

#include <stddef.h>

/*
 * A place for objects: bytes under a key, written whole or not at all, never changed in part. Two
 * kinds, one behaviour: a directory of this machine, and a bucket of any S3 (R2, MinIO …). Whoever
 * holds a struct storage may use it from any thread.
 *
 * A key is 1 to STORAGE_KEY_MAX bytes of UTF-8, with what the store puts before it, in at most 128
 * parts between '/', of which none is empty, ".", ".." or longer than 255 bytes. It holds no control
 * character. What lies in the store under other names is none of ours: no listing shows it. A part's
 * name is either an object's or a directory's, as in any directory: who wants to put a/b in place of a
 * deletes a first.
 *
 * Errors: ERR_NOT_FOUND no such object; ERR_FORBIDDEN the store refuses us (the message names a
 * skewed clock where that is why); ERR_UNAVAILABLE it does not answer, after the retries; ERR_TIMEOUT;
 * ERR_QUOTA it is full; ERR_UPSTREAM bytes arrived other than they were sent, or an object's cannot be
 * read any more; ERR_INTERNAL it answers what we do not know, or it is this machine. After an error a
 * put may or may not have happened; it never happened by half.
 */
#define STORAGE_KEY_MAX    1024      /* bytes, as S3 has it */
#define STORAGE_PART_BYTES (8 << 20) /* what is longer goes to S3 in parts of this size */

struct storage;

struct storage_opt {
	/*
	 * file:///absolute/directory
	 * s3://HOST[:PORT]/BUCKET[/PREFIX]        over TLS
	 * s3+http://HOST[:PORT]/BUCKET[/PREFIX]   in the clear, for a store on this machine
	 * Both s3 forms take ?region=NAME, "auto" by default, and ?sse=, "AES256" by default, ""
	 * for stores that do not know the header x-amz-server-side-encryption.
	 */
	const char *url;
	const char *access_key; /* of s3 alone */
	const char *secret_key; /* copied, wiped by storage_close() */
	int timeout_ms;         /* one request; 0: 60 s */
	int retries;            /* of a request that may be repeated; 0: 5; -1: none */
};

/* Checks the form of the URL, and makes the directory; asks nothing of an S3. ERR_INVALID names the
 * field STORAGE_URL, R2_ACCESS_KEY_ID or R2_SECRET_ACCESS_KEY. */
int storage_open(const struct storage_opt *opt, struct storage **ret, struct err *e);
void storage_close(struct storage *s); /* NULL is fine */

/* Is it there, and does it let us list? For health checks. */
int storage_check(struct storage *s, struct err *e);

/* May it be a key of this store? What a store puts before its keys counts, too. */
bool storage_is_key(const struct storage *s, const char *key);

/* On return the object is durable under its key, in place of what was there. */
int storage_put(struct storage *s, const char *key, const void *data, size_t len, struct err *e);

/* The same of size bytes of fd from its start, read as they are sent: bounded memory. */
int storage_put_file(struct storage *s, const char *key, int fd, long long size, struct err *e);

/* Up to len bytes from offset on into buf; *ret_len says how many, fewer only where the object
 * ends. An offset at or past its end gives 0. */
int storage_get(struct storage *s, const char *key, long long offset, void *buf, size_t len,
                size_t *ret_len, struct err *e);

int storage_head(struct storage *s, const char *key, long long *ret_size, struct err *e);

/* An object that is not there is as good as deleted. */
int storage_delete(struct storage *s, const char *key, struct err *e);

/*
 * Each object whose key begins with prefix (a key's beginning, also ""), in the keys' byte order.
 * on_object returns false to end the listing, which is then no error. With on_dir set the listing
 * goes no further than the next '/' after the prefix: what lies below one is reported once, as the
 * key's beginning up to and with that '/'. What is put or deleted meanwhile may be listed or not.
 */
struct storage_object {
	const char *key;
	long long size;
};
struct storage_list_to {
	bool (*on_object)(void *ctx, const struct storage_object *object);
	bool (*on_dir)(void *ctx, const char *prefix); /* NULL: all the way down */
	void *ctx;
};
int storage_list(struct storage *s, const char *prefix, const struct storage_list_to *to,
                 struct err *e);

OWN_DEFINE(storage, struct storage *, storage_close)

#endif
