#include "attempt.h"

#include "test.h"

#define MIN_MS 60000LL

static const struct {
	const char *what;
	struct attempt_state state;
	long long want_ms;
} cases[] = {
	{ "never failed", { 0, 0, 0, false }, 0 },
	{ "failed less than it may", { 4, 0, 4, false }, 0 },
	{ "one more: a second", { 5, 0, 5, false }, 1000 },
	{ "part of it is over", { 5, 400, 5, false }, 600 },
	{ "it is over", { 5, 1000, 5, false }, 0 },
	{ "it doubles", { 8, 0, 8, false }, 8000 },
	{ "known or not, while nobody besieges", { 8, 0, 8, true }, 8000 },
	{ "it ends growing", { 15, 0, 15, true }, 15 * MIN_MS },
	{ "and never overflows", { 1000000, 0, 1000000, true }, 15 * MIN_MS },
	{ "besieged: the first try of a stranger is looked at", { 0, 0, 5000, false }, 0 },
	{ "besieged: a stranger's second is not, at once", { 1, 0, 20, false }, 1000 },
	{ "besieged: a known source has all its tries", { 4, 0, 5000, true }, 0 },
};

static void a_source_waits_for_what_it_did_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		print_message("  %s\n", cases[i].what);
		assert_int_equal(attempt_wait_ms(&cases[i].state), cases[i].want_ms);
	}
}

static void a_source_is_an_address_or_a_network(void **state)
{
	static const struct {
		const char *address, *want;
	} sources[] = {
		{ "203.0.113.9", "203.0.113.9" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
		{ "2001:DB8:1:2::", "2001:db8:1:2::/64" },
		{ "::1", "::/64" },
		{ "", "" },
		{ "localhost", "" },
		{ "203.0.113.9'; --", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(sources); i++) {
		char out[ATTEMPT_SOURCE_MAX];

		attempt_source(sources[i].address, out);
		assert_string_equal(out, sources[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_waits_for_what_it_did_itself),
		cmocka_unit_test(a_source_is_an_address_or_a_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
