#ifndef MANIFEST_H
#define MANIFEST_H

#include "format/record.h"

/*
 * One backup: what was there, and which chunks of which packs it consists of. Written into a scratch
 * file and read a segment at a time, so that its size needs no memory. Every segment is sealed
 * under a key of this manifest alone and bound to user, backup, section and number: nothing
 * can be left out, put elsewhere, or taken from another. docs/BACKUP_FORMAT.md, "Manifests".
 */
#define MANIFEST_ID_SIZE     37
#define MANIFEST_SEGMENT_MAX (128 << 10) /* bytes of records */
#define MANIFEST_PACKS_MAX   (512 << 10)

struct manifest_head {
	char user_id[MANIFEST_ID_SIZE], instance_id[MANIFEST_ID_SIZE], backup_id[MANIFEST_ID_SIZE];
	bool is_full;
	uint64_t created_ms;
	uint64_t files, dirs, links, notes, bytes, chunks, chunks_new, bytes_stored;
	uint32_t packs, pack_segments;
	uint64_t entry_segments;
};

struct manifest_pack {
	unsigned char id[PACK_ID_LEN];
	uint32_t size;
};

/* ---- writing -------------------------------------------------------------------------------- */

struct manifest_writer;

/* scratch: an empty file for the entries, borrowed. The ids of head are used, the rest later. */
int manifest_writer_new(const struct keys *k, const struct manifest_head *head, int scratch,
                        struct manifest_writer **ret, struct err *e);
void manifest_writer_free(struct manifest_writer *w); /* NULL is fine */

int manifest_write(struct manifest_writer *w, const struct record *r, struct err *e);

/* Writes the whole object into out, an empty file: head (counts of segments are filled in), table of
 * packs, entries. head->bytes_stored grows by the object's size. */
int manifest_finish(struct manifest_writer *w, struct manifest_head *head,
                    const struct manifest_pack *packs, int out, struct err *e);

/* ---- reading -------------------------------------------------------------------------------- */

/* Where its bytes come from; fewer than len only at the end. */
struct manifest_source {
	int (*read)(void *ctx, long long offset, void *buf, size_t len, size_t *ret_len,
	            struct err *e);
	void *ctx;
};

struct manifest_reader;

/* keys: count of them, one per known ENCRYPTION_KEY, borrowed. Reads the head and the table of
 * packs. ERR_FORBIDDEN: of no key that is known; ERR_UPSTREAM: damaged, or of another user or backup. */
struct manifest_opt {
	const struct keys *keys;
	size_t key_count;
	const char *backup_id;
	bool is_head_only; /* no table, no entries */
	struct manifest_source source;
};
int manifest_open(const struct manifest_opt *opt, struct manifest_reader **ret, struct err *e);
void manifest_close(struct manifest_reader *m); /* NULL is fine */

const struct manifest_head *manifest_head(const struct manifest_reader *m);
const struct manifest_pack *
manifest_packs(const struct manifest_reader *m); /* head->packs of them */
const struct keys *manifest_keys(const struct manifest_reader *m);

/* The next record; its views last until the next call. *ret_is_end at the end, which is only there
 * once every segment has been read and nothing follows. Records are in order: extents behind their
 * file and adding up to its size, paths ascending, packs and offsets within the table. */
int manifest_next(struct manifest_reader *m, struct record *ret, bool *ret_is_end, struct err *e);

OWN_DEFINE(manifest_writer, struct manifest_writer *, manifest_writer_free)
OWN_DEFINE(manifest_reader, struct manifest_reader *, manifest_close)

#endif
