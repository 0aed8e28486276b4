/* Who may subscribe, what comes, and what is told of what was missed. */

#include "fanout.h"

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
	wait_passed();
	assert_int_equal(got(), 0);
}

static void events_come_in_order_as_frames(void **state)
{
	OWN(json) cJSON *frame = NULL;
	struct err e = ERR_INIT;

	(void)state;
	subscribe(f.topic, NULL);
	publish_n(1, 500);
	wait_for(500);
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
	wait_for(2);
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
	wait_for(1);
	arena_init(&a, 4096);
	assert_ok(bus_call(f.gateway, SUBJ_REALTIME_RELEASE, &ctx, &req, &a, &none, &e), &e);
	publish_n(2, 3);
	wait_passed();
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
	wait_for(1);
	snprintf(key, sizeof(key), "zaki:rt:topic:%s", f.topic);
	assert_ok(REDIS_CALL(f.r, &reply, &e, "SMEMBERS", key), &e);
	assert_int_equal(reply->elements, 1);
	assert_string_equal(reply->element[0]->str, GATEWAY);
}

/* The 65th would be sent nothing; it is told so. One that is gone takes nobody's place. */
static void a_topic_has_so_many_gateways_and_no_more(void **state)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct err e = ERR_INIT;
	char id[32], key[64];

	(void)state;
	for (int i = 0; i < 65; i++) {
		OWN(arena) struct arena a = { 0 };
		struct rt_subscribed out;

		snprintf(id, sizeof(id), "many%d", i);
		gateway_alive(id);
		if (i < 64)
			assert_ok(subscribe_as(OWNER, f.topic, NULL, id, &out, &a, &e), &e);
		else
			assert_fails(subscribe_as(OWNER, f.topic, NULL, id, &out, &a, &e), &e,
			             ERR_UNAVAILABLE);
	}
	assert_ok(REDIS_CALL(f.r, &reply, &e, "DEL", "zaki:rt:gateway:many7"), &e);
	subscribe(f.topic, NULL);
	publish_n(1, 1);
	wait_for(1);
	for (int i = 0; i < 65; i++) {
		OWN(redis_reply) redisReply *gone = NULL;

		snprintf(key, sizeof(key), "zaki:rt:gateway:many%d", i);
		assert_ok(REDIS_CALL(f.r, &gone, &e, "DEL", key), &e);
	}
}

/* The daemon looks for gateways that are gone in topics with no events as well. */
static void a_quiet_topic_is_swept(void **state)
{
	OWN(arena) struct arena a = { 0 };
	struct rt_subscribed out;
	struct err e = ERR_INIT;
	long long until_ms = clock_mono_ms() + WAIT_MS, left = 1;

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
	                                              WAIT_MS),
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
	wait_for(2);
	assert_sequence(1, 2);
	assert_int_equal(log_count("event cannot be shown, passed over"), before + 3);
}

/* The holder sleeps past its lease with events in its hands, and goes on when it wakes. */

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
		TEST(a_topic_has_so_many_gateways_and_no_more),
		TEST(a_quiet_topic_is_swept),
		TEST(what_was_missed_is_told_or_resync),
		TEST(what_the_stream_has_forgotten_is_a_resync),
		TEST(a_poisoned_event_is_passed_over),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
