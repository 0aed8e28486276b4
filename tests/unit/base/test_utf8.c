/* Text from outside, made fit to be kept. */

#include "test.h"

#include "base/utf8.h"

/* clang-format off */
static const struct { const char *in; size_t size; const char *out; } cases[] = {
	{ "",                          8, "" },
	{ "abc",                       8, "abc" },
	{ "abcdefgh",                  8, "abcdefg" },
	{ "abcdefg",                   8, "abcdefg" },
	{ "caf\xc3\xa9",               8, "caf\xc3\xa9" },
	{ "abcdef\xc3\xa9",            8, "abcdef" },
	{ "abcd\xf0\x9f\x98\x80",      8, "abcd" },
	{ "abc\xf0\x9f\x98\x80",       8, "abc\xf0\x9f\x98\x80" },
	{ "caf\xe9 x",                 8, "caf? x" },
	{ "\xff\xfe",                  8, "??" },
	{ "\xc3",                      8, "?" },
	{ "\xed\xa0\x80",              8, "???" },
	{ "x",                         1, "" },
};
/* clang-format on */

static void copies_are_text_and_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char to[8];

		utf8_copy(to, cases[i].size, cases[i].in);
		assert_string_equal(to, cases[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(copies_are_text_and_fit) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
