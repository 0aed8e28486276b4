#include "net/token.h"

#include "base/clock.h"
#include "test.h"

#include <jwt.h>
#include <sodium.h>

#define SECRET   "0123456789abcdef0123456789abcdef-current"
#define PREVIOUS "fedcba9876543210fedcba9876543210-previous"
#define STRANGER "ffffffffffffffffffffffffffffffff-stranger"

#define USER    "11111111-2222-4333-8444-555555555555"
#define SESSION "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define JTI     "99999999-8888-4777-8666-555555555555"

static struct token_keys *keys;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return token_keys_new(SECRET, "", &keys, &e);
}

static int teardown(void **state)
{
	(void)state;
	token_keys_free(keys);
	return 0;
}

static char *sign_with(const struct token_keys *k)
{
	struct token_claims claims = { .user_id = USER, .session_id = SESSION };
	struct err e = ERR_INIT;
	char *text = NULL;

	assert_ok(token_sign(k, &claims, &text, &e), &e);
	return text;
}

static void what_is_signed_is_accepted(void **state)
{
	struct token_claims in = { .user_id = USER, .session_id = SESSION }, out = { 0 };
	OWN(mem) char *text = NULL;
	struct err e = ERR_INIT;
	long long before_s = clock_now_ms() / 1000;

	(void)state;
	assert_ok(token_sign(keys, &in, &text, &e), &e);
	assert_true(strlen(text) < 600);
	assert_ok(token_check(keys, text, &out, &e), &e);
	assert_string_equal(out.user_id, USER);
	assert_string_equal(out.session_id, SESSION);
	assert_string_equal(out.token_id, in.token_id);
	assert_true(uuid_is_valid(out.token_id));
	assert_int_equal(out.expires_at_s - out.issued_at_s, TOKEN_ACCESS_S);
	assert_in_range(out.issued_at_s, before_s, clock_now_ms() / 1000);
}

static void the_previous_secret_checks_and_does_not_sign(void **state)
{
	struct token_keys *old = NULL, *rotated = NULL, *done = NULL;
	OWN(mem) char *before = NULL;
	OWN(mem) char *after = NULL;
	struct token_claims out;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(token_keys_new(PREVIOUS, NULL, &old, &e), &e);
	assert_ok(token_keys_new(SECRET, PREVIOUS, &rotated, &e), &e);
	assert_ok(token_keys_new(SECRET, "", &done, &e), &e);
	before = sign_with(old);
	after = sign_with(rotated);

	assert_ok(token_check(rotated, before, &out, &e), &e);
	assert_ok(token_check(rotated, after, &out, &e), &e);
	assert_ok(token_check(done, after, &out, &e), &e);
	assert_fails(token_check(old, after, &out, &e), &e, ERR_UNAUTHENTICATED);
	assert_fails(token_check(done, before, &out, &e), &e, ERR_UNAUTHENTICATED);
	token_keys_free(old);
	token_keys_free(rotated);
	token_keys_free(done);
}

