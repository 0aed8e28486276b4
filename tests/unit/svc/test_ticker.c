#include "svc/ticker.h"

#include "base/clock.h"
#include "test.h"

#include <pthread.h>

static struct {
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t ran;
	int runs;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .ran = PTHREAD_COND_INITIALIZER };

static void work(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&seen.lock);
	seen.runs++;
	pthread_cond_signal(&seen.ran);
	pthread_mutex_unlock(&seen.lock);
}

static void wait_runs(int want)
{
	pthread_mutex_lock(&seen.lock);
	while (seen.runs < want)
		pthread_cond_wait(&seen.ran, &seen.lock);
	pthread_mutex_unlock(&seen.lock);
}

static int setup(void **state)
{
	(void)state;
	seen.runs = 0;
	return 0;
}

static void it_runs_at_once_and_every_period(void **state)
{
	struct ticker *t = NULL;
	struct err e = ERR_INIT;
	long long from = clock_mono_ms();

	(void)state;
	assert_ok(ticker_start(work, NULL, 20, &t, &e), &e);
	wait_runs(4);
	assert_true(clock_mono_ms() - from >= 55);
	ticker_stop(t);
}

static void it_runs_when_woken(void **state)
{
	struct ticker *t = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(ticker_start(work, NULL, 3600000, &t, &e), &e);
	wait_runs(1);
	ticker_wake(t);
	wait_runs(2); /* by itself in an hour */
	ticker_stop(t);
}

static void what_was_woken_is_done_before_the_end(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct ticker *t = NULL;
		struct err e = ERR_INIT;
		int before = seen.runs; /* no ticker lives */

		assert_ok(ticker_start(work, NULL, 600000, &t, &e), &e);
		wait_runs(before + 1);
		ticker_wake(t);
		ticker_stop(t);
		assert_int_equal(seen.runs, before + 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_runs_at_once_and_every_period, setup),
		cmocka_unit_test_setup(it_runs_when_woken, setup),
		cmocka_unit_test_setup(what_was_woken_is_done_before_the_end, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
