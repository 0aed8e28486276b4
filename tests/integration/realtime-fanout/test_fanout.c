/*
 * The real realtime-fanout between a nats-server and a redis-server of this test's own, which are
 * killed under it. The test stands for instance-manager (whose instance is it) and for the gateway
 * (what comes in order, and what it has had before is dropped).
 */

#include "integration/bus/child.h"

#include "base/json.h"
#include "bus/bus.h"
#include "store/redis.h"

#include <pthread.h>
#include <sodium.h>

#define OWNER   "0b7e4d92-1c3a-4f68-9d25-a8c6e4b21f70"
#define OTHER   "1b7e4d92-1c3a-4f68-9d25-a8c6e4b21f71"
#define SESSION "c5d8a9f1-2e6b-4a73-8f90-1b2c3d4e5f60"
#define GATEWAY "gw0123456789abcd"
#define BUS_KEY "0123456789abcdef0123456789abcdef"

#define FANOUTS     2
#define TAKEOVER_MS 5000
#define EVENT_MAX   4096

static struct fixture {
	struct child nats, redis;
	pid_t fanouts[FANOUTS];
	char bin[512], log[128];
	struct seal seal;
	struct bus *owner, *gateway; /* the test as instance-manager and as gateway */
	struct pool *pool;
	struct bus_service service;
	struct redis *r;
	char instance[UUID_SIZE], topic[64]; /* of this test alone */
} f;

/* What the gateway has got. */
static struct inbox {
	pthread_mutex_t lock; /* guards all below */
	unsigned long long last_seq;
	char stream_id[16];
	int numbers[EVENT_MAX]; /* data.n of each event that is not a repetition */
	size_t count, repeated, wrong;
	char last_frame[1024];
	unsigned long long reconnects; /* of the gateway's connection, when it last caught up */
	char topic[64]; /* the test's: what still comes for the one before it does not count */
} in = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned long long reconnects(void)
{
	uint64_t in_msgs, in_bytes, out_msgs, out_bytes, count = 0;
	natsStatistics *stats = NULL;

	if (natsStatistics_Create(&stats) == NATS_OK &&
	    natsConnection_GetStats(bus_nats(f.gateway), stats) == NATS_OK)
		(void)natsStatistics_GetCounts(stats, &in_msgs, &in_bytes, &out_msgs, &out_bytes,
		                               &count);
	natsStatistics_Destroy(stats);
	return count;
}

/* Under the lock. As a gateway does: what it has had it drops. */
static void take_frame(const cJSON *frame)
{
	const cJSON *n = cJSON_GetObjectItem(cJSON_GetObjectItem(frame, "data"), "n");
	const char *position = json_text(frame, "position");
	unsigned long long seq;

	if (strcmp(json_text(frame, "topic"), in.topic) != 0)
		return;
	if (!position || !strchr(position, ':') || in.count == EVENT_MAX) {
		in.wrong++;
		return;
	}
	seq = strtoull(strchr(position, ':') + 1, NULL, 10);
	if (strncmp(in.stream_id, position, 8) == 0 && seq <= in.last_seq) {
		in.repeated++;
		return;
	}
	snprintf(in.stream_id, sizeof(in.stream_id), "%.8s", position);
	in.last_seq = seq;
	in.numbers[in.count++] = cJSON_IsNumber(n) ? (int)n->valuedouble : -1;
}

static void on_event(natsMsg *msg, void *ctx)
{
	OWN(json) cJSON *frame = NULL;
	const char *position = NULL, *topic = NULL;
	struct err e = ERR_INIT;

	(void)ctx;
	(void)natsMsgHeader_Get(msg, "Zaki-Position", &position);
	(void)natsMsgHeader_Get(msg, "Zaki-Topic", &topic);
	pthread_mutex_lock(&in.lock);
	/* After its connection was lost a gateway takes nothing before it has caught up. */
	if (reconnects() != in.reconnects) {
		pthread_mutex_unlock(&in.lock);
		return;
	}
	if (json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), &frame, &e) < 0 ||
	    !position || !topic || strcmp(json_text(frame, "position"), position) != 0 ||
	    strcmp(json_text(frame, "topic"), topic) != 0)
		in.wrong++;
	else
		take_frame(frame);
	snprintf(in.last_frame, sizeof(in.last_frame), "%.*s", natsMsg_GetDataLength(msg),
	         natsMsg_GetData(msg));
	pthread_mutex_unlock(&in.lock);
}