static void short_secrets_are_refused_by_name(void **state)
{
	struct token_keys *k = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(token_keys_new("short", NULL, &k, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "JWT_SECRET");
	assert_fails(token_keys_new(SECRET, "short", &k, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "JWT_SECRET_PREVIOUS");
	assert_null(k);
}

/* Forged tokens: a whole header and payload, signed here with HMAC and a secret of one's choice. */

/* The kid that the keys' own tokens carry. */
static void kid_of(const struct token_keys *k, char kid[64])
{
	OWN(mem) char *text = sign_with(k);
	jwt_t *jwt = NULL;

	assert_int_equal(jwt_decode(&jwt, text, (const unsigned char *)SECRET, strlen(SECRET)), 0);
	snprintf(kid, 64, "%s", jwt_get_header(jwt, "kid"));
	jwt_free(jwt);
}

static size_t base64(const void *data, size_t len, char *out, size_t size)
{
	(void)sodium_bin2base64(out, size, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return strlen(out);
}

static char *forge(const char *header, const char *payload, const char *secret)
{
	size_t size = 4 * (strlen(header) + strlen(payload)) + 200, len;
	char *text = calloc(1, size);
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state hmac;

	assert_non_null(text);
	len = base64(header, strlen(header), text, size);
	text[len++] = '.';
	len += base64(payload, strlen(payload), text + len, size - len);
	crypto_auth_hmacsha256_init(&hmac, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&hmac, (const unsigned char *)text, len);
	crypto_auth_hmacsha256_final(&hmac, mac);
	text[len++] = '.';
	base64(mac, sizeof(mac), text + len, size - len);
	return text;
}

/* A payload with one claim changed: value NULL leaves it out; ret is for free(). */
static char *payload_with(const char *claim, const char *value)
{
	long long now = clock_now_ms() / 1000;
	char iat[32], exp[32], *text = calloc(1, 2048);
	const char *claims[][2] = { { "iss", "\"" TOKEN_ISSUER "\"" },
		                    { "aud", "\"" TOKEN_AUDIENCE "\"" },
		                    { "sub", "\"" USER "\"" },
		                    { "sid", "\"" SESSION "\"" },
		                    { "jti", "\"" JTI "\"" },
		                    { "typ", "\"access\"" },
		                    { "iat", iat },
		                    { "exp", exp },
		                    { "nbf", NULL } };
	size_t len = 0;

	assert_non_null(text);
	snprintf(iat, sizeof(iat), "%lld", now);
	snprintf(exp, sizeof(exp), "%lld", now + 900);
	for (size_t i = 0; i < COUNT(claims); i++) {
		const char *v = claim && strcmp(claims[i][0], claim) == 0 ? value : claims[i][1];

		if (v)
			len += (size_t)snprintf(text + len, 2048 - len, "%s\"%s\":%s",
			                        len ? "," : "{", claims[i][0], v);
	}
	snprintf(text + len, 2048 - len, "}");
	return text;
}

static void header_with(const char *alg, const char *kid, char *buf, size_t size)
{
	snprintf(buf, size, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}", alg, kid);
}

static void refused(const char *text)
{
	struct token_claims out = { .user_id = "untouched" };
	struct err e = ERR_INIT;

	assert_fails(token_check(keys, text, &out, &e), &e, ERR_UNAUTHENTICATED);
	assert_string_equal(e.msg, "token is not valid");
	assert_string_equal(out.user_id, "untouched");
}

/* Otherwise the refusals below prove nothing. */
static void a_forgery_with_the_right_secret_is_accepted(void **state)
{
	char kid[64], header[256];
	OWN(mem) char *payload = payload_with(NULL, NULL);
	OWN(mem) char *text = NULL;
	struct token_claims out;
	struct err e = ERR_INIT;

	(void)state;
	kid_of(keys, kid);
	header_with("HS256", kid, header, sizeof(header));
	text = forge(header, payload, SECRET);
	assert_ok(token_check(keys, text, &out, &e), &e);
	assert_string_equal(out.user_id, USER);
}

static void a_header_that_is_not_ours_is_refused(void **state)
{
	static const struct {
		const char *what, *alg, *kid, *secret;
	} cases[] = {
		{ "alg none", "none", NULL, SECRET },
		{ "alg NONE", "NONE", NULL, SECRET },
		{ "alg empty", "", NULL, SECRET },
		{ "alg RS256 with the secret as its key", "RS256", NULL, SECRET },
		{ "alg ES256", "ES256", NULL, SECRET },
		{ "alg HS384", "HS384", NULL, SECRET },
		{ "alg HS512", "HS512", NULL, SECRET },
		{ "another secret", "HS256", NULL, STRANGER },
		{ "the secret's first half", "HS256", NULL, "0123456789abcdef0123456789abcdef" },
		{ "kid of nobody", "HS256", "0000000000000000", SECRET },
		{ "kid empty", "HS256", "", SECRET },
		{ "kid a path", "HS256", "../../dev/null", SECRET },
	};
	char kid[64], header[256];

	(void)state;
	kid_of(keys, kid);
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(mem) char *payload = payload_with(NULL, NULL);
		OWN(mem) char *text = NULL;

		print_message("  %s\n", cases[i].what);
		header_with(cases[i].alg, cases[i].kid ? cases[i].kid : kid, header,
		            sizeof(header));
		text = forge(header, payload, cases[i].secret);
		refused(text);
	}
}

/* Whole and rightly signed, by our secret: only that we never sign so tells it from ours. */
static void another_algorithm_is_refused(void **state)
{
	static const jwt_alg_t algs[] = { JWT_ALG_HS384, JWT_ALG_HS512 };
	OWN(mem) char *good = sign_with(keys);

	(void)state;
	for (size_t i = 0; i < COUNT(algs); i++) {
		OWN(mem) char *text = NULL;
		jwt_t *jwt = NULL;

		assert_int_equal(
			jwt_decode(&jwt, good, (const unsigned char *)SECRET, (int)strlen(SECRET)),
			0);
		assert_int_equal(jwt_set_alg(jwt, algs[i], (const unsigned char *)SECRET,
		                             (int)strlen(SECRET)),
		                 0);
		text = jwt_encode_str(jwt);
		jwt_free(jwt);
		assert_non_null(text);
		refused(text);
	}
}

static void an_unsigned_token_is_refused(void **state)
{
	OWN(mem) char *payload = payload_with(NULL, NULL);
	char text[4096], kid[64], header[256];
	size_t len;

	(void)state;
	kid_of(keys, kid);
	for (int i = 0; i < 2; i++) {
		header_with(i ? "none" : "HS256", kid, header, sizeof(header));
		len = base64(header, strlen(header), text, sizeof(text));
		text[len++] = '.';
		len += base64(payload, strlen(payload), text + len, sizeof(text) - len);
		refused(text); /* without the last dot */
		memcpy(text + len, ".", 2);
		refused(text); /* and with it */
	}
}

static void a_claim_that_is_not_ours_is_refused(void **state)
{
	static const struct {
		const char *claim, *value;
	} cases[] = {
		{ "iss", NULL },
		{ "iss", "\"someone\"" },
		{ "iss", "[\"zaki\"]" },
		{ "aud", NULL },
		{ "aud", "\"zaki\"" },
		{ "aud", "[\"zaki-api\"]" },
		{ "sub", NULL },
		{ "sub", "\"\"" },
		{ "sub", "\"root\"" },
		{ "sub", "\"11111111-2222-4333-8444-55555555555\"" },
		{ "sub", "\"AAAAAAAA-2222-4333-8444-555555555555\"" },
		{ "sub", "1" },
		{ "sid", NULL },
		{ "sid", "\"x' OR '1'='1\"" },
		{ "sid", "{}" },
		{ "jti", NULL },
		{ "jti", "null" },
		{ "typ", NULL },
		{ "typ", "\"refresh\"" },
		{ "typ", "true" },
		{ "iat", NULL },
		{ "iat", "-1" },
		{ "iat", "\"now\"" },
		{ "iat", "99999999999" },
		{ "exp", NULL },
		{ "exp", "\"never\"" },
		{ "exp", "1e300" },
		{ "exp", "4102444800.5" },
		{ "exp", "99999999999999999999999" },
		{ "exp", "null" },
		{ "exp", "true" },
		{ "nbf", "4102444800" },
		{ "nbf", "\"now\"" },
	};
	char kid[64], header[256];

	(void)state;
	kid_of(keys, kid);
	header_with("HS256", kid, header, sizeof(header));
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(mem) char *payload = payload_with(cases[i].claim, cases[i].value);
		OWN(mem) char *text = forge(header, payload, SECRET);

		print_message("  %s %s\n", cases[i].claim,
		              cases[i].value ? cases[i].value : "left out");
		refused(text);
	}
}

static void an_expired_token_is_told_so(void **state)
{
	char kid[64], header[256], exp[32];
	struct token_claims out;
	struct err e = ERR_INIT;

	(void)state;
	kid_of(keys, kid);
	header_with("HS256", kid, header, sizeof(header));
	for (int ago = 0; ago < 2; ago++) {
		OWN(mem) char *payload = NULL;
		OWN(mem) char *text = NULL;

		snprintf(exp, sizeof(exp), "%lld", clock_now_ms() / 1000 - ago);
		payload = payload_with("exp", exp);
		text = forge(header, payload, SECRET);
		assert_fails(token_check(keys, text, &out, &e), &e, ERR_UNAUTHENTICATED);
		assert_string_equal(e.msg, "token has expired");
	}
}

static void another_machines_clock_may_be_a_little_ahead(void **state)
{
	char kid[64], header[256], iat[32];
	struct token_claims out;
	struct err e = ERR_INIT;
	OWN(mem) char *payload = NULL;
	OWN(mem) char *text = NULL;

	(void)state;
	kid_of(keys, kid);
	header_with("HS256", kid, header, sizeof(header));
	snprintf(iat, sizeof(iat), "%lld", clock_now_ms() / 1000 + TOKEN_LEEWAY_S - 1);
	payload = payload_with("iat", iat);
	text = forge(header, payload, SECRET);
	assert_ok(token_check(keys, text, &out, &e), &e);
}

/* Every character that is changed, cut off or put in makes it another token, or none. */
static void a_changed_token_is_refused(void **state)
{
	OWN(mem) char *good = sign_with(keys);
	size_t len = strlen(good);
	char text[TOKEN_LEN_MAX + 8];

	(void)state;
	for (size_t i = 0; i < len; i++) {
		memcpy(text, good, len + 1);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		if (strcmp(text, good) != 0)
			refused(text);
	}
	for (size_t i = 0; i < len; i++) {
		snprintf(text, sizeof(text), "%.*s", (int)i, good);
		refused(text);
	}
}

static void what_stands_around_a_token_is_refused(void **state)
{
	static const char *const forms[] = { "%s ",    " %s",    "%s\n", "%s.",    ".%s",
		                             "%sA",    "%s==",   "A%s",  "%s.e",   "%s\t",
		                             "%s\x01", "%s%%00", "%s~",  "\"%s\"", "Bearer %s" };
	OWN(mem) char *good = sign_with(keys);
	char text[TOKEN_LEN_MAX + 8];

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		const char *at = strstr(forms[i], "%s");

		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - forms[i]), forms[i], good,
		         at + 2);
		refused(text);
	}
}

