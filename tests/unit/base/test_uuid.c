/* Identifiers. */

#include "test.h"

#include "base/uuid.h"

#include <sodium.h>

/* clang-format off */
static const struct { const char *text; bool is_uuid; } cases[] = {
	{ "123e4567-e89b-42d3-a456-426614174000",  true },
	{ "00000000-0000-0000-0000-000000000000",  true },
	{ "123E4567-E89B-42D3-A456-426614174000",  false },
	{ "123e4567-e89b-42d3-a456-42661417400",   false },
	{ "123e4567-e89b-42d3-a456-4266141740000", false },
	{ "123e4567e89b-42d3-a456-426614174000a",  false },
	{ "123e4567-e89b-42d3-a456-42661417400g",  false },
	{ "{23e4567-e89b-42d3-a456-426614174000}", false },
	{ "123e4567-e89b-42d3-a456 426614174000",  false },
	{ " 23e4567-e89b-42d3-a456-426614174000",  false },
	{ "../../../../../../../../../etc/passwd", false },
	{ "",                                      false },
};
/* clang-format on */

static void only_lower_case_uuids_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(uuid_is_valid(cases[i].text), cases[i].is_uuid);
}

static void those_made_are_version_4_and_differ(void **state)
{
	char a[UUID_SIZE], b[UUID_SIZE];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uuid_make(a);
		uuid_make(b);
		assert_true(uuid_is_valid(a));
		assert_int_equal(a[14], '4');
		assert_non_null(strchr("89ab", a[19]));
		assert_string_not_equal(a, b);
	}
}

static void random_hex_fills_its_length(void **state)
{
	char hex[33] = "";

	(void)state;
	random_hex(16, hex);
	assert_int_equal(strspn(hex, "0123456789abcdef"), 32);
	random_hex(0, hex);
	assert_string_equal(hex, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_lower_case_uuids_are_taken),
		cmocka_unit_test(those_made_are_version_4_and_differ),
		cmocka_unit_test(random_hex_fills_its_length),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
