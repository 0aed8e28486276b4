#include "link/pace.h"

#include "test.h"

#define T0 1000000LL

static void one_go_follows_another_after_a_while(void **state)
{
	struct pace p = { 0 };

	(void)state;
	assert_true(pace_begin(&p, T0));
	assert_false(pace_begin(&p, T0));
	assert_false(pace_begin(&p, T0 + PACE_BETWEEN_MS - 1));
	assert_true(pace_begin(&p, T0 + PACE_BETWEEN_MS));
}

/* Each answer comes just in time: all of them together do not. */
static void a_go_has_an_end_however_many_requests_it_takes(void **state)
{
	const int each_ms = 4900, want_ms = 5000;
	struct pace p = { 0 };
	long long now_ms = T0;
	int asked = 0;

	(void)state;
	assert_true(pace_begin(&p, now_ms));
	for (int left_ms; (left_ms = pace_left_ms(&p, now_ms, want_ms)); asked++) {
		assert_in_range(left_ms, 1, want_ms);
		now_ms += each_ms < left_ms ? each_ms : left_ms;
	}
	assert_int_equal(asked, 4);
	assert_int_equal(now_ms, T0 + PACE_WHOLE_MS);
	assert_int_equal(pace_left_ms(&p, now_ms + 1, want_ms), 0);
}

static void who_was_too_slow_is_left_alone(void **state)
{
	struct pace p = { 0 };

	(void)state;
	assert_true(pace_begin(&p, T0));
	pace_too_slow(&p, T0 + PACE_WHOLE_MS);
	assert_false(pace_begin(&p, T0 + PACE_WHOLE_MS + PACE_SLOW_MS - 1));
	assert_true(pace_begin(&p, T0 + PACE_WHOLE_MS + PACE_SLOW_MS));
	assert_true(pace_begin(&p, T0 + PACE_WHOLE_MS + PACE_SLOW_MS + PACE_BETWEEN_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_go_follows_another_after_a_while),
		cmocka_unit_test(a_go_has_an_end_however_many_requests_it_takes),
		cmocka_unit_test(who_was_too_slow_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
