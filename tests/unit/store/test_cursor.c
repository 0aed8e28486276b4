#include "store/cursor.h"

#include "test.h"

#include <sodium.h>

#define ID "11111111-2222-4333-8444-555555555555"

static void a_cursor_comes_back_as_it_went(void **state)
{
	static const long long times[] = { 0, 1, 1771000000123456LL, 1LL << 56 };

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		struct cursor c = { .created_us = times[i], .id = ID }, again;
		struct err e = ERR_INIT;
		char text[CURSOR_SIZE];

		assert_ok(cursor_parse(cursor_text(&c, text), &again, &e), &e);
		assert_int_equal(again.created_us, times[i]);
		assert_string_equal(again.id, ID);
	}
}

/* Text that stands in the cursor before it is encoded. */
static const char *encoded(const char *plain, char out[256])
{
	return sodium_bin2base64(out, 256, (const unsigned char *)plain, strlen(plain),
	                         sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void whatever_else_is_refused(void **state)
{
	static const struct {
		const char *what, *plain;
	} cases[] = {
		{ "empty", "" },
		{ "no id", "123" },
		{ "empty id", "123:" },
		{ "id that is none", "123:1111" },
		{ "id in capitals", "123:AAAAAAAA-2222-4333-8444-555555555555" },
		{ "no time", ":" ID },
		{ "negative time", "-1:" ID },
		{ "time past all bounds", "99999999999999999999:" ID },
		{ "time beyond a thousand years", "72057594037927937:" ID },
		{ "time with a sign", "+5:" ID },
		{ "time with a space", " 5:" ID },
		{ "time with a zero in front", "05:" ID },
		{ "hexadecimal time", "0x5:" ID },
		{ "something after the id", "5:" ID "x" },
		{ "another cursor after it", "5:" ID ":5:" ID },
		{ "SQL", "5:'; DROP TABLE instances; --" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cursor c = { .created_us = 77 };
		struct err e = ERR_INIT;
		char text[256];

		print_message("  %s\n", cases[i].what);
		assert_fails(cursor_parse(encoded(cases[i].plain, text), &c, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "cursor");
		assert_int_equal(c.created_us, 77);
	}
}

static void text_that_is_no_base64_is_refused(void **state)
{
	static const char *const cases[] = { "!!!", "a", "ab=", "NTpB\x01", "NTo+/", "N T o" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = ERR_INIT;
		struct cursor c;

		assert_fails(cursor_parse(cases[i], &c, &e), &e, ERR_INVALID);
	}
}

static void a_very_long_one_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct cursor c;
	char text[512];

	(void)state;
	memset(text, 'A', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_fails(cursor_parse(text, &c, &e), &e, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cursor_comes_back_as_it_went),
		cmocka_unit_test(whatever_else_is_refused),
		cmocka_unit_test(text_that_is_no_base64_is_refused),
		cmocka_unit_test(a_very_long_one_is_refused),
	};

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
