#include "key_cache.h"

#include "base/own.h"
#include "test.h"

OWN_DEFINE(cache, struct key_cache *, key_cache_free)

static struct key_cache *make(void)
{
	struct key_cache *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(key_cache_new(&c, &e), &e);
	return c;
}

static const char *hash_of(unsigned n, char ret[API_KEY_HASH_SIZE])
{
	/* The same head for all: they share a bucket. */
	snprintf(ret, API_KEY_HASH_SIZE, "abcd%060x", n);
	return ret;
}

static void it_is_believed_for_a_moment(void **state)
{
	OWN(cache) struct key_cache *c = make();
	struct key_info info = { "k", "u", true, 7 }, got;
	char hash[API_KEY_HASH_SIZE], other[API_KEY_HASH_SIZE];

	(void)state;
	hash_of(1, hash);
	assert_false(key_cache_find(c, hash, 100, &got));
	key_cache_put(c, hash, 100, &info);
	assert_true(key_cache_find(c, hash, 100 + KEY_CACHE_MS - 1, &got));
	assert_string_equal(got.key_id, "k");
	assert_string_equal(got.user_id, "u");
	assert_true(got.may_write);
	assert_int_equal(got.expires_s, 7);
	assert_false(key_cache_find(c, hash, 100 + KEY_CACHE_MS, &got));
	assert_false(key_cache_find(c, hash_of(2, other), 100, &got));
}

static void the_latest_word_counts(void **state)
{
	OWN(cache) struct key_cache *c = make();
	struct key_info writes = { "k", "u", true, 0 }, reads = { "k", "u", false, 0 }, got;
	char hash[API_KEY_HASH_SIZE];

	(void)state;
	hash_of(1, hash);
	key_cache_put(c, hash, 100, &writes);
	key_cache_put(c, hash, 200, &reads);
	assert_true(key_cache_find(c, hash, 100 + KEY_CACHE_MS, &got));
	assert_false(got.may_write);
}

static void a_flood_of_keys_takes_no_more_room(void **state)
{
	OWN(cache) struct key_cache *c = make();
	struct key_info info = { "k", "u", true, 0 }, got;
	char hash[API_KEY_HASH_SIZE];
	int kept = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		key_cache_put(c, hash_of(i, hash), 100 + i, &info);
	assert_true(key_cache_find(c, hash_of(999, hash), 1100, &got));
	for (unsigned i = 0; i < 1000; i++)
		kept += key_cache_find(c, hash_of(i, hash), 1100, &got);
	assert_int_equal(kept, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_believed_for_a_moment),
		cmocka_unit_test(the_latest_word_counts),
		cmocka_unit_test(a_flood_of_keys_takes_no_more_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