static size_t got(void)
{
	size_t count;

	pthread_mutex_lock(&in.lock);
	count = in.count;
	pthread_mutex_unlock(&in.lock);
	return count;
}

static void wait_for(size_t count, int ms)
{
	long long until_ms = clock_mono_ms() + ms;

	while (got() < count && clock_mono_ms() < until_ms)
		clock_sleep_ms(5);
	pthread_mutex_lock(&in.lock);
	for (size_t i = 0; in.count != count && i < in.count; i++)
		if (i == 0 || in.numbers[i] != in.numbers[i - 1] + 1)
			print_message("  the %zuth is %d\n", i + 1, in.numbers[i]);
	assert_int_equal(in.count, count);
	pthread_mutex_unlock(&in.lock);
}

/* first, first + 1, … count of them, each once. */
static void assert_sequence(int first, size_t count)
{
	pthread_mutex_lock(&in.lock);
	assert_int_equal(in.wrong, 0);
	assert_int_equal(in.count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(in.numbers[i], first + (int)i);
	pthread_mutex_unlock(&in.lock);
}

static int on_state(struct call *c, struct err *e)
{
	static struct session_view none;
	static struct instance_view view;
	const struct instance_owned_ref *ref = CALL_IN(c, instance_owned_ref);
	struct instance_state *out = CALL_OUT(c, instance_state);

	if (strcmp(ref->user_id, OWNER) != 0 || strcmp(ref->instance_id, f.instance) != 0)
		return err_set(e, ERR_NOT_FOUND, "no such instance");
	view = (struct instance_view){ .id = f.instance,
		                       .name = "x",
		                       .container_name = "x",
		                       .port = 1,
		                       .model = "a/b",
		                       .status = "running",
		                       .desired = "running",
		                       .created_at = "2026-02-10T12:00:00.000Z",
		                       .updated_at = "2026-02-10T12:00:00.000Z",
		                       .memory_mib = 2048 };
	out->instance = &view;
	out->sessions = &none;
	return 0;
}

static const struct bus_route routes[] = { { SUBJ_INSTANCE_STATE, on_state, 0 } };

static void fanout_start(int i)
{
	f.fanouts[i] = child_run((const char *[]){ f.bin, NULL }, f.log);
}

static int fanout_end(int i, int sig)
{
	int status = 0;

	if (!f.fanouts[i])
		return 0;
	kill(f.fanouts[i], sig);
	waitpid(f.fanouts[i], &status, 0);
	f.fanouts[i] = 0;
	return status;
}

/* How many lines of the daemons' log say this. */
static int log_count(const char *message)
{
	char line[8192], want[128];
	FILE *log = fopen(f.log, "re");
	int count = 0;

	snprintf(want, sizeof(want), "\"message\":\"%s\"", message);
	while (log && fgets(line, sizeof(line), log))
		count += strstr(line, want) != NULL;
	if (log)
		fclose(log);
	return count;
}

static void log_wait(const char *message, int count, int ms)
{
	long long until_ms = clock_mono_ms() + ms;

	while (log_count(message) < count && clock_mono_ms() < until_ms)
		clock_sleep_ms(20);
	if (log_count(message) < count)
		fail_msg("'%s' %d times within %d ms; see %s", message, count, ms, f.log);
}

/* As the gateway does every 10 s. */
static void gateway_alive(const char *id)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;
	char key[64];

	snprintf(key, sizeof(key), "zaki:rt:gateway:%s", id);
	assert_ok(REDIS_CALL(f.r, &reply, &e, "SET", key, "1", "EX", "300"), &e);
}

