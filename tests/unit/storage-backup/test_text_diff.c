#include "test.h"

#include "base/own.h"
#include "text_diff.h"

static void expect(const char *before, const char *after, const char *want)
{
	OWN(mem) char *got = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(text_diff(before, after, &got, &e), 0);
	assert_string_equal(got, want);
}

static void test_table(void **state)
{
	(void)state;
	expect("", "", "");
	expect("a\nb\n", "a\nb\n", "");
	expect("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
	expect("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
	expect("one\ntwo\nthree\n", "one\n2\nthree\n", "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
	/* The last line's newline is no line of its own. */
	expect("a", "a\n", "");
}

static void test_hunks_are_apart_or_one(void **state)
{
	(void)state;
	expect("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "x\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\ny\n",
	       "@@ -1,4 +1,4 @@\n-1\n+x\n 2\n 3\n 4\n@@ -9,4 +9,4 @@\n 9\n 10\n 11\n-12\n+y\n");
	expect("1\n2\n3\n4\n5\n", "x\n2\n3\n4\ny\n",
	       "@@ -1,5 +1,5 @@\n-1\n+x\n 2\n 3\n 4\n-5\n+y\n");
}

static void test_it_is_bounded(void **state)
{
	const size_t lines = TEXT_DIFF_LINES + 1;
	OWN(mem) char *many = calloc(lines * 2 + 1, 1);
	OWN(mem) char *got = NULL;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < lines; i++) {
		many[2 * i] = (char)('a' + i % 20);
		many[2 * i + 1] = '\n';
	}
	assert_int_equal(text_diff("x\n", many, &got, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	/* Equal ends cost nothing. */
	assert_int_equal(text_diff(many, many, &got, &e), 0);
	assert_string_equal(got, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_hunks_are_apart_or_one),
		cmocka_unit_test(test_it_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
