/* Subscriptions that end while messages for them come in, as a reader of the stream's does. */

#include "test.h"

#include "base/clock.h"
#include "bus/bus.h"

#include <pthread.h>

#define ROUNDS  300
#define WAIT_MS 60000

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

static bool connect_to(const char *url, natsConnection **ret)
{
	natsOptions *o = NULL;
	natsStatus s = natsOptions_Create(&o);

	if (s == NATS_OK)
		s = natsOptions_SetURL(o, url);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, WAIT_MS);
	if (s == NATS_OK)
		s = natsConnection_Connect(ret, o);
	natsOptions_Destroy(o);
	return s == NATS_OK;
}

static int setup(void **state)
{
	const char *url = getenv("NATS_URL");

	(void)state;
	f = (struct fixture){ .from = NULL };
	if (!url || !connect_to(url, &f.from) || !connect_to(url, &f.to))
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
		if (natsSubscription_NextMsg(&msg, sub, WAIT_MS) == NATS_OK)
			heard++;
		natsMsg_Destroy(msg);
		bus_unsubscribe(f.to, sub);
	}
	assert_true(heard > ROUNDS / 2);
	print_message("  %lld of %d heard something, %lld sent\n", heard, ROUNDS, f.sent);
}

/* Nobody answers: it ends all the same, and waits for no answer, which would be for two of these. */
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
	assert_true(clock_mono_ms() - start_ms < WAIT_MS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_ends_while_messages_come),
		TEST(one_ends_without_its_server),
	};
	int failed;

	be_patient(2 * PATIENCE);
	failed = cmocka_run_group_tests(tests, NULL, NULL);

	nats_Close();
	return failed;
}
