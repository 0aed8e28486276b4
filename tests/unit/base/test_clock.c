/* Times as text, and back as far as they are checked. */

#include "test.h"

#include "base/clock.h"

#include <limits.h>

/* clang-format off */
static const struct { long long ms; const char *text; } written[] = {
	{ 0,                "1970-01-01T00:00:00.000Z" },
	{ 1,                "1970-01-01T00:00:00.001Z" },
	{ 951782399999,     "2000-02-28T23:59:59.999Z" },
	{ 951782400000,     "2000-02-29T00:00:00.000Z" },
	{ 1770724800000,    "2026-02-10T12:00:00.000Z" },
	{ 4102444799999,    "2099-12-31T23:59:59.999Z" },
	{ 253402300799999,  "9999-12-31T23:59:59.999Z" },
	{ -1,               "1969-12-31T23:59:59.999Z" },
};

static const struct { const char *text; bool is_time; } taken[] = {
	{ "2026-02-10T12:00:00.000Z",  true },
	{ "2024-02-29T00:00:00.000Z",  true },
	{ "2026-12-31T23:59:59.999Z",  true },
	{ "2026-02-10T12:00:00Z",      false }, /* no milliseconds */
	{ "2026-02-10T12:00:00.00Z",   false },
	{ "2026-02-10T12:00:00.0000Z", false },
	{ "2026-02-10T12:00:00.000z",  false },
	{ "2026-02-10 12:00:00.000Z",  false },
	{ "2026-02-10T12:00:00.000+00:00", false },
	{ "2026- 2-10T12:00:00.000Z",  false }, /* strptime() would take these three */
	{ "2026-02-10T 1:00:00.000Z",  false },
	{ "2026-02-10T12:00:60.000Z",  false },
	{ "2026-02-30T12:00:00.000Z",  false },
	{ "2025-02-29T12:00:00.000Z",  false },
	{ "2026-13-10T12:00:00.000Z",  false },
	{ "2026-00-10T12:00:00.000Z",  false },
	{ "2026-02-00T12:00:00.000Z",  false },
	{ "2026-02-10T24:00:00.000Z",  false },
	{ "2026-02-10T12:60:00.000Z",  false },
	{ "+026-02-10T12:00:00.000Z",  false },
	{ "2026-02-10T12:00:00.-00Z",  false },
	{ "2026-02-10T12:00:00,000Z",  false },
	{ "",                          false },
	{ "Z",                         false },
};
/* clang-format on */

static void times_are_written_in_one_form(void **state)
{
	char buf[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(written); i++)
		assert_string_equal(clock_text(written[i].ms, buf), written[i].text);
}

static void only_that_form_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(taken); i++) {
		print_message("  %s\n", taken[i].text);
		assert_int_equal(clock_text_is_valid(taken[i].text), taken[i].is_time);
	}
}

static void a_time_out_of_range_is_still_one(void **state)
{
	static const long long far[] = { 253402300800000, LLONG_MAX, LLONG_MIN };
	char buf[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(far); i++)
		assert_true(clock_text_is_valid(clock_text(far[i], buf)));
}

static void now_is_in_order(void **state)
{
	long long a = clock_mono_ns(), b, wall = clock_now_ms();
	char buf[CLOCK_TEXT_SIZE];

	(void)state;
	clock_sleep_ms(5);
	b = clock_mono_ns();
	assert_true(b - a >= 5000000);
	assert_true(wall > 1700000000000LL);
	assert_true(clock_text_is_valid(clock_text(wall, buf)));
}

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static void *ring(void *ctx)
{
	struct bell *b = ctx;

	pthread_mutex_lock(&b->lock); /* there is none before the other one waits */
	pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* A condition of the wall clock would take such a moment, seconds after the machine's start, for long past. */
static void a_wait_goes_by_the_monotonic_clock(void **state)
{
	struct bell b = { .lock = PTHREAD_MUTEX_INITIALIZER };
	long long begin = clock_mono_ms();
	pthread_t thread;

	(void)state;
	clock_cond_init(&b.cond);
	pthread_mutex_lock(&b.lock);
	while (clock_cond_wait(&b.cond, &b.lock, begin + 30))
		continue;
	assert_true(clock_mono_ms() >= begin + 30);
	assert_false(clock_cond_wait(&b.cond, &b.lock, begin)); /* over already */
	assert_int_equal(pthread_create(&thread, NULL, ring, &b), 0);
	assert_true(clock_cond_wait(&b.cond, &b.lock, begin + 60000));
	assert_true(clock_mono_ms() < begin + 60000);
	pthread_mutex_unlock(&b.lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&b.cond);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written_in_one_form),
		cmocka_unit_test(only_that_form_is_taken),
		cmocka_unit_test(a_time_out_of_range_is_still_one),
		cmocka_unit_test(now_is_in_order),
		cmocka_unit_test(a_wait_goes_by_the_monotonic_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
