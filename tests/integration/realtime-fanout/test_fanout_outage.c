/* nats-server, Redis and the daemon itself go away and come back: no event is lost or out of order. */

#include "fanout.h"

/*
 * What a gateway does when the bus or Redis came back: says that it is there, and subscribes anew
 * from the last event that it had. What comes live meanwhile waits for the lock.
 */
static void catch_up(void)
{
	OWN(arena) struct arena a = { 0 };
	OWN(json) cJSON *events = NULL;
	const cJSON *one;
	struct rt_subscribed out;
	char since[64];
	long long until_ms = clock_mono_ms() + WAIT_MS;
	struct err e;

	pthread_mutex_lock(&in.lock);
	snprintf(since, sizeof(since), "%s:%llu", in.stream_id, in.last_seq);
	gateway_alive(GATEWAY);
	in.reconnects = reconnects();
	while (subscribe_as(OWNER, f.topic, since, GATEWAY, &out, &a, &e) < 0) {
		if (clock_mono_ms() > until_ms || err_http(e.code) < 500)
			fail_msg("not subscribed: %s %s", err_name(e.code), e.msg);
		arena_done(&a);
		clock_sleep_ms(50);
		in.reconnects = reconnects();
	}
	assert_false(out.resync);
	assert_ok(json_parse(out.events, strlen(out.events), &events, &e), &e);
	cJSON_ArrayForEach(one, events)
		take_frame(one);
	pthread_mutex_unlock(&in.lock);
}

static void a_nats_server_that_dies_costs_no_event(void **state)
{
	(void)state;
	subscribe(f.topic, NULL);
	for (int round = 0; round < 3; round++) {
		publish_n(1 + round * 40, 20);
		child_kill(&f.nats);
		child_start_nats(&f.nats);
		publish_n(21 + round * 40, 20);
		catch_up();
	}
	wait_for(120);
	assert_sequence(1, 120);
}

/* Somebody has the lease: the daemon has Redis again. */
static void wait_leader(void)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	bool is_there = false;

	while (!is_there) {
		OWN(redis_reply) redisReply *reply = NULL;
		struct err e = ERR_INIT;

		assert_true(clock_mono_ms() < until_ms);
		is_there = REDIS_CALL(f.r, &reply, &e, "EXISTS", "zaki:rt:leader") == 0 &&
		           reply->integer == 1;
		clock_sleep_ms(20);
	}
}

static void events_wait_while_redis_is_away(void **state)
{
	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 5);
	wait_for(5);
	child_kill(&f.redis);
	publish_n(6, 5);
	child_start_redis(&f.redis);
	/* It has forgotten all: the gateway sees that its key is gone, and subscribes anew. */
	wait_leader();
	catch_up();
	publish_n(11, 5);
	wait_for(15);
	assert_sequence(1, 15);
}

/* For a second and a half, in which this machine, as far as can be seen here, has not stood still. */
static bool live_on_undisturbed(void)
{
	for (int i = 0; i < 30; i++) {
		long long from_ms = clock_mono_ms();

		clock_sleep_ms(50);
		if (clock_mono_ms() - from_ms > 500)
			return false;
	}
	return true;
}

/* While it lives, nobody else takes the lease; one that stood still for its time may have lost it. */
static void assert_the_first_goes_on(void)
{
	int before = -1, after = 0;

	for (int i = 0; i < 8 && before < 0; i++) {
		if (!live_on_undisturbed())
			continue;
		before = log_count("delivering");
		if (!live_on_undisturbed())
			before = -1;
		after = log_count("delivering");
	}
	if (before < 0)
		print_message("  not judged: this machine stood still all the time\n");
	else
		assert_int_equal(after, before);
}

static void another_takes_over(void **state)
{
	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 50);
	wait_for(50);
	fanout_start_ready(1);
	assert_the_first_goes_on();

	fanout_end(0, SIGKILL);
	publish_n(51, 50);
	wait_for(100);
	assert_sequence(1, 100);
	fanout_start_ready(0); /* one that is stopped while it starts gives up */
	fanout_end(1, SIGTERM);
	publish_n(101, 5);
	wait_for(105);
	assert_sequence(1, 105);
}

struct publisher {
	int first, count;
};

static void *publish_all(void *closure)
{
	const struct publisher *p = closure;

	publish_n(p->first, p->count);
	return NULL;
}

static void one_that_was_thought_dead_breaks_no_order(void **state)
{
	struct publisher p = { 1, 1500 };
	pthread_t thread;

	(void)state;
	subscribe(f.topic, NULL);
	fanout_start_ready(1);
	pthread_create(&thread, NULL, publish_all, &p);
	for (int i = 0; i < 2; i++) {
		clock_sleep_ms(300);
		kill(f.fanouts[0], SIGSTOP);
		clock_sleep_ms(4500); /* well past its lease */
		kill(f.fanouts[0], SIGCONT);
	}
	pthread_join(thread, NULL);
	wait_for(1500);
	assert_sequence(1, 1500);
	print_message("  %zu came twice and were dropped\n", in.repeated);
	assert_int_equal(fanout_end(1, SIGTERM), 0);
}