static int subscribe_as(const char *user_id, const char *topic, const char *since,
                        const char *gateway_id, struct rt_subscribed *out, struct arena *a,
                        struct err *e)
{
	struct rt_subscribe_req req = { gateway_id, topic, since };
	struct bus_ctx ctx = { 0 };

	*e = ERR_INIT;
	if (user_id) {
		snprintf(ctx.user_id, sizeof(ctx.user_id), "%s", user_id);
		snprintf(ctx.session_id, sizeof(ctx.session_id), "%s", SESSION);
	}
	arena_init(a, BUS_ARENA_LIMIT);
	return bus_call(f.gateway, SUBJ_REALTIME_SUBSCRIBE, &ctx, &req, a, out, e);
}

/* The position that the subscription starts from. */
static void subscribe(const char *topic, char position[64])
{
	OWN(arena) struct arena a = { 0 };
	struct rt_subscribed out;
	struct err e;

	assert_ok(subscribe_as(OWNER, topic, NULL, GATEWAY, &out, &a, &e), &e);
	if (position)
		snprintf(position, 64, "%s", out.position);
}

/* Data.n of the events since a position, or -1 where it is too old. */
static int missed(const char *since, int *ret, size_t max)
{
	OWN(arena) struct arena a = { 0 };
	OWN(json) cJSON *events = NULL;
	const cJSON *one;
	struct rt_subscribed out;
	struct err e;
	size_t count = 0;

	assert_ok(subscribe_as(OWNER, f.topic, since, GATEWAY, &out, &a, &e), &e);
	if (out.resync) {
		assert_null(out.events);
		return -1;
	}
	assert_ok(json_parse(out.events, strlen(out.events), &events, &e), &e);
	cJSON_ArrayForEach(one, events) {
		assert_string_equal(json_text(one, "topic"), f.topic);
		assert_true(count < max);
		ret[count++] = cJSON_GetObjectItem(cJSON_GetObjectItem(one, "data"), "n")->valueint;
	}
	return (int)count;
}

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
	long long until_ms = clock_mono_ms() + 10000;
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

/* Again under the same id until the stream has it, as an outbox does. */
static void publish(enum subject_id id, const char *key, const char *json)
{
	char msg_id[UUID_SIZE];
	struct bus_event ev = { .subject = id,
		                .key = key,
		                .msg_id = msg_id,
		                .json = json,
		                .trace_id = "0123456789abcdef0123456789abcdef",
		                .time_ms = 1770724800000 };
	long long until_ms = clock_mono_ms() + 15000;
	struct err e = ERR_INIT;

	uuid_make(msg_id);
	while (bus_event_publish(f.owner, &ev, &e) < 0) {
		if (clock_mono_ms() > until_ms)
			fail_msg("not published: %s", e.msg);
		clock_sleep_ms(20);
	}
}

static void publish_n(int first, int count)
{
	for (int n = first; n < first + count; n++) {
		char json[64];

		snprintf(json, sizeof(json), "{\"n\":%d}", n);
		publish(SUBJ_EVT_INSTANCE_STATUS, f.instance, json);
	}
}

static void an_owner_gets_state_and_position(void **state)
{
	OWN(arena) struct arena a = { 0 };
	OWN(json) cJSON *doc = NULL;
	struct rt_subscribed out;
	struct err e;

	(void)state;
	assert_ok(subscribe_as(OWNER, f.topic, NULL, GATEWAY, &out, &a, &e), &e);
	assert_ok(json_parse(out.state, strlen(out.state), &doc, &e), &e);
	assert_string_equal(json_text(cJSON_GetObjectItem(doc, "instance"), "id"), f.instance);
	assert_true(cJSON_IsArray(cJSON_GetObjectItem(doc, "sessions")));
	assert_non_null(strchr(out.position, ':'));
	assert_null(out.events);
	assert_false(out.resync);
}

