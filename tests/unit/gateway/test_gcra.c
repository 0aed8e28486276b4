#include "gcra.h"

#include "test.h"

#define SECOND 1000000LL

OWN_DEFINE(gcra, struct gcra *, gcra_free)

static struct gcra *make(size_t keys)
{
	struct gcra *g = NULL;
	struct err e = ERR_INIT;

	assert_ok(gcra_new(keys, &g, &e), &e);
	return g;
}

static void a_minutes_worth_may_come_at_once(void **state)
{
	OWN(gcra) struct gcra *g = make(64);
	struct gcra_result r;

	(void)state;
	for (long long i = 0; i < 5; i++) {
		gcra_count(g, "a", 5, SECOND, &r);
		assert_true(r.is_allowed);
		assert_int_equal(r.remaining, 4 - i);
		assert_int_equal(r.reset_us, 12 * SECOND * (i + 1));
		assert_int_equal(r.wait_us, 0);
	}
	for (int i = 0; i < 3; i++) {
		gcra_count(g, "a", 5, SECOND, &r);
		assert_false(r.is_allowed);
		assert_int_equal(r.remaining, 0);
		assert_int_equal(r.wait_us, 12 * SECOND);
	}
	gcra_count(g, "b", 5, SECOND, &r);
	assert_true(r.is_allowed);
}

static void they_come_back_evenly(void **state)
{
	OWN(gcra) struct gcra *g = make(64);
	struct gcra_result r;

	(void)state;
	for (int i = 0; i < 5; i++)
		gcra_count(g, "a", 5, 0, &r);
	gcra_count(g, "a", 5, 12 * SECOND - 1, &r);
	assert_false(r.is_allowed);
	assert_int_equal(r.wait_us, 1);
	gcra_count(g, "a", 5, 12 * SECOND, &r);
	assert_true(r.is_allowed);
	gcra_count(g, "a", 5, 12 * SECOND, &r);
	assert_false(r.is_allowed);
	gcra_count(g, "a", 5, 1000 * SECOND, &r);
	assert_true(r.is_allowed);
	assert_int_equal(r.remaining, 4);
}

static void a_limit_of_one_is_one(void **state)
{
	OWN(gcra) struct gcra *g = make(64);
	struct gcra_result r;

	(void)state;
	gcra_count(g, "a", 1, 0, &r);
	assert_true(r.is_allowed);
	gcra_count(g, "a", 1, 59 * SECOND, &r);
	assert_false(r.is_allowed);
	gcra_count(g, "a", 1, 60 * SECOND, &r);
	assert_true(r.is_allowed);
}

static void a_flood_of_keys_finds_no_more_room(void **state)
{
	OWN(gcra) struct gcra *g = make(64);
	struct gcra_result r;
	char key[32];
	int allowed = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		gcra_count(g, key, 5, SECOND, &r);
		allowed += r.is_allowed;
	}
	assert_int_equal(allowed, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minutes_worth_may_come_at_once),
		cmocka_unit_test(they_come_back_evenly),
		cmocka_unit_test(a_limit_of_one_is_one),
		cmocka_unit_test(a_flood_of_keys_finds_no_more_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
