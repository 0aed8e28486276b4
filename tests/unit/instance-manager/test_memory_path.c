#include "memory/path.h"
#include "memory/text.h"

#include "test.h"

#include <string.h>

static void a_path_stays_in_the_workspace(void **state)
{
	static const struct {
		const char *path;
		bool fits;
	} cases[] = {
		{ "SOUL.md", true },
		{ "preferences/food.md", true },
		{ "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", true },
		{ "a b/\xc3\xa4.md", true },
		{ "...", false },
		{ "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", false },
		{ "", false },
		{ "/", false },
		{ "/etc/passwd", false },
		{ "a/", false },
		{ "a//b", false },
		{ ".", false },
		{ "..", false },
		{ "../a", false },
		{ "a/../b", false },
		{ "a/..", false },
		{ "./a", false },
		{ ".git/config", false },
		{ "a/.hidden", false },
		{ "a\nb", false },
		{ "a\x7f", false },
		{ "a\xc2\x85", false },
		{ "a\xff", false },
		{ "a\xc0\xaf/b", false },
	};
	char path[MEMORY_PATH_MAX + 2];
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		e = ERR_INIT;
		print_message("  %s\n", cases[i].path);
		assert_int_equal(memory_path_check(cases[i].path, &e), cases[i].fits ? 0 : -1);
		assert_string_equal(e.field, cases[i].fits ? "" : "path");
	}
	for (size_t i = 0; i <= MEMORY_PATH_MAX; i++)
		path[i] = i % 100 == 99 ? '/' : 'a';
	path[MEMORY_PATH_MAX + 1] = '\0';
	assert_int_equal(memory_path_check(path, &e), -1);
	path[MEMORY_PATH_MAX] = '\0';
	assert_ok(memory_path_check(path, &e), &e);
	memset(path, 'a', 256);
	path[256] = '\0';
	assert_int_equal(memory_path_check(path, &e), -1);
}

static void lists_go_part_by_part(void **state)
{
	static const char *const sorted[] = { "B",   "a",   "a/b",  "a/b/c", "a/b.md",
		                              "a/c", "a b", "a.md", "ab" };

	(void)state;
	for (size_t i = 0; i < COUNT(sorted); i++)
		for (size_t k = 0; k < COUNT(sorted); k++) {
			int r = memory_path_compare(sorted[i], sorted[k]);

			assert_int_equal((r > 0) - (r < 0), (i > k) - (i < k));
		}
	assert_true(memory_path_is_above("a", "a/b"));
	assert_true(memory_path_is_above("a/b", "a/b/c"));
	assert_false(memory_path_is_above("a", "a"));
	assert_false(memory_path_is_above("a", "ab/c"));
}

static void a_cursor_is_read_as_it_was_written(void **state)
{
	static const char *const bad[] = { "",   "!",      "Li4vYQ",   "YQ==",
		                           "YR", "L2V0Yw", "\xff\xff", "AA" };
	char text[MEMORY_CURSOR_MAX], path[MEMORY_PATH_MAX + 1];
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(memory_cursor_parse(memory_cursor_text("a/b.md", text), path, &e), &e);
	assert_string_equal(path, "a/b.md");
	for (size_t i = 0; i < COUNT(bad); i++) {
		e = ERR_INIT;
		assert_fails(memory_cursor_parse(bad[i], path, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "cursor");
	}
}

static void bytes_come_back_as_they_were(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *text, *encoding;
	} cases[] = {
		{ "", 0, "", "utf-8" },
		{ "a\tb\r\n\xc3\xa4", 7, "a\tb\r\n\xc3\xa4", "utf-8" },
		{ "a\0b", 3, "YQBi", "base64" },
		{ "\xff", 1, "/w==", "base64" },
		{ "\x1b[0m", 4, "G1swbQ==", "base64" },
	};
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *text, *encoding, *data;
		size_t len;
		struct err e = ERR_INIT;

		assert_ok(memory_text_from(cases[i].data, cases[i].len, &a, &text, &encoding, &e),
		          &e);
		assert_string_equal(text, cases[i].text);
		assert_string_equal(encoding, cases[i].encoding);
		assert_ok(memory_text_to(text, encoding, &a, &data, &len, &e), &e);
		assert_int_equal(len, cases[i].len);
		assert_memory_equal(data, cases[i].data, len);
	}
	for (const char *const *bad =
	             (const char *const[]){ "a", "a===", "YQ==\n", "YQ", "Y\xff==", NULL };
	     *bad; bad++) {
		const char *data;
		size_t len;
		struct err e = ERR_INIT;

		assert_fails(memory_text_to(*bad, "base64", &a, &data, &len, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "content");
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_stays_in_the_workspace),
		cmocka_unit_test(lists_go_part_by_part),
		cmocka_unit_test(a_cursor_is_read_as_it_was_written),
		cmocka_unit_test(bytes_come_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
