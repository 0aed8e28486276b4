#include "token_cache.h"

#include "test.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER  "fedcba9876543210fedcba9876543210"
#define USER   "11111111-1111-4111-8111-111111111111"
#define ID     "22222222-2222-4222-8222-222222222222"

OWN_DEFINE(cache, struct token_cache *, token_cache_free)
OWN_DEFINE(keys, struct token_keys *, token_keys_free)

static struct token_cache *make(void)
{
	struct token_cache *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(token_cache_new(&c, &e), &e);
	return c;
}

static struct token_keys *keys_of(const char *secret)
{
	struct token_keys *k = NULL;
	struct err e = ERR_INIT;

	assert_ok(token_keys_new(secret, NULL, &k, &e), &e);
	return k;
}

static char *sign(const struct token_keys *k)
{
	struct token_claims claims = { .user_id = USER, .session_id = ID };
	struct err e = ERR_INIT;
	char *text = NULL;

	assert_ok(token_sign(k, &claims, &text, &e), &e);
	return text;
}

static int check(struct token_cache *c, const struct token_keys *k, const char *text,
                 struct token_claims *ret, struct err *e)
{
	bool is_known = true;
	int r = token_cache_check(c, k, text, ret, &is_known, e);

	assert_false(is_known);
	return r;
}

/* What auth said of one token is said of no other. */
static void a_session_is_known_once_auth_said_so(void **state)
{
	OWN(cache) struct token_cache *c = make();
	OWN(keys) struct token_keys *k = keys_of(SECRET);
	OWN(mem) char *text = sign(k);
	OWN(mem) char *other = sign(k);
	struct token_claims claims;
	struct err e = ERR_INIT;
	bool is_known = false;

	(void)state;
	assert_ok(check(c, k, text, &claims, &e), &e);
	assert_ok(check(c, k, other, &claims, &e), &e);
	token_cache_know(c, text);
	assert_ok(token_cache_check(c, k, text, &claims, &is_known, &e), &e);
	assert_true(is_known);
	assert_ok(check(c, k, other, &claims, &e), &e);
}

static void a_good_token_stays_good(void **state)
{
	OWN(cache) struct token_cache *c = make();
	OWN(keys) struct token_keys *k = keys_of(SECRET);
	OWN(mem) char *text = sign(k);

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct token_claims claims = { .user_id = "" };
		struct err e = ERR_INIT;

		assert_ok(check(c, k, text, &claims, &e), &e);
		assert_string_equal(claims.user_id, USER);
		assert_string_equal(claims.session_id, ID);
	}
}

static void nothing_but_that_token_is_good(void **state)
{
	OWN(cache) struct token_cache *c = make();
	OWN(keys) struct token_keys *k = keys_of(SECRET);
	OWN(keys) struct token_keys *other = keys_of(OTHER);
	OWN(mem) char *text = sign(k);
	OWN(mem) char *foreign = sign(other);
	struct token_claims claims;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(check(c, k, text, &claims, &e), &e);
	for (int i = 0; i < 2; i++)
		assert_fails(check(c, k, foreign, &claims, &e), &e, ERR_UNAUTHENTICATED);
	for (size_t i = 0; i < strlen(text); i++) {
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		/* The last character of a part has bits that mean nothing. */
		if (token_check(k, text, &claims, &e) < 0)
			assert_fails(check(c, k, text, &claims, &e), &e, ERR_UNAUTHENTICATED);
		text[i] = was;
	}
	assert_fails(check(c, k, "", &claims, &e), &e, ERR_UNAUTHENTICATED);
}

static void more_tokens_than_there_is_room_for_are_fine(void **state)
{
	OWN(cache) struct token_cache *c = make();
	OWN(keys) struct token_keys *k = keys_of(SECRET);

	(void)state;
	for (int i = 0; i < 6000; i++) {
		OWN(mem) char *text = sign(k);
		struct token_claims claims;
		struct err e = ERR_INIT;

		assert_ok(check(c, k, text, &claims, &e), &e);
		assert_ok(check(c, k, text, &claims, &e), &e);
	}
}

static void a_token_without_end_is_refused(void **state)
{
	OWN(cache) struct token_cache *c = make();
	OWN(keys) struct token_keys *k = keys_of(SECRET);
	OWN(mem) char *text = calloc(1, 100 * 1024);
	struct token_claims claims;
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'a', 100 * 1024 - 1);
	assert_fails(check(c, k, text, &claims, &e), &e, ERR_UNAUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_token_stays_good),
		cmocka_unit_test(a_session_is_known_once_auth_said_so),
		cmocka_unit_test(nothing_but_that_token_is_good),
		cmocka_unit_test(more_tokens_than_there_is_room_for_are_fine),
		cmocka_unit_test(a_token_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
