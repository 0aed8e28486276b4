#include "net/api_key.h"

#include <sodium.h>
#include <string.h>

#define PREFIX_LEN (sizeof(API_KEY_PREFIX) - 1)

void api_key_make(char ret[API_KEY_SIZE])
{
	unsigned char random[32];

	randombytes_buf(random, sizeof(random));
	memcpy(ret, API_KEY_PREFIX, PREFIX_LEN);
	(void)sodium_bin2base64(ret + PREFIX_LEN, API_KEY_SIZE - PREFIX_LEN, random, sizeof(random),
	                        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
}

bool api_key_is_one(const char *text)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return strnlen(text, API_KEY_SIZE) == API_KEY_SIZE - 1 &&
	       strncmp(text, API_KEY_PREFIX, PREFIX_LEN) == 0 &&
	       strspn(text, alphabet) == API_KEY_SIZE - 1;
}

void api_key_hash(const char *key, char ret[API_KEY_HASH_SIZE])
{
	unsigned char hash[32];

	(void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)key, strlen(key), NULL,
	                         0);
	(void)sodium_bin2hex(ret, API_KEY_HASH_SIZE, hash, sizeof(hash));
}
