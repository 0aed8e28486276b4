#include "test.h"

#include "path_text.h"

static void test_paths(void **state)
{
	static const char *const good[] = { "workspace", ".openclaw", "workspace/MEMORY.md",
		                            "workspace/a b/..c", ".openclaw/x/.y" };
	static const char *const bad[] = { "",
		                           "/",
		                           "workspaces/x",
		                           "etc/passwd",
		                           "/workspace",
		                           "workspace/",
		                           "workspace//x",
		                           "workspace/./x",
		                           "workspace/../x",
		                           "workspace/x/..",
		                           "./workspace" };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(path_check(good[i], "path", &e), 0);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(path_check(bad[i], "under", &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
		assert_string_equal(e.field, "under");
	}
}

static void test_names_are_shown(void **state)
{
	static const struct {
		const char *path, *shown;
		bool is_exact;
	} rows[] = {
		{ "workspace/ä", "workspace/ä", true },
		{ "a\xff\xfe-b",
		  "a?"
		  "?-b",
		  false },
		{ "a\nb\x7f", "a?b?", false },
		{ "cut \xe2\x82", "cut ??", false },
		{ "\xed\xa0\x80", "???", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		OWN(arena) struct arena a;
		bool is_exact;

		arena_init(&a, 4096);
		assert_string_equal(path_text(&a, rows[i].path, &is_exact), rows[i].shown);
		assert_int_equal(is_exact, rows[i].is_exact);
	}
}

static void test_plain(void **state)
{
	(void)state;
	assert_true(text_is_plain("", 0));
	assert_true(text_is_plain("ä\n", 3));
	assert_false(text_is_plain("a\0b", 3));
	assert_false(text_is_plain("\xff", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_names_are_shown),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
