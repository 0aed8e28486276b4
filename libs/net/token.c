#include "net/token.h"

#include "base/clock.h"
#include "base/own.h"

#include <jwt.h>
#include <sodium.h>

#define KID_BYTES 8
#define KID_SIZE  (2 * KID_BYTES + 1)

OWN_DEFINE(jwt, jwt_t *, jwt_free)

/* One secret and the name by which tokens say which it is. */
struct token_key {
	unsigned char *secret; /* NULL: there is none */
	size_t len;
	char kid[KID_SIZE];
};

struct token_keys {
	struct token_key key[2]; /* current, previous */
};

/* The kid is made from the secret, so that every process finds the same one: a keyed hash of it,
 * short, from which nothing leads back. */
static int key_set(struct token_key *k, const char *secret, const char *name, struct err *e)
{
	static const unsigned char purpose[] = "zaki access token kid";
	unsigned char hash[crypto_generichash_BYTES];

	k->len = strlen(secret);
	if (k->len < TOKEN_SECRET_MIN)
		return err_field(e, name, "must be at least %d bytes", TOKEN_SECRET_MIN);
	k->secret = (unsigned char *)strdup(secret);
	if (!k->secret)
		return err_set(e, ERR_INTERNAL, "out of memory");

	(void)crypto_generichash(hash, sizeof(hash), k->secret, k->len, purpose,
	                         sizeof(purpose) - 1);
	(void)sodium_bin2hex(k->kid, sizeof(k->kid), hash, KID_BYTES);
	return 0;
}

int token_keys_new(const char *current, const char *previous, struct token_keys **ret,
                   struct err *e)
{
	struct token_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (sodium_init() < 0) {
		token_keys_free(k);
		return err_set(e, ERR_INTERNAL, "libsodium does not start");
	}
	if (key_set(&k->key[0], current, "JWT_SECRET", e) < 0 ||
	    (previous && previous[0] &&
	     key_set(&k->key[1], previous, "JWT_SECRET_PREVIOUS", e) < 0)) {
		token_keys_free(k);
		return -1;
	}
	*ret = k;
	return 0;
}

void token_keys_free(struct token_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < COUNT(k->key); i++) {
		if (k->key[i].secret)
			sodium_memzero(k->key[i].secret, k->key[i].len);
		free(k->key[i].secret);
	}
	free(k);
}

int token_sign(const struct token_keys *k, struct token_claims *claims, char **ret, struct err *e)
{
	const struct token_key *key = &k->key[0];
	struct token_claims c = *claims;
	OWN(jwt) jwt_t *jwt = NULL;
	char *text;

	uuid_make(c.token_id);
	c.issued_at_s = clock_now_ms() / 1000;
	c.expires_at_s = c.issued_at_s + TOKEN_ACCESS_S;

	if (jwt_new(&jwt) != 0 ||
	    jwt_set_alg(jwt, JWT_ALG_HS256, key->secret, (int)key->len) != 0 ||
	    jwt_add_header(jwt, "kid", key->kid) != 0 ||
	    jwt_add_grant(jwt, "iss", TOKEN_ISSUER) != 0 ||
	    jwt_add_grant(jwt, "aud", TOKEN_AUDIENCE) != 0 ||
	    jwt_add_grant(jwt, "sub", c.user_id) != 0 ||
	    jwt_add_grant(jwt, "sid", c.session_id) != 0 ||
	    jwt_add_grant(jwt, "jti", c.token_id) != 0 ||
	    jwt_add_grant(jwt, "typ", "access") != 0 ||
	    jwt_add_grant_int(jwt, "iat", (long)c.issued_at_s) != 0 ||
	    jwt_add_grant_int(jwt, "exp", (long)c.expires_at_s) != 0 ||
	    !(text = jwt_encode_str(jwt)))
		return err_set(e, ERR_INTERNAL, "cannot sign a token");

	*claims = c;
	*ret = text;
	return 0;
}

/* Three parts of base64url and nothing else, as RFC 7515 writes them: libjwt's decoder skips what
 * it does not know. */
static bool is_compact_form(const char *text)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len = strnlen(text, TOKEN_LEN_MAX + 1);

	if (len > TOKEN_LEN_MAX)
		return false;
	for (int part = 0; part < 3; part++) {
		size_t n = strspn(text, alphabet);

		if (n == 0 || text[n] != (part < 2 ? '.' : '\0'))
			return false;
		text += n + 1;
	}
	return true;
}

/* Decodes what this key signed, and nothing else: libjwt believes the algorithm that the token
 * names, so that it is compared before any claim is read. NULL when it does not fit. */
static jwt_t *open_with(const struct token_key *key, const char *text)
{
	OWN(jwt) jwt_t *jwt = NULL;
	const char *kid;

	if (!key->secret || jwt_decode(&jwt, text, key->secret, (int)key->len) != 0)
		return NULL;
	kid = jwt_get_header(jwt, "kid");
	if (jwt_get_alg(jwt) != JWT_ALG_HS256 || !kid || strcmp(kid, key->kid) != 0)
		return NULL;
	return TAKE(jwt);
}

static bool claim_is(jwt_t *jwt, const char *name, const char *want)
{
	const char *value = jwt_get_grant(jwt, name);

	return value && strcmp(value, want) == 0;
}

static bool read_uuid(jwt_t *jwt, const char *name, char ret[UUID_SIZE])
{
	const char *value = jwt_get_grant(jwt, name);

	if (!value || !uuid_is_valid(value))
		return false;
	memcpy(ret, value, UUID_SIZE);
	return true;
}

/* Ours say nothing of it; one that does is held to it (RFC 7519, 4.1.5). */
static bool is_begun(jwt_t *jwt, long long now_s)
{
	OWN(mem) char *any = jwt_get_grants_json(jwt, "nbf");
	long long begin_s = jwt_get_grant_int(jwt, "nbf");

	return !any || (begin_s > 0 && begin_s <= now_s + TOKEN_LEEWAY_S);
}

/* A claim that is absent or no integer reads as 0, which no time of ours is. */
static bool read_claims(jwt_t *jwt, struct token_claims *c)
{
	c->issued_at_s = jwt_get_grant_int(jwt, "iat");
	c->expires_at_s = jwt_get_grant_int(jwt, "exp");
	return claim_is(jwt, "iss", TOKEN_ISSUER) && claim_is(jwt, "aud", TOKEN_AUDIENCE) &&
	       claim_is(jwt, "typ", "access") && read_uuid(jwt, "sub", c->user_id) &&
	       read_uuid(jwt, "sid", c->session_id) && read_uuid(jwt, "jti", c->token_id) &&
	       c->issued_at_s > 0 && c->expires_at_s > 0;
}

int token_check(const struct token_keys *k, const char *text, struct token_claims *ret,
                struct err *e)
{
	long long now_s = clock_now_ms() / 1000;
	struct token_claims c = { 0 };
	OWN(jwt) jwt_t *jwt = NULL;

	for (size_t i = 0; i < COUNT(k->key) && !jwt && is_compact_form(text); i++)
		jwt = open_with(&k->key[i], text);
	if (!jwt || !read_claims(jwt, &c) || c.issued_at_s > now_s + TOKEN_LEEWAY_S ||
	    !is_begun(jwt, now_s))
		return err_set(e, ERR_UNAUTHENTICATED, "token is not valid");
	if (c.expires_at_s <= now_s)
		return err_set(e, ERR_UNAUTHENTICATED, "token has expired");
	*ret = c;
	return 0;
}
