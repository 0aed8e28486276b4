/* Subscriptions that end while messages for them come in, as a reader of the stream's does. */

#include "test.h"

#include "base/clock.h"
#include "bus/bus.h"

#include <pthread.h>

#define ROUNDS 300

static struct fixture {
	natsConnection *from, *to;
	pthread_t sender;
	_Atomic bool is_over;
	_Atomic long long sent;
} f;

/* Without end, for whoever listens to "subs.n". */
static void *send_on(void *closure)
{
	(void)closure;
	while (!f.is_over) {
		for (int i = 0; i < 64; i++)
			(void)natsConnection_PublishString(f.from, "subs.n", "a message");
		(void)natsConnection_FlushTimeout(f.from, 1000);
		f.sent += 64;
	}
	return NULL;
}

static int setup(void **state)
{
	const char *url = getenv("NATS_URL");

	(void)state;
	f = (struct fixture){ .from = NULL };
	if (!url || natsConnection_ConnectTo(&f.from, url) != NATS_OK ||
	    natsConnection_ConnectTo(&f.to, url) != NATS_OK)
		return -1;
	return pthread_create(&f.sender, NULL, send_on, NULL);
}

static int teardown(void **state)
{
	(void)state;
	f.is_over = true;
	pthread_join(f.sender, NULL);
	natsConnection_Destroy(f.from);
	natsConnection_Destroy(f.to);
	return 0;
}

static void one_ends_while_messages_come(void **state)
{
	long long heard = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		natsSubscription *sub = NULL;
		natsMsg *msg = NULL;

		assert_int_equal(natsConnection_SubscribeSync(&sub, f.to, "subs.*"), NATS_OK);
		if (natsSubscription_NextMsg(&msg, sub, 1000) == NATS_OK)
			heard++;
		natsMsg_Destroy(msg);
		bus_unsubscribe(f.to, sub);
	}
	assert_true(heard > ROUNDS / 2);
	print_message("  %lld of %d heard something, %lld sent\n", heard, ROUNDS, f.sent);
}

/* Nobody answers: it ends all the same, and soon. */
static void one_ends_without_its_server(void **state)
{
	natsSubscription *sub = NULL;
	long long start_ms;

	(void)state;
	assert_int_equal(natsConnection_SubscribeSync(&sub, f.to, "subs.*"), NATS_OK);
	natsConnection_Close(f.to);
	start_ms = clock_mono_ms();
	bus_unsubscribe(f.to, sub);
	bus_unsubscribe(f.to, NULL);
	assert_true(clock_mono_ms() - start_ms < 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_ends_while_messages_come),
		TEST(one_ends_without_its_server),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	nats_Close();
	return failed;
}
