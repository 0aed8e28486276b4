#include "tier_cache.h"

#include "test.h"

#define ADA "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c"
#define BOB "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5d"

/* Its own entry, in the bucket that they share. */
static void each_has_their_own(void **state)
{
	struct tier_cache *c = NULL;
	struct err e = ERR_INIT;
	bool is_fresh;

	(void)state;
	assert_int_equal(tier_cache_new(&c, &e), 0);
	assert_null(tier_cache_find(c, ADA, 1000, &is_fresh));
	assert_false(is_fresh);
	tier_cache_put(c, ADA, 1000, &tiers[TIER_PRO]);
	assert_null(tier_cache_find(c, BOB, 1000, &is_fresh));
	tier_cache_put(c, BOB, 1000, &tiers[TIER_FREE]);
	assert_ptr_equal(tier_cache_find(c, ADA, 1000, &is_fresh), &tiers[TIER_PRO]);
	assert_true(is_fresh);
	assert_ptr_equal(tier_cache_find(c, BOB, 1000, &is_fresh), &tiers[TIER_FREE]);
	tier_cache_put(c, ADA, 1001, &tiers[TIER_FREE]);
	assert_ptr_equal(tier_cache_find(c, ADA, 1001, &is_fresh), &tiers[TIER_FREE]);
	tier_cache_free(c);
}

static void an_old_one_still_says_what_it_was(void **state)
{
	struct tier_cache *c = NULL;
	struct err e = ERR_INIT;
	bool is_fresh;

	(void)state;
	assert_int_equal(tier_cache_new(&c, &e), 0);
	tier_cache_put(c, ADA, 1000, &tiers[TIER_PRO]);
	assert_ptr_equal(tier_cache_find(c, ADA, 1000 + TIER_CACHE_MS - 1, &is_fresh),
	                 &tiers[TIER_PRO]);
	assert_true(is_fresh);
	assert_ptr_equal(tier_cache_find(c, ADA, 1000 + TIER_CACHE_MS, &is_fresh),
	                 &tiers[TIER_PRO]);
	assert_false(is_fresh);
	tier_cache_free(c);
}

/* Many more than there is room for: the latest are there, and nobody has another's. */
static void a_full_table_forgets_the_oldest(void **state)
{
	struct tier_cache *c = NULL;
	struct err e = ERR_INIT;
	bool is_fresh;

	(void)state;
	assert_int_equal(tier_cache_new(&c, &e), 0);
	for (int i = 0; i < 20000; i++) {
		char id[UUID_SIZE];

		snprintf(id, sizeof(id), "%08x-9a4d-4e57-8b0c-6d1e2f3a4b5c", i);
		tier_cache_put(c, id, i, &tiers[i % TIER_COUNT]);
		assert_ptr_equal(tier_cache_find(c, id, i, &is_fresh), &tiers[i % TIER_COUNT]);
	}
	assert_null(tier_cache_find(c, "00000001-9a4d-4e57-8b0c-6d1e2f3a4b5c", 20000, &is_fresh));
	tier_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_their_own),
		cmocka_unit_test(an_old_one_still_says_what_it_was),
		cmocka_unit_test(a_full_table_forgets_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
