/*
 * Any bytes as an access token or an API key. As they come they are never accepted: nobody guesses a
 * signature. Signed with our secret ("header\npayload"; without a header, under ours), so that what
 * lies behind the signature is reached, one is accepted only when it is such as we would have made.
 */

#include "base/own.h"
#include "base/uuid.h"
#include "net/api_key.h"
#include "net/token.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef-fuzz"
#define UUID   "11111111-2222-4333-8444-555555555555"
#define B64    sodium_base64_VARIANT_URLSAFE_NO_PADDING

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t base64(const void *data, size_t len, char *to, size_t size)
{
	(void)sodium_bin2base64(to, size, data, len, B64);
	return strlen(to);
}

/* The header of a token of ours, in base64. */
static const char *our_head(const struct token_keys *keys)
{
	static char *head;
	struct token_claims c = { .user_id = UUID, .session_id = UUID };
	struct err e = ERR_INIT;

	if (head)
		return head;
	if (token_sign(keys, &c, &head, &e) < 0)
		abort();
	head[strcspn(head, ".")] = '\0';
	return head;
}

/* ret: for free(). */
static char *sign(const struct token_keys *keys, const char *head, size_t head_len,
                  const char *body)
{
	size_t body_len = strlen(body), len;
	size_t size = 1024 + sodium_base64_ENCODED_LEN(head_len, B64) +
	              sodium_base64_ENCODED_LEN(body_len, B64);
	char *text = calloc(1, size);
	crypto_auth_hmacsha256_state hmac;
	unsigned char mac[crypto_auth_hmacsha256_BYTES];

	if (head_len > 0)
		(void)base64(head, head_len, text, size);
	else
		snprintf(text, size, "%s", our_head(keys));
	len = strlen(text);
	text[len++] = '.';
	len += base64(body, body_len, text + len, size - len);
	crypto_auth_hmacsha256_init(&hmac, (const unsigned char *)SECRET, strlen(SECRET));
	crypto_auth_hmacsha256_update(&hmac, (const unsigned char *)text, len);
	crypto_auth_hmacsha256_final(&hmac, mac);
	text[len++] = '.';
	(void)base64(mac, sizeof(mac), text + len, size - len);
	return text;
}

static void check_signed(const struct token_keys *keys, const char *text)
{
	const char *end = strchr(text, '\n');
	struct token_claims c = { .user_id = "" };
	struct err e = ERR_INIT;
	OWN(mem) char *token = NULL;

	if (!end)
		return;
	token = sign(keys, text, (size_t)(end - text), end + 1);
	if (token_check(keys, token, &c, &e) < 0) {
		if (e.code != ERR_UNAUTHENTICATED || c.user_id[0])
			abort();
		return;
	}
	if (strlen(token) > TOKEN_LEN_MAX || !uuid_is_valid(c.user_id) ||
	    !uuid_is_valid(c.session_id) || !uuid_is_valid(c.token_id) || c.expires_at_s <= 0)
		abort();
}

static void check_key(const char *text)
{
	char hash[API_KEY_HASH_SIZE];

	api_key_hash(text, hash);
	if (strlen(hash) != API_KEY_HASH_SIZE - 1)
		abort();
	if (api_key_is_one(text) && strlen(text) != API_KEY_SIZE - 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct token_keys *keys;
	OWN(mem) char *text = calloc(1, size + 1);
	struct token_claims c;
	struct err e = ERR_INIT;

	if (!keys && token_keys_new(SECRET, NULL, &keys, &e) < 0)
		abort();
	memcpy(text, data, size);
	if (token_check(keys, text, &c, &e) == 0)
		abort();
	check_signed(keys, text);
	check_key(text);
	return 0;
}
