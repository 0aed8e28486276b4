/* The bus goes away and comes back: a nats-server of this test's own, killed under calls. */

#include "child.h"

#include "bus/bus.h"

#include <pthread.h>
#include <sodium.h>

#define USER    "123e4567-e89b-42d3-a456-426614174000"
#define WAIT_MS 60000 /* for what surely comes */

static struct fixture {
	struct child nats;
	struct seal seal;
	struct bus *server, *client;
	struct pool *pool;
	struct bus_service service;
} f;

/* The slow call. */
static struct gate {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool is_under_way, may_end;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int on_health(struct call *c, struct err *e)
{
	static struct health_part none;

	(void)e;
	CALL_OUT(c, health_view)->status = "up";
	CALL_OUT(c, health_view)->parts = &none;
	return 0;
}

static int on_slow(struct call *c, struct err *e)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	(void)e;
	pthread_mutex_lock(&gate.lock);
	gate.is_under_way = true;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.may_end && clock_cond_wait(&gate.changed, &gate.lock, until_ms))
		continue;
	pthread_mutex_unlock(&gate.lock);
	(void)CALL_OUT(c, none);
	return 0;
}

static void slow_wait_under_way(void)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	pthread_mutex_lock(&gate.lock);
	while (!gate.is_under_way && clock_cond_wait(&gate.changed, &gate.lock, until_ms))
		continue;
	assert_true(gate.is_under_way);
	pthread_mutex_unlock(&gate.lock);
}

static void slow_end(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.may_end = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static bool slow_may_end(void)
{
	bool may;

	pthread_mutex_lock(&gate.lock);
	may = gate.may_end;
	pthread_mutex_unlock(&gate.lock);
	return may;
}

static const struct bus_route routes[] = {
	{ SUBJ_REALTIME_HEALTH, on_health, 0 },
	{ SUBJ_REALTIME_RELEASE, on_slow, 0 },
};

static void open_both(void)
{
	struct bus_opt server = { f.nats.url, "bustest", &f.seal, WAIT_MS };
	struct bus_opt client = { f.nats.url, "bustestclient", &f.seal, WAIT_MS };
	struct err e = ERR_INIT;

	assert_ok(bus_open(&server, &f.server, &e), &e);
	assert_ok(bus_open(&client, &f.client, &e), &e);
	assert_ok(pool_new(4, 64, bus_work, &f.pool, &e), &e);
	f.service = (struct bus_service){
		.description = "x", .routes = routes, .route_count = COUNT(routes), .pools = &f.pool
	};
	assert_ok(bus_serve(f.server, &f.service, &e), &e);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	if (sodium_init() < 0 || seal_init(&f.seal, "0123456789abcdef0123456789abcdef", &e) < 0)
		return -1;
	gate.is_under_way = gate.may_end = false; /* no service is there */
	child_start_nats(&f.nats);
	open_both();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (f.server)
		bus_drain(f.server);
	pool_free(f.pool);
	bus_close(f.server);
	bus_close(f.client);
	child_end(&f.nats);
	f = (struct fixture){ 0 };
	return 0;
}

static int ask(enum subject_id id, struct err *e)
{
	struct bus_ctx ctx = { 0 };
	struct rt_release_req release = { "g", "t" };
	struct none none = { 0 };
	OWN(arena) struct arena a = { 0 };
	struct health_view out;

	*e = ERR_INIT;
	arena_init(&a, 65536);
	return bus_call(f.client, id, &ctx,
	                id == SUBJ_REALTIME_RELEASE ? (void *)&release : (void *)&none, &a, &out,
	                e);
}

/* The caller's connection has noticed. */
static void kill_and_wait_lost(void)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;

	child_kill(&f.nats);
	while (bus_is_connected(f.client) && clock_mono_ms() < until_ms)
		clock_sleep_ms(1);
	assert_false(bus_is_connected(f.client));
}

static void ask_until_answered(void)
{
	long long start_ms = clock_mono_ms();
	struct err e = ERR_INIT;

	while (ask(SUBJ_REALTIME_HEALTH, &e) < 0) {
		assert_string_equal(err_name(e.code), "SERVICE_UNAVAILABLE");
		if (clock_mono_ms() - start_ms > WAIT_MS)
			fail_msg("not answered though the server is back: %s", e.msg);
		clock_sleep_ms(20);
	}
	print_message("  answered %lld ms after the start\n", clock_mono_ms() - start_ms);
}

/* Told that there is no bus: waiting for an answer would end in a time-out, which is told as one. */
static void calls_fail_at_once_and_work_again(void **state)
{
	struct err e;

	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_ok(ask(SUBJ_REALTIME_HEALTH, &e), &e);
		kill_and_wait_lost();
		for (int i = 0; i < 5; i++)
			assert_fails(ask(SUBJ_REALTIME_HEALTH, &e), &e, ERR_UNAVAILABLE);
		assert_int_equal(err_http(e.code), 503);
		child_start_nats(&f.nats);
		ask_until_answered();
	}
}

