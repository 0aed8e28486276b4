#ifndef MANIFEST_SEGMENT_H
#define MANIFEST_SEGMENT_H

#include "format/manifest.h"

#include <zstd.h>

/* What writer and reader of manifests share: a segment, sealed and opened. */

#define SEGMENT_MAGIC    "ZAKIMAN1"
#define SEGMENT_HEAD     48 /* magic, the key's tag, the salt */
#define SEGMENT_SALT_LEN 32
/* Sealed bytes of one: what does not compress grows a little. */
#define SEGMENT_SEALED_MAX (ZSTD_COMPRESSBOUND(MANIFEST_SEGMENT_MAX) + 16)

enum segment_section { SEGMENT_TOP = 1, SEGMENT_PACKS, SEGMENT_ENTRIES };

struct segment_codec {
	unsigned char key[32];
	char user_id[MANIFEST_ID_SIZE], backup_id[MANIFEST_ID_SIZE];
	ZSTD_CCtx *press;      /* of a writer */
	ZSTD_DCtx *unpress;    /* of a reader */
	unsigned char *sealed; /* 4 bytes of length and SEGMENT_SEALED_MAX */
	unsigned char *text;   /* SEGMENT_SEALED_MAX */
};

int segment_codec_init(struct segment_codec *c, bool is_writer, struct err *e);
void segment_codec_done(struct segment_codec *c);

/* c->sealed is then the segment with its length in front. Returns all of its length, 0 on failure
 * of zstd, which only memory can cause. */
size_t segment_seal(struct segment_codec *c, enum segment_section section, uint64_t number,
                    const unsigned char *data, size_t len);

/* c->sealed holds len sealed bytes, without their length. to has room for MANIFEST_SEGMENT_MAX. */
int segment_open(struct segment_codec *c, enum segment_section section, uint64_t number, size_t len,
                 unsigned char *to, size_t *ret_len, struct err *e);

#endif
