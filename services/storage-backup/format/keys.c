#include "format/keys.h"

#include <sodium.h>

#define FOR_MASTER "zaki backup master key"
#define CONTEXT    "zakibkup"

enum { SUB_TAG = 1, SUB_CHUNK_ID, SUB_PACK, SUB_MANIFEST, SUB_BLOB, SUB_GEAR };

_Static_assert(crypto_kdf_KEYBYTES == 32, "key size");
_Static_assert(crypto_kdf_BYTES_MIN <= 16, "key size");

/* A tag is in the clear, so it is made of a key that serves nothing else. */
static void tag_derive(const unsigned char root[32], unsigned char ret[8])
{
	unsigned char sub[16];

	crypto_kdf_derive_from_key(sub, sizeof(sub), SUB_TAG, CONTEXT, root);
	memcpy(ret, sub, 8);
	sodium_memzero(sub, sizeof(sub));
}

static void gear_derive(const unsigned char root[32], uint64_t ret[256])
{
	static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES];
	unsigned char sub[32], bytes[256 * 8];

	crypto_kdf_derive_from_key(sub, sizeof(sub), SUB_GEAR, CONTEXT, root);
	crypto_stream_chacha20(bytes, sizeof(bytes), nonce, sub);
	for (size_t i = 0; i < 256; i++) {
		ret[i] = 0;
		for (size_t b = 8; b-- > 0;)
			ret[i] = ret[i] << 8 | bytes[i * 8 + b];
	}
	sodium_memzero(sub, sizeof(sub));
	sodium_memzero(bytes, sizeof(bytes));
}

void keys_derive(const char *secret, const char *user_id, struct keys *ret)
{
	unsigned char master[32], root[32];

	snprintf(ret->user_id, sizeof(ret->user_id), "%s", user_id);
	crypto_generichash(master, sizeof(master), (const unsigned char *)secret, strlen(secret),
	                   (const unsigned char *)FOR_MASTER, sizeof(FOR_MASTER) - 1);
	crypto_generichash(root, sizeof(root), (const unsigned char *)ret->user_id,
	                   strlen(ret->user_id), master, sizeof(master));
	tag_derive(root, ret->tag);
	crypto_kdf_derive_from_key(ret->chunk_id, 32, SUB_CHUNK_ID, CONTEXT, root);
	crypto_kdf_derive_from_key(ret->pack, 32, SUB_PACK, CONTEXT, root);
	crypto_kdf_derive_from_key(ret->manifest, 32, SUB_MANIFEST, CONTEXT, root);
	crypto_kdf_derive_from_key(ret->blob, 32, SUB_BLOB, CONTEXT, root);
	gear_derive(root, ret->gear);
	sodium_memzero(master, sizeof(master));
	sodium_memzero(root, sizeof(root));
}

void keys_done(struct keys *k)
{
	sodium_memzero(k, sizeof(*k));
}

void keys_of_one(const unsigned char key[32], const unsigned char salt[32], const char *name,
                 unsigned char ret[32])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, key, 32, 32);
	crypto_generichash_update(&h, salt, 32);
	crypto_generichash_update(&h, (const unsigned char *)name, strlen(name));
	crypto_generichash_final(&h, ret, 32);
	sodium_memzero(&h, sizeof(h));
}
