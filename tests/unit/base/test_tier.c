#include "base/tier.h"
#include "messages.h"
#include "test.h"
#include "wire/wire.h"

/* The tiers of the table are those that the bus knows, and each has something of everything. */
static void the_tables_know_the_same_tiers(void **state)
{
	const struct wire_field *f = wire_field_find(&wire_user_tier_view, "subscription_tier");
	size_t count = 0;

	(void)state;
	for (; f->one_of[count]; count++) {
		const struct tier *t = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(tier_find(f->one_of[count], &t, &e), 0);
		assert_string_equal(t->name, f->one_of[count]);
		assert_in_range(t->assistants, 1, 1000);
		assert_in_range(t->requests_per_min, 1, 1000000);
		assert_in_range(t->sockets, 1, 1000000);
		assert_in_range(t->api_keys, 1, 100);
		assert_in_range(t->exports_per_day, 1, 1000);
		assert_in_range(t->backups_per_day, 1, 1000);
	}
	assert_int_equal(count, TIER_COUNT);
}

static void one_that_is_none_is_said(void **state)
{
	static const char *const names[] = { "gold", "", "Free", NULL };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct tier *t = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(tier_find(names[i], &t, &e), -1);
		assert_int_equal(e.code, ERR_INTERNAL);
		assert_null(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_know_the_same_tiers),
		cmocka_unit_test(one_that_is_none_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
