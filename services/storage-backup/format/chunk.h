#ifndef CHUNK_H
#define CHUNK_H

#include "base/own.h"
#include "format/chunker.h"

/*
 * One chunk as it lies in a pack: a nonce, then sealed (XChaCha20-Poly1305) a method byte and the
 * data, compressed by zstd where that helps. Bound to its user and to its id, which is a keyed hash
 * of the plain data. docs/BACKUP_FORMAT.md, "Chunks".
 */
#define CHUNK_ID_LEN    32
#define CHUNK_OVERHEAD  (24 + 1 + 16)
#define CHUNK_FRAME_MAX (CHUNK_MAX + CHUNK_OVERHEAD)

/* What compresses and seals; for one thread at a time. About 1.5 MiB. */
struct chunk_codec;

int chunk_codec_new(struct chunk_codec **ret, struct err *e);
void chunk_codec_free(struct chunk_codec *c); /* NULL is fine */

void chunk_id(const struct keys *k, const void *data, size_t len, unsigned char ret[CHUNK_ID_LEN]);

/* frame has room for CHUNK_FRAME_MAX; len is at most CHUNK_MAX. Returns the frame's length. */
size_t chunk_seal(struct chunk_codec *c, const struct keys *k, const unsigned char id[CHUNK_ID_LEN],
                  const void *data, size_t len, unsigned char *frame);

struct chunk_frame {
	const unsigned char *id; /* whose it should be */
	const unsigned char *bytes;
	size_t len;
	size_t plain_len; /* that it should have */
};

/* data has room for plain_len. ERR_UPSTREAM: is not that chunk, whole and unchanged. */
int chunk_open(struct chunk_codec *c, const struct keys *k, const struct chunk_frame *frame,
               void *data, struct err *e);

OWN_DEFINE(chunk_codec, struct chunk_codec *, chunk_codec_free)

#endif
