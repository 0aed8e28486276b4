#include "wire/seal.h"

#include <sodium.h>

#define PREFIX     "sealed:1:"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define NONCE_LEN  crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN    crypto_aead_xchacha20poly1305_ietf_ABYTES
#define B64        sodium_base64_VARIANT_URLSAFE_NO_PADDING

#define B64_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

_Static_assert(sizeof(((struct seal *)0)->key) == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "key size");

int seal_init(struct seal *s, const char *secret, struct err *e)
{
	unsigned char master[crypto_kdf_KEYBYTES];

	if (strlen(secret) < SEAL_SECRET_MIN)
		return err_field(e, "BUS_KEY", "must have at least %d characters", SEAL_SECRET_MIN);

	crypto_generichash(master, sizeof(master), (const unsigned char *)secret, strlen(secret),
	                   NULL, 0);
	crypto_kdf_derive_from_key(s->key, sizeof(s->key), 1, "zakiseal", master);
	crypto_kdf_derive_from_key(s->hash_key, sizeof(s->hash_key), 2, "zakiseal", master);
	sodium_memzero(master, sizeof(master));
	return 0;
}

int seal_close(const struct seal *s, const char *where, const char *text, struct arena *a,
               char **ret, struct err *e)
{
	size_t len = strlen(text), raw_len = NONCE_LEN + len + TAG_LEN;
	size_t text_size = PREFIX_LEN + sodium_base64_ENCODED_LEN(raw_len, B64);
	unsigned char *raw = arena_alloc(a, raw_len);
	char *out = arena_alloc(a, text_size);

	if (!raw || !out)
		return err_set(e, ERR_TOO_LARGE, "message is too large");

	randombytes_buf(raw, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		raw + NONCE_LEN, NULL, (const unsigned char *)text, len,
		(const unsigned char *)where, strlen(where), NULL, raw, s->key);
	memcpy(out, PREFIX, PREFIX_LEN);
	sodium_bin2base64(out + PREFIX_LEN, text_size - PREFIX_LEN, raw, raw_len, B64);
	*ret = out;
	return 0;
}

int seal_open(const struct seal *s, const char *where, const char *sealed, struct arena *a,
              char **ret, struct err *e)
{
	size_t len = strlen(sealed), raw_len = 0;
	unsigned char *raw, *text;

	if (strncmp(sealed, PREFIX, PREFIX_LEN) != 0)
		return err_field(e, "", "must come sealed");
	/* libsodium 1.0.18 also reads every byte above 0x7f, as '_'. */
	if (strspn(sealed + PREFIX_LEN, B64_LETTERS) != len - PREFIX_LEN)
		return err_field(e, "", "is not sealed for this place");

	raw = arena_alloc(a, len);
	text = arena_alloc(a, len); /* longer than the plain text can be; zeroed, so it ends */
	if (!raw || !text)
		return err_set(e, ERR_TOO_LARGE, "message is too large");

	if (sodium_base642bin(raw, len, sealed + PREFIX_LEN, len - PREFIX_LEN, NULL, &raw_len, NULL,
	                      B64) != 0 ||
	    raw_len < NONCE_LEN + TAG_LEN ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(
		    text, NULL, NULL, raw + NONCE_LEN, raw_len - NONCE_LEN,
		    (const unsigned char *)where, strlen(where), raw, s->key) != 0)
		return err_field(e, "", "is not sealed for this place");
	if (strlen((const char *)text) != raw_len - NONCE_LEN - TAG_LEN)
		return err_field(e, "", "has a zero character");

	*ret = (char *)text;
	return 0;
}

bool seal_is_in(const char *json, size_t len)
{
	static const char opening[] = "\"" PREFIX;

	return memmem(json, len, opening, sizeof(opening) - 1) != NULL;
}

void seal_hash(const struct seal *s, const char *data, size_t len, char ret[SEAL_HASH_SIZE])
{
	unsigned char hash[32];

	crypto_generichash(hash, sizeof(hash), (const unsigned char *)data, len, s->hash_key,
	                   sizeof(s->hash_key));
	sodium_bin2hex(ret, SEAL_HASH_SIZE, hash, sizeof(hash));
}