static void nobody_else_gets_anything(void **state)
{
	/* clang-format off */
	const struct {
		const char *user_id, *topic, *since, *gateway_id;
		enum err_code code;
		const char *field;
	} cases[] = {
		{ OTHER, f.topic,               NULL,   GATEWAY,   ERR_NOT_FOUND,       "" },
		{ OWNER, "instance." OTHER,     NULL,   GATEWAY,   ERR_NOT_FOUND,       "" },
		{ OWNER, "sessions." OTHER,     NULL,   GATEWAY,   ERR_NOT_FOUND,       "" },
		{ NULL,  f.topic,               NULL,   GATEWAY,   ERR_UNAUTHENTICATED, "" },
		{ OWNER, "instance.*",          NULL,   GATEWAY,   ERR_INVALID,         "topic" },
		{ OWNER, "user." OWNER,         NULL,   GATEWAY,   ERR_INVALID,         "topic" },
		{ OWNER, f.topic,               NULL,   ">",       ERR_INVALID,         "gateway_id" },
		{ OWNER, f.topic,               NULL,   "a.b",     ERR_INVALID,         "gateway_id" },
		{ OWNER, f.topic,               "soon", GATEWAY,   ERR_INVALID,         "since" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(arena) struct arena a = { 0 };
		struct rt_subscribed out;
		struct err e;

		assert_fails(subscribe_as(cases[i].user_id, cases[i].topic, cases[i].since,
		                          cases[i].gateway_id, &out, &a, &e),
		             &e, cases[i].code);
		assert_string_equal(e.field, cases[i].field);
	}
	publish_n(1, 3);
	clock_sleep_ms(300);
	assert_int_equal(got(), 0);
}

static void events_come_in_order_as_frames(void **state)
{
	OWN(json) cJSON *frame = NULL;
	long long start_ms;
	struct err e = ERR_INIT;

	(void)state;
	subscribe(f.topic, NULL);
	start_ms = clock_mono_ms();
	publish_n(1, 500);
	wait_for(500, 10000);
	print_message("  500 events in %lld ms\n", clock_mono_ms() - start_ms);
	assert_sequence(1, 500);
	assert_ok(json_parse(in.last_frame, strlen(in.last_frame), &frame, &e), &e);
	assert_string_equal(json_text(frame, "event"), "instance.status");
	assert_string_equal(json_text(frame, "topic"), f.topic);
	assert_string_equal(json_text(frame, "ts"), "2026-02-10T12:00:00.000Z");
	assert_string_equal(json_text(frame, "trace_id"), "0123456789abcdef0123456789abcdef");
}

static void each_topic_gets_its_own(void **state)
{
	char other[UUID_SIZE];

	(void)state;
	uuid_make(other);
	subscribe(f.topic, NULL);
	publish(SUBJ_EVT_INSTANCE_STATUS, other, "{\"n\":100}");
	publish(SUBJ_EVT_SESSION_ENDED, f.instance, "{\"n\":101}");
	publish(SUBJ_EVT_CHANNEL_UP, f.instance, "{\"n\":1}");
	publish_n(2, 1);
	wait_for(2, 5000);
	assert_sequence(1, 2);
}

static void what_is_released_comes_no_more(void **state)
{
	struct rt_release_req req = { GATEWAY, f.topic };
	struct bus_ctx ctx = { 0 };
	OWN(arena) struct arena a = { 0 };
	struct err e = ERR_INIT;
	struct none none;

	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 1);
	wait_for(1, 5000);
	arena_init(&a, 4096);
	assert_ok(bus_call(f.gateway, SUBJ_REALTIME_RELEASE, &ctx, &req, &a, &none, &e), &e);
	publish_n(2, 3);
	clock_sleep_ms(300);
	assert_int_equal(got(), 1);
}

