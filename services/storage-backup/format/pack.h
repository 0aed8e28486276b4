#ifndef PACK_H
#define PACK_H

#include "format/chunk.h"

/*
 * Chunks lie in packs of up to 8 MiB: 8,192 notes are then a few objects, not 8,192 of them. A pack
 * is written once, under a random name, and holds a sealed index of itself bound to that name.
 * docs/BACKUP_FORMAT.md, "Packs".
 */
#define PACK_ID_LEN    16
#define PACK_ID_SIZE   (2 * PACK_ID_LEN + 1) /* as hex, with its zero */
#define PACK_HEAD      16
#define PACK_BYTES_MAX (8 << 20) /* one plain PUT */
#define PACK_INDEX_ROW (CHUNK_ID_LEN + 8)
#define PACK_INDEX_ADD (24 + 16 + 4) /* of its frame, and the length at the end */

/* A pack in the making. Plain memory of the owner's; bytes has PACK_BYTES_MAX. */
struct pack {
	unsigned char id[PACK_ID_LEN];
	unsigned char *bytes; /* head and frames so far */
	size_t len;
	unsigned char *index; /* rows so far */
	size_t index_len;
};

int pack_new(struct pack **ret, struct err *e);
void pack_free(struct pack *p); /* NULL is fine */

/* Empties it, and gives it a new id. */
void pack_begin(struct pack *p, const struct keys *k);
bool pack_fits(const struct pack *p, size_t frame_len);
/* Returns the frame's offset. It must fit. */
uint32_t pack_add(struct pack *p, const struct chunk_frame *frame);
/* Puts the index at the end: p->bytes and p->len are then the object. */
void pack_end(struct pack *p, const struct keys *k);

/* One row of an index. */
struct pack_row {
	const unsigned char *id;
	uint32_t offset, len, plain_len;
};

/*
 * An index that was read. The rows tile the pack from PACK_HEAD to the index without a gap, which
 * pack_index_open() has checked.
 */
struct pack_index {
	unsigned char *rows;
	size_t count;
};

/* How many bytes at the object's end are its index, from the last four. 0: impossible. */
size_t pack_index_len(const unsigned char last[4], long long size);

/* tail: the last pack_index_len() bytes of a pack of size bytes. ERR_UPSTREAM: not this pack's. */
struct pack_tail {
	const unsigned char *id; /* of the pack */
	const unsigned char *bytes;
	size_t len;
	long long size;
};
int pack_index_open(const struct keys *k, const struct pack_tail *tail, struct pack_index *ret,
                    struct err *e);
void pack_index_done(struct pack_index *x);
struct pack_row pack_index_row(const struct pack_index *x, size_t i, uint32_t offset);

/* Is it a pack, and of these keys? Else ERR_UPSTREAM. */
int pack_head_check(const struct keys *k, const unsigned char head[PACK_HEAD], struct err *e);

void pack_id_text(const unsigned char id[PACK_ID_LEN], char ret[PACK_ID_SIZE]);
bool pack_id_parse(const char *text, unsigned char ret[PACK_ID_LEN]);

OWN_DEFINE(pack, struct pack *, pack_free)

#endif
