/* Messages are given up some at a time, and none is forgotten: the build with ASan looks for what is. */

#include "test.h"

#include "bus/msg.h"

#include <pthread.h>

static natsMsg *msg_of(int len)
{
	static const char data[BUS_MSG_KEPT_BYTES + 1];
	natsMsg *msg = NULL;

	assert_int_equal(natsMsg_Create(&msg, "x", NULL, data, len), NATS_OK);
	return msg;
}

static void none_is_fine(void **state)
{
	(void)state;
	bus_msg_done(NULL);
	bus_msg_keep();
	bus_msg_keep();
	bus_msg_done(NULL);
}

static void what_is_kept_can_still_be_read(void **state)
{
	natsMsg *first = msg_of(1);

	(void)state;
	bus_msg_keep();
	bus_msg_done(first);
	for (int i = 1; i < BUS_MSG_KEPT - 1; i++)
		bus_msg_done(msg_of(i));
	assert_string_equal(natsMsg_GetSubject(first), "x");
	bus_msg_done(msg_of(1));
}

static void large_ones_are_not_kept(void **state)
{
	(void)state;
	for (int i = 0; i < 3 * BUS_MSG_KEPT; i++)
		bus_msg_done(msg_of(BUS_MSG_KEPT_BYTES + 1));
}

static void *use_some(void *count)
{
	if (*(const int *)count != 1000) /* a thread that keeps none */
		bus_msg_keep();
	for (int i = 0; i < *(const int *)count; i++)
		bus_msg_done(msg_of(i % 64));
	return NULL;
}

static void a_thread_that_ends_gives_up_what_it_kept(void **state)
{
	int counts[] = { 1, BUS_MSG_KEPT - 1, BUS_MSG_KEPT, BUS_MSG_KEPT + 1, 500, 1000 };

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, use_some, &counts[i]), 0);
		pthread_join(thread, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_fine),
		cmocka_unit_test(what_is_kept_can_still_be_read),
		cmocka_unit_test(large_ones_are_not_kept),
		cmocka_unit_test(a_thread_that_ends_gives_up_what_it_kept),
	};
	int failed;

	nats_Open(0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);

	nats_Close();
	return failed;
}