static void a_gateway_that_is_gone_is_forgotten(void **state)
{
	OWN(redis_reply) redisReply *reply = NULL;
	OWN(arena) struct arena a = { 0 };
	struct rt_subscribed out;
	struct err e = ERR_INIT;
	char key[160];

	(void)state;
	assert_ok(subscribe_as(OWNER, f.topic, NULL, "gone", &out, &a, &e), &e);
	subscribe(f.topic, NULL);
	publish_n(1, 1);
	wait_for(1, 5000);
	snprintf(key, sizeof(key), "zaki:rt:topic:%s", f.topic);
	assert_ok(REDIS_CALL(f.r, &reply, &e, "SMEMBERS", key), &e);
	assert_int_equal(reply->elements, 1);
	assert_string_equal(reply->element[0]->str, GATEWAY);
}

/* The daemon looks for gateways that are gone in topics with no events as well. */
static void a_quiet_topic_is_swept(void **state)
{
	OWN(arena) struct arena a = { 0 };
	struct rt_subscribed out;
	struct err e = ERR_INIT;
	long long until_ms = clock_mono_ms() + 15000, left = 1;

	(void)state;
	assert_ok(subscribe_as(OWNER, f.topic, NULL, "gone", &out, &a, &e), &e);
	while (left && clock_mono_ms() < until_ms) {
		OWN(redis_reply) redisReply *reply = NULL;
		char key[160];

		snprintf(key, sizeof(key), "zaki:rt:topic:%s", f.topic);
		assert_ok(REDIS_CALL(f.r, &reply, &e, "SCARD", key), &e);
		left = reply->integer;
		clock_sleep_ms(100);
	}
	assert_int_equal(left, 0);
}

static void what_was_missed_is_told_or_resync(void **state)
{
	char start[64], text[64];
	int numbers[1100];

	(void)state;
	subscribe(f.topic, start);
	assert_int_equal(missed(start, numbers, COUNT(numbers)), 0);
	publish_n(1, 20);
	publish(SUBJ_EVT_INSTANCE_STATUS, OTHER, "{\"n\":100}");
	publish(SUBJ_EVT_SESSION_ENDED, f.instance, "{\"n\":101}");
	publish_n(21, 5);
	assert_int_equal(missed(start, numbers, COUNT(numbers)), 25);
	for (int i = 0; i < 25; i++)
		assert_int_equal(numbers[i], i + 1);

	/* Of another stream; of the future. */
	snprintf(text, sizeof(text), "%s%s", start[0] == '0' ? "1" : "0", start + 1);
	assert_int_equal(missed(text, numbers, COUNT(numbers)), -1);
	snprintf(text, sizeof(text), "%.8s:%d", start, 99999999);
	assert_int_equal(missed(text, numbers, COUNT(numbers)), -1);
	/* Too much. */
	publish_n(26, 1000);
	assert_int_equal(missed(start, numbers, COUNT(numbers)), -1);
}

static void purge(unsigned long long upto)
{
	natsMsg *reply = NULL;
	char body[64];

	snprintf(body, sizeof(body), "{\"seq\":%llu}", upto + 1);
	assert_int_equal(natsConnection_RequestString(&reply, bus_nats(f.owner),
	                                              "$JS.API.STREAM.PURGE.ZAKI_EVENTS", body,
	                                              5000),
	                 NATS_OK);
	assert_non_null(strstr(natsMsg_GetData(reply), "\"success\":true"));
	natsMsg_Destroy(reply);
}

static void what_the_stream_has_forgotten_is_a_resync(void **state)
{
	char start[64], middle[64], end[64];
	int numbers[64];

	(void)state;
	subscribe(f.topic, start);
	publish_n(1, 5);
	subscribe(f.topic, middle);
	publish_n(6, 5);
	subscribe(f.topic, end);
	purge(strtoull(middle + 9, NULL, 10));
	assert_int_equal(missed(start, numbers, COUNT(numbers)), -1);
	assert_int_equal(missed(middle, numbers, COUNT(numbers)), 5); /* the exact edge */
	purge(strtoull(end + 9, NULL, 10));
	assert_int_equal(missed(middle, numbers, COUNT(numbers)), -1);
	assert_int_equal(missed(end, numbers, COUNT(numbers)), 0); /* an empty stream */
}

