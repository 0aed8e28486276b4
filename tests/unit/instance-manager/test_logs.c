#include "logs/lines.h"
#include "logs/mask.h"

#include "test.h"

#define TOKEN "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"

static void secrets_are_covered(void **state)
{
	static const char *const secrets[] = { "hunter22", "abc", NULL, "" };
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "nothing here", "nothing here" },
		{ "key=hunter22;hunter22", "key=********;********" },
		{ "abc is too short", "abc is too short" },
		{ "at /bot" TOKEN "/getMe",
		  "at /bot123456789:**********************************/getMe" },
		{ "at 12:34:56 GMT+01:00", "at 12:34:56 GMT+01:00" },
		{ "Authorization: Bearer abcdefghijklmnop.q",
		  "Authorization: Bearer ******************" },
		{ "bearer of news", "bearer of news" },
		{ "key sk-abcdefghijklmnop.", "key sk-****************." },
		{ "a risk-free way", "a risk-free way" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s", cases[i].text);
		mask_text(text, secrets, COUNT(secrets));
		assert_string_equal(text, cases[i].want);
	}
}

static void lines_have_their_time(void **state)
{
	OWN(arena) struct arena a = { .limit = 1 << 20 };
	struct log_lines l;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(logs_lines("2026-11-28T03:28:00.123456789Z one\n"
	                     "2026-11-28T03:28:01.5Z \x1b[36mtwo\x1b[0m\t\x01!\n"
	                     "no time\n"
	                     "2026-11-28T03:28:02Z \xff\n",
	                     10, &a, &l, &e),
	          &e);
	assert_int_equal(l.count, 4);
	assert_string_equal(l.list[0].text, "one");
	assert_true(l.list[0].at_ms == 1795836480123LL);
	assert_string_equal(l.list[1].text, "two\t!");
	assert_string_equal(l.list[2].text, "no time");
	assert_true(l.list[2].at_ms == 0);
	assert_string_equal(l.list[3].text, "?");
	assert_string_equal(l.place, "1795836482.000000001");

	assert_ok(logs_lines("a\nb\nc", 2, &a, &l, &e), &e);
	assert_int_equal(l.count, 2);
	assert_string_equal(l.list[0].text, "b");
	assert_string_equal(l.place, "");
	assert_ok(logs_lines("", 2, &a, &l, &e), &e);
	assert_int_equal(l.count, 0);
}

/* An escape sequence that ends in the middle of a character takes half of it along. */
static void half_a_character_is_no_text(void **state)
{
	OWN(arena) struct arena a = { .limit = 1 << 20 };
	struct log_lines l;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(logs_lines("x\x1b[\xc3\xa9y\n", 10, &a, &l, &e), &e);
	assert_string_equal(l.list[0].text, "x?y");
}

static void a_place_is_what_was_given(void **state)
{
	static const char *const bad[] = { "",
		                           "1",
		                           "1.1",
		                           ".123456789",
		                           "1.1234567890",
		                           "1.12345678x",
		                           "-1.123456789",
		                           "123456789012.123456789",
		                           "1.123456789&x" };
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(logs_place_check("1795836482.000000001", &e), &e);
	for (size_t i = 0; i < COUNT(bad); i++) {
		e = ERR_INIT;
		assert_fails(logs_place_check(bad[i], &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "after");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_covered),
		cmocka_unit_test(lines_have_their_time),
		cmocka_unit_test(half_a_character_is_no_text),
		cmocka_unit_test(a_place_is_what_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
