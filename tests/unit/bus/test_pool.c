/* Threads that work off a queue with a limit. */

#include "test.h"

#include "base/clock.h"
#include "bus/pool.h"

#include <pthread.h>

/* A gate that workers wait at, so that a test decides when work goes on. */
static struct gate {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool is_open;
	int at_gate, done;
	long long sum;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int numbers[10000];

static void work(void *item)
{
	pthread_mutex_lock(&gate.lock);
	gate.at_gate++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.is_open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.at_gate--;
	gate.done++;
	gate.sum += *(int *)item;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static int reset(void **state)
{
	(void)state;
	gate.is_open = false;
	gate.at_gate = gate.done = 0;
	gate.sum = 0;
	for (size_t i = 0; i < COUNT(numbers); i++)
		numbers[i] = (int)i;
	return 0;
}

static void gate_open(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.is_open = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void wait_at_gate(int count)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.at_gate < count)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void as_many_work_at_once_as_there_are_workers(void **state)
{
	struct pool *p = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pool_new(4, 8, work, &p, &e), &e);
	for (int i = 0; i < 8; i++)
		assert_true(pool_add(p, &numbers[i]));
	wait_at_gate(4); /* would hang with fewer workers */
	assert_int_equal(pool_queued(p), 4);
	gate_open();
	pool_free(p);
	assert_int_equal(gate.done, 8);
}

static void a_full_queue_says_so(void **state)
{
	struct pool *p = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pool_new(1, 3, work, &p, &e), &e);
	assert_true(pool_add(p, &numbers[1]));
	wait_at_gate(1);
	for (int i = 0; i < 3; i++)
		assert_true(pool_add(p, &numbers[1]));
	assert_false(pool_add(p, &numbers[1]));
	assert_int_equal(pool_queued(p), 3);
	gate_open();
	pool_free(p);
	assert_int_equal(gate.done, 4);
}

static void what_is_queued_is_worked_off_at_the_end(void **state)
{
	struct pool *p = NULL;
	struct err e = ERR_INIT;
	long long want = 0;

	(void)state;
	gate_open();
	assert_ok(pool_new(3, COUNT(numbers), work, &p, &e), &e);
	for (size_t i = 0; i < COUNT(numbers); i++) {
		assert_true(pool_add(p, &numbers[i]));
		want += (long long)i;
	}
	pool_free(p);
	assert_int_equal(gate.done, COUNT(numbers));
	assert_int_equal(gate.sum, want);
}

static void *add_many(void *p)
{
	for (size_t i = 0; i < 1000; i++)
		while (!pool_add(p, &numbers[1]))
			clock_sleep_ms(1);
	return NULL;
}

static void any_thread_may_add(void **state)
{
	pthread_t threads[4];
	struct pool *p = NULL;
	struct err e = ERR_INIT;

	(void)state;
	gate_open();
	assert_ok(pool_new(2, 16, work, &p, &e), &e);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_create(&threads[i], NULL, add_many, p);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	pool_free(p);
	assert_int_equal(gate.done, 4000);
}

static void no_pool_may_be_freed(void **state)
{
	(void)state;
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(as_many_work_at_once_as_there_are_workers, reset),
		cmocka_unit_test_setup(a_full_queue_says_so, reset),
		cmocka_unit_test_setup(what_is_queued_is_worked_off_at_the_end, reset),
		cmocka_unit_test_setup(any_thread_may_add, reset),
		cmocka_unit_test(no_pool_may_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