static void a_poisoned_event_is_passed_over(void **state)
{
	int before = log_count("event cannot be shown, passed over");

	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 1);
	publish(SUBJ_EVT_INSTANCE_STATUS, f.instance, "{\"n\":2} trailing");
	publish(SUBJ_EVT_INSTANCE_STATUS, f.instance, "");
	publish(SUBJ_EVT_INSTANCE_STATUS, f.instance, "[1]");
	publish_n(2, 1);
	wait_for(2, 5000);
	assert_sequence(1, 2);
	assert_int_equal(log_count("event cannot be shown, passed over"), before + 3);
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
	wait_for(120, 15000);
	assert_sequence(1, 120);
}

static void events_wait_while_redis_is_away(void **state)
{
	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 5);
	wait_for(5, 5000);
	child_kill(&f.redis);
	publish_n(6, 5);
	child_start_redis(&f.redis);
	/* It has forgotten all: the gateway sees that its key is gone, and subscribes anew. */
	clock_sleep_ms(1500);
	catch_up();
	publish_n(11, 5);
	wait_for(15, 10000);
	assert_sequence(1, 15);
}

static void another_takes_over(void **state)
{
	int active = log_count("delivering");
	long long start_ms;

	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 50);
	wait_for(50, 5000);
	fanout_start(1);
	log_wait("ready", log_count("ready") > 1 ? 2 : 1, 10000);
	clock_sleep_ms(1500);
	assert_int_equal(log_count("delivering"), active); /* the first goes on */

	start_ms = clock_mono_ms();
	fanout_end(0, SIGKILL);
	publish_n(51, 50);
	wait_for(100, TAKEOVER_MS);
	print_message("  taken over and delivered after %lld ms\n", clock_mono_ms() - start_ms);
	assert_sequence(1, 100);
	fanout_start(0);
	fanout_end(1, SIGTERM);
	publish_n(101, 5);
	wait_for(105, TAKEOVER_MS);
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

/* The holder sleeps past its lease with events in its hands, and goes on when it wakes. */
static void one_that_was_thought_dead_breaks_no_order(void **state)
{
	struct publisher p = { 1, 1500 };
	pthread_t thread;

	(void)state;
	subscribe(f.topic, NULL);
	fanout_start(1);
	clock_sleep_ms(500);
	pthread_create(&thread, NULL, publish_all, &p);
	for (int i = 0; i < 2; i++) {
		clock_sleep_ms(300);
		kill(f.fanouts[0], SIGSTOP);
		clock_sleep_ms(4500);
		kill(f.fanouts[0], SIGCONT);
	}
	pthread_join(thread, NULL);
	wait_for(1500, 15000);
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
	wait_for(2000, 20000);
	assert_sequence(1, 2000);
	print_message("  %zu came twice and were dropped\n", in.repeated);
}

static void it_ends_cleanly_and_gives_the_lease_up(void **state)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fanout_end(0, SIGTERM), 0);
	assert_ok(REDIS_CALL(f.r, &reply, &e, "EXISTS", "zaki:rt:leader"), &e);
	assert_int_equal(reply->integer, 0);
	fanout_start(0);
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

