#include "refresh.h"

#include "test.h"

#define GRACE REFRESH_GRACE_MS
#define HEIRS REFRESH_HEIRS_MAX

/* clang-format off */
static const struct {
	const char *what;
	struct refresh_state state;
	enum refresh_verdict want;
} cases[] = {
	/* ended, gone, session over, token over, used; ago in ms; heirs; an heir was used */
	{ "first use",                        { 0, 0, 0, 0, 0, 0,         0,         0 }, REFRESH_ROTATE },
	{ "first use, past its time",         { 0, 0, 0, 1, 0, 0,         0,         0 }, REFRESH_OVER },
	{ "first use, session past its time", { 0, 0, 1, 0, 0, 0,         0,         0 }, REFRESH_OVER },
	{ "session has ended",                { 1, 0, 0, 0, 0, 0,         0,         0 }, REFRESH_OVER },
	{ "account is being deleted",         { 0, 1, 0, 0, 0, 0,         0,         0 }, REFRESH_OVER },
	{ "again at once",                    { 0, 0, 0, 0, 1, 0,         1,         0 }, REFRESH_GRACE },
	{ "again at the grace's end",         { 0, 0, 0, 0, 1, GRACE,     1,         0 }, REFRESH_GRACE },
	{ "again past the grace",             { 0, 0, 0, 0, 1, GRACE + 1, 1,         0 }, REFRESH_REUSED },
	{ "again days later",                 { 0, 0, 0, 0, 1, 500000000, 1,         0 }, REFRESH_REUSED },
	{ "again, its successor was used",    { 0, 0, 0, 0, 1, 5,         1,         1 }, REFRESH_REUSED },
	{ "again, one of two was used",       { 0, 0, 0, 0, 1, 5,         2,         1 }, REFRESH_REUSED },
	{ "the last successor that may be",   { 0, 0, 0, 0, 1, 5,         HEIRS - 1, 0 }, REFRESH_GRACE },
	{ "one successor too many",           { 0, 0, 0, 0, 1, 5,         HEIRS,     0 }, REFRESH_TOO_MANY },
	{ "too many, and past the grace",     { 0, 0, 0, 0, 1, GRACE + 1, HEIRS,     0 }, REFRESH_REUSED },
	{ "within the grace, past its time",  { 0, 0, 0, 1, 1, 5,         1,         0 }, REFRESH_OVER },
	{ "past the grace and its time",      { 0, 0, 0, 1, 1, GRACE + 1, 1,         0 }, REFRESH_REUSED },
	{ "used before, its session ended",   { 1, 0, 0, 0, 1, GRACE + 1, 1,         0 }, REFRESH_OVER },
	{ "a clock that went back",           { 0, 0, 0, 0, 1, -50,       1,         0 }, REFRESH_GRACE },
};
/* clang-format on */

static void a_token_is_good_once_and_a_moment_longer(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		print_message("  %s\n", cases[i].what);
		assert_int_equal(refresh_decide(&cases[i].state), cases[i].want);
	}
}

static void a_hash_is_of_the_text(void **state)
{
	char a[REFRESH_HASH_SIZE], b[REFRESH_HASH_SIZE];

	(void)state;
	refresh_hash("one", a);
	refresh_hash("one", b);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), REFRESH_HASH_SIZE - 1);
	refresh_hash("two", b);
	assert_string_not_equal(a, b);
	/* BLAKE2b-256 of "", as others compute it: nothing of the text itself is kept. */
	refresh_hash("", b);
	assert_string_equal(b, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_good_once_and_a_moment_longer),
		cmocka_unit_test(a_hash_is_of_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