static void a_killed_one_goes_on_where_it_was(void **state)
{
	struct publisher p = { 1, 2000 };
	pthread_t thread;

	(void)state;
	subscribe(f.topic, NULL);
	pthread_create(&thread, NULL, publish_all, &p);
	for (int i = 0; i < 3; i++) {
		clock_sleep_ms(200);
		fanout_end(0, SIGKILL);
		fanout_start(0);
	}
	pthread_join(thread, NULL);
	wait_for(2000);
	assert_sequence(1, 2000);
	print_message("  %zu came twice and were dropped\n", in.repeated);
}

static void it_ends_cleanly_and_gives_the_lease_up(void **state)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;

	(void)state;
	/* It delivers: the lease is its own, and not still that of one that was killed before. */
	subscribe(f.topic, NULL);
	publish_n(1, 1);
	wait_for(1);
	assert_int_equal(fanout_end(0, SIGTERM), 0);
	assert_ok(REDIS_CALL(f.r, &reply, &e, "EXISTS", "zaki:rt:leader"), &e);
	assert_int_equal(reply->integer, 0);
	fanout_start(0);
}

/* Exit status, and whether the log names the setting. */
static void a_bad_setting_stops_the_start(void **state)
{
	static const struct {
		const char *name, *value;
	} bad[] = {
		{ "BUS_KEY", "short" },  { "REDIS_URL", "http://x" }, { "BUS_WORKERS", "0" },
		{ "LOG_LEVEL", "loud" }, { "BUS_QUEUE_MAX", "many" }, { "EVENTS_NATS_URL", "nats" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char before[128] = "", want[64];
		const char *was = getenv(bad[i].name);
		int status = 0;
		pid_t pid;

		if (was)
			snprintf(before, sizeof(before), "%s", was);
		setenv(bad[i].name, bad[i].value, 1);
		pid = child_run((const char *[]){ f.bin, "--check-config", NULL }, f.log);
		waitpid(pid, &status, 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		snprintf(want, sizeof(want), "\"field\":\"%s\"", bad[i].name);
		assert_int_equal(log_lines(want), 1);
		if (was)
			setenv(bad[i].name, before, 1);
		else
			unsetenv(bad[i].name);
	}
}

/* Until it would end by itself where it is told to: before, SIGTERM ends it as any process. */
static void wait_blocks_sigterm(pid_t pid)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	unsigned long long blocked = 0;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	while (!(blocked & 1ULL << (SIGTERM - 1))) {
		FILE *status = fopen(path, "re");

		assert_true(status && clock_mono_ms() < until_ms);
		while (fgets(line, sizeof(line), status))
			if (strncmp(line, "SigBlk:", 7) == 0)
				blocked = strtoull(line + 7, NULL, 16);
		fclose(status);
		clock_sleep_ms(20);
	}
}

/* Not when the bus comes, which it never does. */
static void it_ends_at_once_while_there_is_no_bus(void **state)
{
	char url[64];
	long long until_ms;
	int status = -1;
	pid_t pid;

	(void)state;
	snprintf(url, sizeof(url), "nats://127.0.0.1:%d", free_port());
	setenv("NATS_URL", url, 1);
	pid = child_run((const char *[]){ f.bin, NULL }, f.log);
	setenv("NATS_URL", f.nats.url, 1);
	wait_blocks_sigterm(pid);
	clock_sleep_ms(200);
	kill(pid, SIGTERM);
	until_ms = clock_mono_ms() + WAIT_MS;
	while (waitpid(pid, &status, WNOHANG) == 0 && clock_mono_ms() < until_ms)
		clock_sleep_ms(20);
	assert_int_equal(status, 0);
}

static void it_says_how_it_is(void **state)
{
	struct bus_ctx ctx = { 0 };
	struct none none = { 0 };
	OWN(arena) struct arena a = { 0 };
	struct health_view out;
	struct err e = ERR_INIT;

	(void)state;
	arena_init(&a, 65536);
	assert_ok(bus_call(f.gateway, SUBJ_REALTIME_HEALTH, &ctx, &none, &a, &out, &e), &e);
	assert_string_equal(out.status, "up");
	assert_int_equal(out.parts_count, 2);
	child_kill(&f.redis);
	arena_done(&a);
	assert_ok(bus_call(f.gateway, SUBJ_REALTIME_HEALTH, &ctx, &none, &a, &out, &e), &e);
	assert_string_equal(out.status, "degraded");
	assert_string_equal(out.parts[0].status, "down");
	child_start_redis(&f.redis);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(a_nats_server_that_dies_costs_no_event),
		TEST(events_wait_while_redis_is_away),
		TEST(another_takes_over),
		TEST(one_that_was_thought_dead_breaks_no_order),
		TEST(a_killed_one_goes_on_where_it_was),
		TEST(it_ends_cleanly_and_gives_the_lease_up),
		TEST(a_bad_setting_stops_the_start),
		TEST(it_ends_at_once_while_there_is_no_bus),
		TEST(it_says_how_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