/* Each test has an assistant of its own, and a daemon that is up. */
static int begin(void **state)
{
	int ready = log_count("ready");

	(void)state;
	if (!f.fanouts[0]) {
		fanout_start(0);
		log_wait("ready", ready + 1, 15000);
	}
	uuid_make(f.instance);
	snprintf(f.topic, sizeof(f.topic), "instance.%s", f.instance);
	for (int i = 0; i < 100; i++) {
		OWN(arena) struct arena a = { 0 };
		struct rt_subscribed out;
		struct err e;

		if (subscribe_as(OWNER, "instance." OTHER, NULL, GATEWAY, &out, &a, &e) < 0 &&
		    e.code == ERR_NOT_FOUND)
			break;
		clock_sleep_ms(50);
	}
	gateway_alive(GATEWAY);
	pthread_mutex_lock(&in.lock);
	in.count = in.repeated = in.wrong = 0;
	in.reconnects = reconnects();
	snprintf(in.topic, sizeof(in.topic), "%s", f.topic);
	pthread_mutex_unlock(&in.lock);
	return 0;
}

static void environment(void)
{
	char *end;

	assert_true(readlink("/proc/self/exe", f.bin, sizeof(f.bin) - 1) > 0);
	end = strstr(f.bin, "/tests/integration/");
	assert_non_null(end);
	snprintf(end, sizeof(f.bin) - (size_t)(end - f.bin), "/bin/realtime-fanout");
	if (access(f.bin, X_OK) != 0)
		fail_msg("%s is not built", f.bin);
	snprintf(f.log, sizeof(f.log), "%s/fanout.log", f.nats.dir);
	setenv("NATS_URL", f.nats.url, 1);
	setenv("REDIS_URL", f.redis.url, 1);
	setenv("BUS_KEY", BUS_KEY, 1);
}

static int setup(void **state)
{
	struct bus_opt owner = { f.nats.url, "instance-manager", &f.seal, 5000 };
	struct bus_opt gateway = { f.nats.url, "gateway", &f.seal, 5000 };
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	child_start_nats(&f.nats);
	child_start_redis(&f.redis);
	environment();
	f.service = (struct bus_service){
		.description = "x", .routes = routes, .route_count = COUNT(routes), .pools = &f.pool
	};
	if (sodium_init() < 0 || seal_init(&f.seal, BUS_KEY, &e) < 0 ||
	    redis_open(f.redis.url, 2, &f.r, &e) < 0 || bus_open(&owner, &f.owner, &e) < 0 ||
	    bus_open(&gateway, &f.gateway, &e) < 0 || pool_new(4, 64, bus_work, &f.pool, &e) < 0 ||
	    bus_serve(f.owner, &f.service, &e) < 0 ||
	    bus_listen(f.gateway, "zaki.rt." GATEWAY, on_event, NULL, &e) < 0) {
		print_error("%s\n", e.msg);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < FANOUTS; i++) {
		if (f.fanouts[i])
			kill(f.fanouts[i], SIGCONT);
		fanout_end(i, SIGTERM);
	}
	if (f.owner)
		bus_drain(f.owner);
	pool_free(f.pool);
	bus_close(f.owner);
	bus_close(f.gateway);
	redis_close(f.r);
	nats_Close();
	if (getenv("KEEP_LOGS"))
		print_message("%s\n", f.log);
	else
		child_end(&f.nats);
	child_end(&f.redis);
	child_kill(&f.nats);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(an_owner_gets_state_and_position),
		TEST(nobody_else_gets_anything),
		TEST(events_come_in_order_as_frames),
		TEST(each_topic_gets_its_own),
		TEST(what_is_released_comes_no_more),
		TEST(a_gateway_that_is_gone_is_forgotten),
		TEST(a_quiet_topic_is_swept),
		TEST(what_was_missed_is_told_or_resync),
		TEST(what_the_stream_has_forgotten_is_a_resync),
		TEST(a_poisoned_event_is_passed_over),
		TEST(a_nats_server_that_dies_costs_no_event),
		TEST(events_wait_while_redis_is_away),
		TEST(another_takes_over),
		TEST(one_that_was_thought_dead_breaks_no_order),
		TEST(a_killed_one_goes_on_where_it_was),
		TEST(it_ends_cleanly_and_gives_the_lease_up),
		TEST(it_says_how_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
