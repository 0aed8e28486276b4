#ifndef RECORD_H
#define RECORD_H

#include "format/bytes.h"
#include "format/pack.h"

/*
 * What a manifest's entries consist of: records, one after another. docs/BACKUP_FORMAT.md,
 * "Records". A file's record is followed by those of its extents, as many as it says, in order:
 * chunks and holes, whose lengths add up to its size.
 */
#define RECORD_PATH_MAX 4096
#define RECORD_MAX      (2 * RECORD_PATH_MAX + 128) /* bytes of any one */

enum record_type {
	RECORD_DIR = 'D',
	RECORD_LINK = 'L',
	RECORD_FILE = 'F',
	RECORD_CHUNK = 'C',
	RECORD_HOLE = 'H',
	RECORD_NOTE = 'N',
};

enum {
	RECORD_IS_DATABASE = 1, /* copied by SQLite */
	RECORD_WAS_CHANGING = 2,
};

/* Where a chunk lies. */
struct chunk_place {
	uint32_t pack; /* number in the manifest's table */
	uint32_t offset, len, plain_len;
};

struct record {
	enum record_type type;
	/* D, L, F; N has path alone. Views into the segment, not zero-ended. */
	const char *path;
	size_t path_len;
	uint32_t mode, uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	/* L */
	const char *target;
	size_t target_len;
	/* F. size is also H's length. */
	uint64_t size;
	uint32_t flags;
	uint64_t inode;
	int64_t ctime_s;
	uint32_t ctime_ns;
	uint64_t extents;
	/* C */
	struct chunk_place place;
	const unsigned char *id;
	/* N */
	uint32_t note;
};

/* to has room for RECORD_MAX. Returns the length. */
size_t record_write(const struct record *r, unsigned char *to);

/* One record off from. False, and from->is_bad, where it is none. At the end: false, not bad. */
bool record_read(struct bytes_from *from, struct record *ret);

/* A path of the format: relative, no empty, "." or ".." part, no zero byte, below one of the two
 * roots or a root itself. */
bool record_path_is_valid(const char *path, size_t len);

/* The order of entries: '/' before every other byte. <0, 0, >0. */
int record_path_order(const char *a, size_t a_len, const char *b, size_t b_len);

/* Is path under itself, or below it? "" is above all. */
bool record_path_is_under(const char *path, size_t len, const char *under);

#endif
