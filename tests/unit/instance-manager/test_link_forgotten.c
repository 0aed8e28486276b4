#include "link/forgotten.h"

#include "test.h"

static const char *id_of(int n)
{
	static char id[UUID_SIZE];

	snprintf(id, sizeof(id), "11111111-2222-4333-8444-%012d", n);
	return id;
}

static void those_that_are_named_are_forgotten(void **state)
{
	struct forgotten f = { 0 };

	(void)state;
	assert_false(forgotten_has(&f, id_of(1)));
	forgotten_add(&f, id_of(1));
	forgotten_add(&f, id_of(3));
	assert_true(forgotten_has(&f, id_of(1)) && forgotten_has(&f, id_of(3)));
	assert_false(forgotten_has(&f, id_of(2)));
}

static void one_that_is_named_often_takes_one_place(void **state)
{
	struct forgotten f = { 0 };

	(void)state;
	for (int i = 0; i < 10 * FORGOTTEN_MAX; i++)
		forgotten_add(&f, id_of(7));
	assert_int_equal(f.count, 1);
	assert_false(f.is_all);
}

static void past_the_last_place_it_is_everybody(void **state)
{
	struct forgotten f = { 0 };

	(void)state;
	for (int i = 0; i < FORGOTTEN_MAX; i++)
		forgotten_add(&f, id_of(i));
	assert_false(forgotten_has(&f, id_of(FORGOTTEN_MAX)));
	forgotten_add(&f, id_of(FORGOTTEN_MAX));
	for (int i = 0; i < 3 * FORGOTTEN_MAX; i++)
		assert_true(forgotten_has(&f, id_of(i)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_that_are_named_are_forgotten),
		cmocka_unit_test(one_that_is_named_often_takes_one_place),
		cmocka_unit_test(past_the_last_place_it_is_everybody),
	};

	return cmocka_run_group_tests_name("link/forgotten", tests, NULL, NULL);
}