static void *ask_slow(void *closure)
{
	ask(SUBJ_REALTIME_RELEASE, closure);
	return NULL;
}

/* That its answer will not come, and not that it did not come in time. */
static void a_call_under_way_is_told(void **state)
{
	struct err e = ERR_INIT;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, ask_slow, &e);
	slow_wait_under_way();
	child_kill(&f.nats);
	pthread_join(thread, NULL);
	assert_string_equal(err_name(e.code), "SERVICE_UNAVAILABLE");
	slow_end();
}

/* It looks, and what it sees is so no more when it sends; where the machine stands still meanwhile, it may
 * be under way by then, and is told all the same. */
static void a_call_that_saw_the_bus_just_before_is_told(void **state)
{
	struct err e = ERR_INIT;
	pthread_t thread;

	(void)state;
	be_patient(1); /* its time-out passes */
	setenv("ZAKI_FAULT_DELAY", "bus.call=2000", 1);
	pthread_create(&thread, NULL, ask_slow, &e);
	clock_sleep_ms(100);
	child_kill(&f.nats);
	pthread_join(thread, NULL);
	unsetenv("ZAKI_FAULT_DELAY");
	slow_end();
	be_patient(PATIENCE);
	assert_string_equal(err_name(e.code), "SERVICE_UNAVAILABLE");
}

static void events_are_refused_while_it_is_away(void **state)
{
	struct bus_event ev = { .subject = SUBJ_EVT_INSTANCE_DELETED,
		                .key = USER,
		                .msg_id = "1",
		                .json = "{\"instance_id\":\"" USER "\"}" };
	struct err e = ERR_INIT;

	(void)state;
	/* No stream has it: nothing is known to be kept. */
	assert_fails(bus_event_publish(f.client, &ev, &e), &e, ERR_UNAVAILABLE);
	kill_and_wait_lost();
	assert_fails(bus_event_publish(f.client, &ev, &e), &e, ERR_UNAVAILABLE);
}

/* Once the drain is under way, or is about to be where this machine is slow. */
static void *end_soon(void *unused)
{
	clock_sleep_ms(300);
	slow_end();
	return unused;
}

static void draining_answers_what_is_under_way(void **state)
{
	struct err slow = ERR_INIT, e;
	pthread_t thread, ender;

	(void)state;
	pthread_create(&thread, NULL, ask_slow, &slow);
	slow_wait_under_way();
	pthread_create(&ender, NULL, end_soon, NULL);
	bus_drain(f.server);
	assert_true(slow_may_end()); /* waited for */
	pthread_join(ender, NULL);
	pthread_join(thread, NULL);
	assert_string_equal(err_name(slow.code), "OK");
	assert_fails(ask(SUBJ_REALTIME_HEALTH, &e), &e, ERR_UNAVAILABLE);
}

/* It waits for nobody, and nobody would answer within BUS_DRAIN_MS, many minutes here. */
static void draining_ends_when_the_bus_is_away(void **state)
{
	long long start_ms;

	(void)state;
	child_kill(&f.nats);
	start_ms = clock_mono_ms();
	bus_drain(f.server);
	print_message("  drained in %lld ms\n", clock_mono_ms() - start_ms);
	assert_true(clock_mono_ms() - start_ms < WAIT_MS);
}

static void a_server_that_comes_later_is_waited_for(void **state)
{
	struct bus_opt opt = { f.nats.url, "bustestlate", &f.seal, 300 };
	struct bus *b = NULL;
	struct err e = ERR_INIT;
	long long start_ms;

	(void)state;
	child_kill(&f.nats);
	start_ms = clock_mono_ms();
	assert_fails(bus_open(&opt, &b, &e), &e, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - start_ms >= opt.connect_ms);
	child_start_nats(&f.nats);
	opt.connect_ms = WAIT_MS;
	assert_ok(bus_open(&opt, &b, &e), &e);
	bus_close(b);
}

/* The address and its password are in NATS_URL: neither may get into an error. */
static void a_refused_password_is_not_shown(void **state)
{
	char url[128];
	struct bus_opt opt = { url, "bustest", &f.seal, 300 };
	struct bus *b = NULL;
	struct err e = ERR_INIT;

	(void)state;
	snprintf(url, sizeof(url), "nats://ada:hunter2@127.0.0.1:%d", free_port());
	assert_int_equal(bus_open(&opt, &b, &e), -1);
	assert_null(strstr(e.msg, "hunter2"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(calls_fail_at_once_and_work_again),
		TEST(a_call_under_way_is_told),
		TEST(a_call_that_saw_the_bus_just_before_is_told),
		TEST(events_are_refused_while_it_is_away),
		TEST(draining_answers_what_is_under_way),
		TEST(draining_ends_when_the_bus_is_away),
		TEST(a_server_that_comes_later_is_waited_for),
		TEST(a_refused_password_is_not_shown),
	};
	int failed;

	be_patient(PATIENCE);
	clock_cond_init(&gate.changed);
	failed = cmocka_run_group_tests(tests, NULL, NULL);

	nats_Close();
	return failed;
}
