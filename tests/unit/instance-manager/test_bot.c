#include "bot.h"

#include "test.h"

/* Names come from Telegram, and must fit a format of ours: one line, no space at either end. */
static void a_name_is_made_fit_for_one_line(void **state)
{
	static const struct {
		const char *what, *in;
		size_t max;
		const char *want;
	} cases[] = {
		{ "usual", "Ada's helper", 255, "Ada's helper" },
		{ "spaces around", "  Ada  ", 255, "Ada" },
		{ "line break within", "Ada\nLovelace", 255, "Ada Lovelace" },
		{ "only control characters", "\t\r\n\x7f", 255, "" },
		{ "empty", "", 255, "" },
		{ "cut", "abcdef", 3, "abc" },
		{ "cut at a space", "ab cdef", 3, "ab" },
		{ "cut between characters of several bytes", "\xc3\xa9\xc3\xa9\xc3\xa9", 2,
		  "\xc3\xa9\xc3\xa9" },
		{ "just as long", "abc", 3, "abc" },
		{ "emoji", "\xf0\x9f\xa6\x9e bot", 255, "\xf0\x9f\xa6\x9e bot" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[64];

		print_message("  %s\n", cases[i].what);
		snprintf(text, sizeof(text), "%s", cases[i].in);
		bot_line(text, cases[i].max);
		assert_string_equal(text, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_made_fit_for_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
