#include "link/device.h"

#include <sodium.h>

#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

void device_make(const struct vault *v, const char *platform_id, struct device *ret)
{
	unsigned char seed[crypto_sign_SEEDBYTES], public_key[crypto_sign_PUBLICKEYBYTES];
	unsigned char hash[crypto_hash_sha256_BYTES];

	_Static_assert(sizeof(ret->secret) == crypto_sign_SECRETKEYBYTES, "");
	vault_device_seed(v, platform_id, seed);
	crypto_sign_seed_keypair(public_key, ret->secret, seed);
	sodium_memzero(seed, sizeof(seed));
	crypto_hash_sha256(hash, public_key, sizeof(public_key));
	sodium_bin2hex(ret->id, sizeof(ret->id), hash, sizeof(hash));
	sodium_bin2base64(ret->public_key, sizeof(ret->public_key), public_key, sizeof(public_key),
	                  BASE64);
}

void device_sign(const struct device *d, const char *text, char ret[DEVICE_TEXT_SIZE])
{
	unsigned char sig[crypto_sign_BYTES];

	crypto_sign_detached(sig, NULL, (const unsigned char *)text, strlen(text), d->secret);
	sodium_bin2base64(ret, DEVICE_TEXT_SIZE, sig, sizeof(sig), BASE64);
}
