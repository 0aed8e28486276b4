#include "vault.h"

#include <limits.h>
#include <sodium.h>

#define KEYS_MAX 8
#define KEY_LEN  crypto_aead_aes256gcm_KEYBYTES
#define NONCE    crypto_aead_aes256gcm_NPUBBYTES
#define TAG      crypto_aead_aes256gcm_ABYTES
#define RAW_MAX  (NONCE + VAULT_PLAIN_MAX + TAG)
#define MAC_LEN  31
#define BASE64   sodium_base64_VARIANT_ORIGINAL

/* What a derived key is for: so that no two uses share one. */
#define FOR_MASTER "zaki vault master key"
#define FOR_USER   "zaki vault user key"
#define FOR_BOT    "zaki vault bot claim"
#define FOR_DEVICE "zaki vault device key"

struct key {
	int version;
	unsigned char master[crypto_generichash_KEYBYTES];
};

struct vault {
	size_t key_count;
	struct key keys[KEYS_MAX];
};

int vault_new(const struct vault_key *keys, size_t count, struct vault **ret, struct err *e)
{
	struct vault *v;

	if (sodium_init() < 0)
		return err_set(e, ERR_UNAVAILABLE, "libsodium does not start");
	if (!crypto_aead_aes256gcm_is_available())
		return err_set(e, ERR_UNAVAILABLE,
		               "this processor has no AES-GCM instructions (AES-NI and PCLMUL, or "
		               "ARM's): secrets cannot be sealed on it");
	if (count < 1 || count > KEYS_MAX)
		return err_field(e, "ENCRYPTION_KEY", "must be 1 to %d keys", KEYS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (keys[i].version < 1 || keys[i].version > VAULT_VERSION_MAX)
			return err_field(e, "ENCRYPTION_KEY", "has a version that is not 1 to %d",
			                 VAULT_VERSION_MAX);
		if (strlen(keys[i].secret) < VAULT_SECRET_MIN)
			return err_field(e, "ENCRYPTION_KEY", "must have at least %d characters",
			                 VAULT_SECRET_MIN);
		for (size_t k = 0; k < i; k++)
			if (keys[k].version == keys[i].version)
				return err_field(e, "ENCRYPTION_KEY", "has version %d twice",
				                 keys[i].version);
	}

	v = sodium_malloc(sizeof(*v)); /* kept out of core dumps and swap, wiped when freed */
	if (!v)
		return err_set(e, ERR_INTERNAL, "out of memory");
	v->key_count = count;
	for (size_t i = 0; i < count; i++) {
		v->keys[i].version = keys[i].version;
		crypto_generichash(v->keys[i].master, sizeof(v->keys[i].master),
		                   (const unsigned char *)keys[i].secret, strlen(keys[i].secret),
		                   (const unsigned char *)FOR_MASTER, sizeof(FOR_MASTER) - 1);
	}
	sodium_mprotect_readonly(v);
	*ret = v;
	return 0;
}

void vault_free(struct vault *v)
{
	sodium_free(v);
}

/* Every part with its length before it: no two lists of parts give the same bytes. */
static void hash_part(crypto_generichash_state *h, const char *part)
{
	unsigned long long len = strlen(part);

	crypto_generichash_update(h, (const unsigned char *)&len, sizeof(len));
	crypto_generichash_update(h, (const unsigned char *)part, len);
}

static void derive(const struct key *k, const char *what_for, const char *whose, unsigned char *out,
                   size_t len)
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, k->master, sizeof(k->master), len);
	hash_part(&h, what_for);
	hash_part(&h, whose);
	crypto_generichash_final(&h, out, len);
	sodium_memzero(&h, sizeof(h));
}

/* The place as the cipher's additional data: a digest, so that it has a length of its own. */
static void place_digest(const struct vault_place *where, int version, unsigned char out[32])
{
	crypto_generichash_state h;
	char text[12];

	snprintf(text, sizeof(text), "%d", version);
	crypto_generichash_init(&h, NULL, 0, 32);
	hash_part(&h, text);
	hash_part(&h, where->user_id);
	hash_part(&h, where->instance_id);
	hash_part(&h, where->column);
	crypto_generichash_final(&h, out, 32);
}

int vault_seal(const struct vault *v, const struct vault_place *where, const char *plain,
               struct arena *a, const char **ret, struct err *e)
{
	unsigned char raw[RAW_MAX], key[KEY_LEN], place[32];
	unsigned long long sealed_len;
	size_t len = strlen(plain), text_len, head;
	char *text;

