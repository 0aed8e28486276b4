#include "engine/condemned.h"

#include "format/mem.h"

#include <sodium.h>
#include <zstd.h>

#define MAGIC "ZAKIBOX1"
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG   crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD  (8 + 8 + NONCE)
#define LEVEL 3

int sealed_put(const struct engine *en, const struct keys *k, const char *key, const void *data,
               size_t len, struct err *e)
{
	size_t bound = ZSTD_compressBound(len), packed;
	OWN(mem) unsigned char *out = mem_new(HEAD + bound + TAG);
	unsigned long long sealed = 0;

	if (!out)
		return err_set(e, ERR_INTERNAL, "out of memory");
	packed = ZSTD_compress(out + HEAD, bound, data, len, LEVEL);
	if (ZSTD_isError(packed))
		return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(packed));
	memcpy(out, MAGIC, 8);
	memcpy(out + 8, k->tag, 8);
	randombytes_buf(out + 16, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + HEAD, &sealed, out + HEAD, packed,
	                                           (const unsigned char *)key, strlen(key), NULL,
	                                           out + 16, k->blob);
	return storage_put(en->storage, key, out, HEAD + (size_t)sealed, e);
}

static int unpack(const unsigned char *packed, size_t len, const char *key, char **ret,
                  size_t *ret_len, struct err *e)
{
	unsigned long long size = ZSTD_getFrameContentSize(packed, len);
	OWN(mem) char *text = NULL;

	if (size > ENGINE_BLOB_MAX) /* the values for "unknown" and "error" are above it */
		return err_set(e, ERR_UPSTREAM, "%.120s is too long", key);
	text = mem_new((size_t)size + 1);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ZSTD_decompress(text, (size_t)size, packed, len) != size)
		return err_set(e, ERR_UPSTREAM, "%.120s does not decompress", key);
	text[size] = 0;
	*ret_len = (size_t)size;
	*ret = TAKE(text);
	return 0;
}

static int decrypt(const struct keys *k, const char *key, const unsigned char *box, size_t len,
                   unsigned char *to, unsigned long long *ret_len)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(to, ret_len, NULL, box + HEAD, len - HEAD,
	                                                  (const unsigned char *)key, strlen(key),
	                                                  box + 16, k->blob);
}

/* No key has its tag. Where one opens it all the same, it is the tag that is damaged. */
static bool opens_anyway(const struct key_ring *ring, const char *key, const unsigned char *box,
                         size_t len)
{
	OWN(mem) unsigned char *text = mem_new(len);
	unsigned long long got;

	for (size_t i = 0; text && i < ring->count; i++)
		if (decrypt(&ring->keys[i], key, box, len, text, &got) == 0)
			return true;
	return false;
}

static int sealed_open(const struct key_ring *ring, const char *key, unsigned char *box, size_t len,
                       size_t *ret_packed, struct err *e)
{
	const struct keys *k = NULL;
	unsigned long long packed = 0;

	if (len < HEAD + TAG || memcmp(box, MAGIC, 8) != 0)
		return err_set(e, ERR_UPSTREAM, "%.120s is damaged", key);
	for (size_t i = 0; i < ring->count && !k; i++)
		if (memcmp(box + 8, ring->keys[i].tag, 8) == 0)
			k = &ring->keys[i];
	if (!k && !opens_anyway(ring, key, box, len))
		return err_set(e, ERR_FORBIDDEN, "%.120s was made with another ENCRYPTION_KEY",
		               key);
	if (!k || decrypt(k, key, box, len, box + HEAD, &packed) != 0)
		return err_set(e, ERR_UPSTREAM, "%.120s is damaged", key);
	*ret_packed = (size_t)packed;
	return 0;
}

int sealed_get(const struct engine *en, const struct key_ring *ring, const char *key, char **ret,
               size_t *ret_len, struct err *e)
{
	OWN(mem) unsigned char *box = NULL;
	long long size = 0;
	size_t got = 0, packed = 0;

	if (storage_head(en->storage, key, &size, e) < 0)
		return -1;
	if (size > (long long)ZSTD_compressBound(ENGINE_BLOB_MAX) + HEAD + TAG)
		return err_set(e, ERR_UPSTREAM, "%.120s is too long", key);
	box = mem_new((size_t)size + 1);
	if (!box)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (storage_get(en->storage, key, 0, box, (size_t)size, &got, e) < 0 ||
	    sealed_open(ring, key, box, got, &packed, e) < 0)
		return -1;
	return unpack(box + HEAD, packed, key, ret, ret_len, e);
}

int condemned_read(const struct engine *en, const struct key_ring *ring,
                   void (*on_one)(void *ctx, const struct condemned *c), void *ctx, struct err *e)
{
	struct key_text key = key_of_condemned(ring->keys[0].user_id);
	OWN(mem) char *text = NULL;
	struct err why = ERR_INIT;
	size_t len = 0;

	if (sealed_get(en, ring, key.text, &text, &len, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (len % CONDEMNED_ROW != 0)
		return err_set(e, ERR_UPSTREAM, "%.120s is damaged", key.text);
	for (size_t i = 0; i < len; i += CONDEMNED_ROW) {
		struct condemned c;

		memcpy(c.id, text + i, PACK_ID_LEN);
		c.since_ms = (uint64_t)bytes_get32((unsigned char *)text + i + PACK_ID_LEN) |
		             (uint64_t)bytes_get32((unsigned char *)text + i + PACK_ID_LEN + 4)
		                     << 32;
		on_one(ctx, &c);
	}
	return 0;
}

int condemned_write(const struct engine *en, const struct key_ring *ring,
                    const struct condemned *list, size_t count, struct err *e)
{
	struct key_text key = key_of_condemned(ring->keys[0].user_id);
	OWN(mem) unsigned char *text = mem_new(count * CONDEMNED_ROW + 1);

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < count; i++) {
		unsigned char *row = text + i * CONDEMNED_ROW;

		memcpy(row, list[i].id, PACK_ID_LEN);
		bytes_put32(row + PACK_ID_LEN, (uint32_t)list[i].since_ms);
		bytes_put32(row + PACK_ID_LEN + 4, (uint32_t)(list[i].since_ms >> 32));
	}
	return sealed_put(en, &ring->keys[0], key.text, text, count * CONDEMNED_ROW, e);
}
