#include "format/manifest_segment.h"

#include "format/mem.h"

#include <sodium.h>

#define PURPOSE "zakimanf"
#define TAG     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define NONCE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define ID_LEN  (MANIFEST_ID_SIZE - 1)
#define AAD_LEN (8 + 2 * ID_LEN)
#define LEVEL   3

int segment_codec_init(struct segment_codec *c, bool is_writer, struct err *e)
{
	c->sealed = mem_new(4 + SEGMENT_SEALED_MAX);
	c->text = mem_new(SEGMENT_SEALED_MAX);
	if (is_writer)
		c->press = ZSTD_createCCtx();
	else
		c->unpress = ZSTD_createDCtx();
	if (!c->sealed || !c->text || (!c->press && !c->unpress))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

void segment_codec_done(struct segment_codec *c)
{
	ZSTD_freeCCtx(c->press);
	ZSTD_freeDCtx(c->unpress);
	free(c->sealed);
	free(c->text);
	sodium_memzero(c, sizeof(*c));
}

/* The key is this manifest's alone, so section and number are nonce enough. */
static void place(const struct segment_codec *c, enum segment_section section, uint64_t number,
                  unsigned char nonce[NONCE], unsigned char aad[AAD_LEN])
{
	memset(nonce, 0, NONCE);
	nonce[0] = (unsigned char)section;
	for (int i = 0; i < 8; i++)
		nonce[16 + i] = (unsigned char)(number >> (8 * i));
	memcpy(aad, PURPOSE, 8);
	memcpy(aad + 8, c->user_id, ID_LEN);
	memcpy(aad + 8 + ID_LEN, c->backup_id, ID_LEN);
}

size_t segment_seal(struct segment_codec *c, enum segment_section section, uint64_t number,
                    const unsigned char *data, size_t len)
{
	unsigned char nonce[NONCE], aad[AAD_LEN];
	unsigned long long sealed = 0;
	size_t packed =
		ZSTD_compressCCtx(c->press, c->text, SEGMENT_SEALED_MAX - TAG, data, len, LEVEL);

	if (ZSTD_isError(packed))
		return 0;
	place(c, section, number, nonce, aad);
	crypto_aead_xchacha20poly1305_ietf_encrypt(c->sealed + 4, &sealed, c->text, packed, aad,
	                                           sizeof(aad), NULL, nonce, c->key);
	bytes_put32(c->sealed, (uint32_t)sealed);
	return 4 + (size_t)sealed;
}

int segment_open(struct segment_codec *c, enum segment_section section, uint64_t number, size_t len,
                 unsigned char *to, size_t *ret_len, struct err *e)
{
	unsigned char nonce[NONCE], aad[AAD_LEN];
	unsigned long long packed = 0;
	size_t got;

	place(c, section, number, nonce, aad);
	if (len < TAG ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(c->text, &packed, NULL, c->sealed, len, aad,
	                                               sizeof(aad), nonce, c->key) != 0)
		return err_set(e, ERR_UPSTREAM, "the manifest is damaged or another's");
	got = ZSTD_decompressDCtx(c->unpress, to, MANIFEST_SEGMENT_MAX, c->text, (size_t)packed);
	if (ZSTD_isError(got))
		return err_set(e, ERR_UPSTREAM, "the manifest does not decompress");
	*ret_len = got;
	return 0;
}
