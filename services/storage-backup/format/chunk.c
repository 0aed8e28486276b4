#include "format/chunk.h"

#include "format/mem.h"

#include <sodium.h>
#include <zstd.h>

#define NONCE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PURPOSE "zakichnk"
#define AAD_LEN (8 + KEYS_USER_LEN + CHUNK_ID_LEN)
#define LEVEL   3

enum { METHOD_PLAIN, METHOD_ZSTD };

_Static_assert(CHUNK_OVERHEAD == NONCE + 1 + TAG, "what a frame adds");

struct chunk_codec {
	ZSTD_CCtx *press;
	ZSTD_DCtx *unpress;
	unsigned char opened[1 + CHUNK_MAX];
};

int chunk_codec_new(struct chunk_codec **ret, struct err *e)
{
	OWN(chunk_codec) struct chunk_codec *c = mem_new(sizeof(*c));

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	c->press = ZSTD_createCCtx();
	c->unpress = ZSTD_createDCtx();
	if (!c->press || !c->unpress)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = TAKE(c);
	return 0;
}

void chunk_codec_free(struct chunk_codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->press);
	ZSTD_freeDCtx(c->unpress);
	sodium_memzero(c->opened, sizeof(c->opened));
	free(c);
}

void chunk_id(const struct keys *k, const void *data, size_t len, unsigned char ret[CHUNK_ID_LEN])
{
	crypto_generichash(ret, CHUNK_ID_LEN, data, len, k->chunk_id, sizeof(k->chunk_id));
}

static void bind(const struct keys *k, const unsigned char *id, unsigned char aad[AAD_LEN])
{
	memcpy(aad, PURPOSE, 8);
	memcpy(aad + 8, k->user_id, KEYS_USER_LEN);
	memcpy(aad + 8 + KEYS_USER_LEN, id, CHUNK_ID_LEN);
}

size_t chunk_seal(struct chunk_codec *c, const struct keys *k, const unsigned char id[CHUNK_ID_LEN],
                  const void *data, size_t len, unsigned char *frame)
{
	unsigned char *text = frame + NONCE, aad[AAD_LEN];
	unsigned long long sealed = 0;
	size_t packed;

	/* A capacity of one byte less than the data: what does not get smaller is an error, and kept
	 * as it is. */
	packed = len > 1 ? ZSTD_compressCCtx(c->press, text + 1, len - 1, data, len, LEVEL)
	                 : (size_t)-1;
	if (len > 1 && !ZSTD_isError(packed)) {
		text[0] = METHOD_ZSTD;
	} else {
		text[0] = METHOD_PLAIN;
		if (len)
			memcpy(text + 1, data, len);
		packed = len;
	}
	randombytes_buf(frame, NONCE);
	bind(k, id, aad);
	crypto_aead_xchacha20poly1305_ietf_encrypt(text, &sealed, text, 1 + packed, aad,
	                                           sizeof(aad), NULL, frame, k->pack);
	return NONCE + (size_t)sealed;
}

static int unpack(struct chunk_codec *c, size_t len, void *data, size_t plain_len, struct err *e)
{
	size_t got;

	if (len < 1)
		return err_set(e, ERR_UPSTREAM, "a chunk is empty");
	switch (c->opened[0]) {
	case METHOD_PLAIN:
		if (len - 1 != plain_len)
			return err_set(e, ERR_UPSTREAM, "a chunk has another length");
		if (plain_len)
			memcpy(data, c->opened + 1, plain_len);
		return 0;
	case METHOD_ZSTD:
		got = ZSTD_decompressDCtx(c->unpress, data, plain_len, c->opened + 1, len - 1);
		if (ZSTD_isError(got) || got != plain_len)
			return err_set(e, ERR_UPSTREAM, "a chunk does not decompress");
		return 0;
	default:
		return err_set(e, ERR_UPSTREAM, "a chunk's method %d is not known", c->opened[0]);
	}
}

int chunk_open(struct chunk_codec *c, const struct keys *k, const struct chunk_frame *frame,
               void *data, struct err *e)
{
	unsigned char aad[AAD_LEN], id[CHUNK_ID_LEN];
	unsigned long long len = 0;

	if (frame->len < CHUNK_OVERHEAD || frame->len > CHUNK_FRAME_MAX ||
	    frame->plain_len > CHUNK_MAX)
		return err_set(e, ERR_UPSTREAM, "a chunk has no possible length");
	bind(k, frame->id, aad);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(c->opened, &len, NULL, frame->bytes + NONCE,
	                                               frame->len - NONCE, aad, sizeof(aad),
	                                               frame->bytes, k->pack) != 0)
		return err_set(e, ERR_UPSTREAM, "a chunk is damaged or another's");
	if (unpack(c, (size_t)len, data, frame->plain_len, e) < 0)
		return -1;
	chunk_id(k, data, frame->plain_len, id);
	if (sodium_memcmp(id, frame->id, sizeof(id)) != 0)
		return err_set(e, ERR_UPSTREAM, "a chunk's content is not what its id says");
	return 0;
}