static void a_huge_token_is_refused_at_once(void **state)
{
	size_t size = (size_t)100 << 10;
	OWN(mem) char *text = malloc(size + 1);
	char kid[64], header[256];
	OWN(mem) char *payload = calloc(1, 8192);
	OWN(mem) char *inner = payload_with(NULL, NULL);
	OWN(mem) char *signed_one = NULL;

	(void)state;
	assert_non_null(text);
	assert_non_null(payload);
	memset(text, 'A', size);
	text[size] = '\0';
	refused(text);
	text[1000] = '.';
	text[50000] = '.';
	refused(text);

	/* Longer than TOKEN_LEN_MAX by far, and signed with our own secret. */
	kid_of(keys, kid);
	header_with("HS256", kid, header, sizeof(header));
	snprintf(payload, 8192, "{\"pad\":\"%04000d\",%s", 0, inner + 1);
	signed_one = forge(header, payload, SECRET);
	assert_true(strlen(signed_one) > TOKEN_LEN_MAX);
	refused(signed_one);
}

static void what_is_no_token_is_refused(void **state)
{
	static const char *const cases[] = { "",
		                             ".",
		                             "..",
		                             "...",
		                             "a.b.c",
		                             "....",
		                             "e30.e30.",
		                             "e30.e30.e30",
		                             "null",
		                             "a",
		                             "eyJhbGciOiJIUzI1NiJ9..AAAA",
		                             "\xff\xfe.\xff.\xff" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		refused(cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_signed_is_accepted),
		cmocka_unit_test(the_previous_secret_checks_and_does_not_sign),
		cmocka_unit_test(short_secrets_are_refused_by_name),
		cmocka_unit_test(a_forgery_with_the_right_secret_is_accepted),
		cmocka_unit_test(a_header_that_is_not_ours_is_refused),
		cmocka_unit_test(another_algorithm_is_refused),
		cmocka_unit_test(an_unsigned_token_is_refused),
		cmocka_unit_test(a_claim_that_is_not_ours_is_refused),
		cmocka_unit_test(an_expired_token_is_told_so),
		cmocka_unit_test(another_machines_clock_may_be_a_little_ahead),
		cmocka_unit_test(a_changed_token_is_refused),
		cmocka_unit_test(what_stands_around_a_token_is_refused),
		cmocka_unit_test(a_huge_token_is_refused_at_once),
		cmocka_unit_test(what_is_no_token_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
