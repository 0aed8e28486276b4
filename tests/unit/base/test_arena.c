/* Memory of one call. */

#include "test.h"

#include "base/arena.h"

static void what_it_gives_is_zeroed_aligned_and_apart(void **state)
{
	OWN(arena) struct arena a = { 0 };
	unsigned char *last = NULL;

	(void)state;
	arena_init(&a, 1 << 20);
	for (size_t size = 1; size < 5000; size += 7) {
		unsigned char *p = arena_alloc(&a, size);

		assert_non_null(p);
		assert_true((uintptr_t)p % _Alignof(max_align_t) == 0);
		assert_ptr_not_equal(p, last);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xaa, size);
		last = p;
		if (a.limit - a.used < 10000)
			break;
	}
}

static void it_ends_at_its_limit(void **state)
{
	OWN(arena) struct arena a = { 0 };

	(void)state;
	arena_init(&a, 100);
	assert_null(arena_alloc(&a, 101));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_non_null(arena_alloc(&a, 60));
	assert_null(arena_alloc(&a, 60));
	assert_non_null(arena_alloc(&a, 30));
	assert_true(a.used <= 112);
	assert_null(arena_alloc(&a, 16));
}

static void a_zeroed_one_gives_nothing_and_may_be_ended(void **state)
{
	struct arena a = { 0 };

	(void)state;
	assert_null(arena_alloc(&a, 1));
	arena_done(&a);
	arena_done(&a);
}

static void it_may_be_used_again_after_its_end(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 64);
	assert_non_null(arena_alloc(&a, 64));
	arena_done(&a);
	assert_non_null(arena_alloc(&a, 64));
	arena_done(&a);
}

static void text_is_copied_whole(void **state)
{
	OWN(arena) struct arena a = { 0 };
	char *s;

	(void)state;
	arena_init(&a, 4096);
	assert_string_equal(arena_strdup(&a, ""), "");
	assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
	s = arena_printf(&a, "%s-%d", "x", 7);
	assert_string_equal(s, "x-7");
	assert_null(arena_printf(&a, "%5000d", 1));

	/* As long as what memory comes in: its zero has a place of its own. */
	s = arena_strdup(&a, "0123456789abcdef0123456789abcdef");
	assert_string_equal(arena_strdup(&a, "next"), "next");
	assert_string_equal(s, "0123456789abcdef0123456789abcdef");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_gives_is_zeroed_aligned_and_apart),
		cmocka_unit_test(it_ends_at_its_limit),
		cmocka_unit_test(a_zeroed_one_gives_nothing_and_may_be_ended),
		cmocka_unit_test(it_may_be_used_again_after_its_end),
		cmocka_unit_test(text_is_copied_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
