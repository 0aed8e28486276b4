#include "base/own.h"
#include "net/api_key.h"

#include "test.h"

#include <sodium.h>

static void a_key_is_known_by_its_looks_and_is_no_other(void **state)
{
	char one[API_KEY_SIZE], two[API_KEY_SIZE];

	(void)state;
	api_key_make(one);
	api_key_make(two);
	assert_memory_equal(one, "zaki_", 5);
	assert_int_equal(strlen(one), API_KEY_SIZE - 1);
	assert_true(api_key_is_one(one) && api_key_is_one(two));
	assert_string_not_equal(one, two);
}

static void what_only_resembles_one_is_none(void **state)
{
	char key[API_KEY_SIZE + 1];

	(void)state;
	api_key_make(key);
	assert_false(api_key_is_one(""));
	assert_false(api_key_is_one("zaki_"));
	assert_false(api_key_is_one(key + 1));
	for (size_t i = 0; i < API_KEY_SIZE - 1; i++) {
		char was = key[i];

		key[i] = ' ';
		assert_false(api_key_is_one(key));
		key[i] = '\0';
		assert_false(api_key_is_one(key));
		key[i] = was;
	}
	key[API_KEY_SIZE - 1] = 'A';
	key[API_KEY_SIZE] = '\0';
	assert_false(api_key_is_one(key));
}

static void its_hash_is_its_own(void **state)
{
	char key[API_KEY_SIZE], hash[API_KEY_HASH_SIZE], again[API_KEY_HASH_SIZE];

	(void)state;
	api_key_make(key);
	api_key_hash(key, hash);
	api_key_hash(key, again);
	assert_string_equal(hash, again);
	assert_int_equal(strspn(hash, "0123456789abcdef"), API_KEY_HASH_SIZE - 1);
	key[10] = key[10] == 'A' ? 'B' : 'A';
	api_key_hash(key, again);
	assert_string_not_equal(hash, again);
	/* BLAKE2b-256 of "", as others compute it. */
	api_key_hash("", hash);
	assert_string_equal(hash,
	                    "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_known_by_its_looks_and_is_no_other),
		cmocka_unit_test(what_only_resembles_one_is_none),
		cmocka_unit_test(its_hash_is_its_own),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