	if (len > VAULT_PLAIN_MAX)
		return err_set(e, ERR_TOO_LARGE, "a secret of more than %d bytes", VAULT_PLAIN_MAX);
	text_len = sodium_base64_ENCODED_LEN(NONCE + len + TAG, BASE64);
	text = arena_alloc(a, text_len + 8);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");

	derive(&v->keys[0], FOR_USER, where->user_id, key, sizeof(key));
	place_digest(where, v->keys[0].version, place);
	randombytes_buf(raw, NONCE);
	crypto_aead_aes256gcm_encrypt(raw + NONCE, &sealed_len, (const unsigned char *)plain, len,
	                              place, sizeof(place), NULL, raw, key);
	sodium_memzero(key, sizeof(key));

	head = (size_t)snprintf(text, 8, "v%d:", v->keys[0].version);
	sodium_bin2base64(text + head, text_len, raw, NONCE + (size_t)sealed_len, BASE64);
	*ret = text;
	return 0;
}

/* "v<version>:" in front of a sealed text; NULL if it is not there. */
static const char *version_read(const char *sealed, int *ret)
{
	size_t digits = sealed[0] == 'v' ? strspn(sealed + 1, "0123456789") : 0;

	if (digits < 1 || digits > 3 || sealed[1] == '0' || sealed[1 + digits] != ':')
		return NULL;
	*ret = (int)strtol(sealed + 1, NULL, 10);
	return sealed + 1 + digits + 1;
}

static int refused(const struct vault_place *where, const char *why, struct err *e)
{
	return err_set(e, ERR_INTERNAL, "the sealed value of %.60s %s", where->column, why);
}

int vault_open(const struct vault *v, const struct vault_place *where, const char *sealed,
               struct arena *a, const char **ret, struct err *e)
{
	unsigned char raw[RAW_MAX], key[KEY_LEN], place[32];
	const struct key *k = NULL;
	unsigned long long len;
	const char *text, *end;
	size_t raw_len;
	int version, r;
	char *plain;

	text = version_read(sealed, &version);
	if (!text)
		return refused(where, "has no key version in front", e);
	for (size_t i = 0; i < v->key_count; i++)
		if (v->keys[i].version == version)
			k = &v->keys[i];
	if (!k)
		return refused(where, "is sealed with a key that is not known here", e);
	if (sodium_base642bin(raw, sizeof(raw), text, strlen(text), NULL, &raw_len, &end, BASE64) ||
	    *end || raw_len < NONCE + TAG)
		return refused(where, "is not base64 of a sealed value", e);

	plain = arena_alloc(a, raw_len - NONCE - TAG + 1);
	if (!plain)
		return err_set(e, ERR_INTERNAL, "out of memory");
	derive(k, FOR_USER, where->user_id, key, sizeof(key));
	place_digest(where, version, place);
	r = crypto_aead_aes256gcm_decrypt((unsigned char *)plain, &len, NULL, raw + NONCE,
	                                  raw_len - NONCE, place, sizeof(place), raw, key);
	sodium_memzero(key, sizeof(key));
	if (r != 0)
		return refused(where,
		               "was changed, or sealed for another place or with another key", e);
	*ret = plain;
	return 0;
}

bool vault_is_old(const struct vault *v, const char *sealed)
{
	int version;

	return !version_read(sealed, &version) || version != v->keys[0].version;
}

void vault_bot_mac(const struct vault *v, long long bot_id, char out[VAULT_MAC_SIZE])
{
	unsigned char mac[MAC_LEN];
	char id[24];
	size_t head;

	snprintf(id, sizeof(id), "%lld", bot_id);
	derive(&v->keys[0], FOR_BOT, id, mac, sizeof(mac));
	head = (size_t)snprintf(out, VAULT_MAC_SIZE, "v%d:", v->keys[0].version);
	sodium_bin2hex(out + head, VAULT_MAC_SIZE - head, mac, sizeof(mac));
}

void vault_device_seed(const struct vault *v, const char *platform_id, unsigned char out[32])
{
	derive(&v->keys[0], FOR_DEVICE, platform_id, out, 32);
}

void vault_wipe(char *text)
{
	if (text)
		sodium_memzero(text, strlen(text));
}
