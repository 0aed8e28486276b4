/* What whoever comes back is told when it takes long, when the stream drops some of it meanwhile, and
 * when the assistant is gone. */

#include "fanout.h"

#define NUMBERS_MAX 256

/* An answer to one who comes back, read. */
struct told {
	struct rt_subscribed out;
	struct arena arena;
	int numbers[NUMBERS_MAX]; /* data.n of each event; -1: it has none */
	size_t count;
	char last[64]; /* the name of the last event */
};

static void tell(struct told *t, const char *topic, const char *since)
{
	OWN(json) cJSON *events = NULL;
	const cJSON *one;
	struct err e;

	*t = (struct told){ .count = 0 };
	assert_ok(subscribe_as(OWNER, topic, since, GATEWAY, &t->out, &t->arena, &e), &e);
	if (!t->out.events)
		return;
	assert_ok(json_parse(t->out.events, strlen(t->out.events), &events, &e), &e);
	cJSON_ArrayForEach(one, events) {
		const cJSON *n = cJSON_GetObjectItem(cJSON_GetObjectItem(one, "data"), "n");

		assert_string_equal(json_text(one, "topic"), topic);
		assert_true(t->count < NUMBERS_MAX);
		t->numbers[t->count++] = n ? n->valueint : -1;
		snprintf(t->last, sizeof(t->last), "%s", json_text(one, "event"));
	}
}

static void told_done(struct told *t)
{
	arena_done(&t->arena);
}

/* The daemon anew, each message of a replay taking so long. */
static void slow_down(const char *ms)
{
	int ready = log_count("ready");
	char text[64];

	fanout_end(0, SIGTERM);
	snprintf(text, sizeof(text), "replay.message=%s", ms);
	setenv("ZAKI_FAULT_DELAY", text, 1);
	fanout_start(0);
	unsetenv("ZAKI_FAULT_DELAY");
	log_wait("ready", ready + 1);
}

/* One that has stood still for all its time has nothing to tell and says so: asked once more, then. */
static void tell_some(struct told *t, const char *topic, const char *since)
{
	tell(t, topic, since);
	for (int i = 0; i < 20 && t->out.resync; i++) {
		told_done(t);
		tell(t, topic, since);
	}
	assert_false(t->out.resync);
	assert_true(t->count > 0);
}

static void a_slow_replay_comes_in_parts(void **state)
{
	char start[64], since[64];
	struct told t;
	int next = 1, parts = 0;

	(void)state;
	subscribe(f.topic, start);
	publish_n(1, 70);
	slow_down("60");
	snprintf(since, sizeof(since), "%s", start);
	do {
		tell_some(&t, f.topic, since);
		for (size_t i = 0; i < t.count; i++)
			assert_int_equal(t.numbers[i], next++);
		snprintf(since, sizeof(since), "%s", t.out.upto ? t.out.upto : t.out.position);
		parts++;
		next = t.out.upto ? next : -next;
		told_done(&t);
	} while (next > 0);
	assert_int_equal(-next, 71);
	assert_in_range(parts, 2, 70 / 2);
}

static void one_that_does_not_move_on_is_a_resync(void **state)
{
	char start[64];
	struct told t;

	(void)state;
	subscribe(f.topic, start);
	publish_n(1, 20);
	slow_down("400");
	tell(&t, f.topic, start);
	assert_true(t.out.resync);
	assert_null(t.out.events);
	assert_null(t.out.upto);
	assert_non_null(t.out.state);
	told_done(&t);
}

static void *purge_soon(void *closure)
{
	natsMsg *reply = NULL;
	char body[64];

	clock_sleep_ms(400);
	snprintf(body, sizeof(body), "{\"seq\":%llu}", *(unsigned long long *)closure);
	assert_int_equal(natsConnection_RequestString(&reply, bus_nats(f.owner),
	                                              "$JS.API.STREAM.PURGE.ZAKI_EVENTS", body,
	                                              WAIT_MS),
	                 NATS_OK);
	natsMsg_Destroy(reply);
	return NULL;
}

/* The reader's first 128 are on their way by then; what it gets next has a hole before it. */
static void what_is_dropped_meanwhile_is_a_resync(void **state)
{
	unsigned long long middle;
	pthread_t thread;
	char start[64];
	struct told t;

	(void)state;
	subscribe(f.topic, start);
	publish_n(1, 200);
	middle = strtoull(start + 9, NULL, 10) + 160;
	slow_down("10");
	pthread_create(&thread, NULL, purge_soon, &middle);
	tell(&t, f.topic, start);
	pthread_join(thread, NULL);
	/* On a slow machine it may have told a part before. */
	while (!t.out.resync && t.out.upto) {
		snprintf(start, sizeof(start), "%s", t.out.upto);
		told_done(&t);
		tell(&t, f.topic, start);
	}
	assert_true(t.out.resync);
	told_done(&t);
}

static void delete_it(const char *instance, const char *user_id)
{
	char json[160];

	snprintf(json, sizeof(json), "{\"instance_id\":\"%s\"%s%s%s}", instance,
	         user_id ? ",\"user_id\":\"" : "", user_id ? user_id : "", user_id ? "\"" : "");
	publish(SUBJ_EVT_INSTANCE_DELETED, instance, json);
}

static void the_end_of_what_was_theirs_is_told(void **state)
{
	char start[64], other[64], topic[64], sessions[64], gone[UUID_SIZE];
	struct told t;

	(void)state;
	subscribe(f.topic, start);
	uuid_make(gone);
	snprintf(topic, sizeof(topic), "instance.%s", gone);
	snprintf(sessions, sizeof(sessions), "sessions.%s", gone);
	for (int n = 1; n <= 3; n++)
		publish(SUBJ_EVT_INSTANCE_STATUS, gone, n == 1 ? "{\"n\":1}" : "{\"n\":2}");
	delete_it(gone, OWNER);

	tell(&t, topic, start);
	assert_true(t.out.over && !t.out.resync && !t.out.state);
	assert_int_equal(t.count, 4);
	assert_string_equal(t.last, "instance.deleted");
	snprintf(start, sizeof(start), "%s", t.out.position);
	told_done(&t);

	/* Whoever had it already; who listens to the other topic; who has been away for too long. */
	tell(&t, topic, start);
	assert_true(t.out.over);
	assert_int_equal(t.count, 0);
	told_done(&t);
	snprintf(other, sizeof(other), "%s%s", start[0] == '0' ? "1" : "0", start + 1);
	tell(&t, sessions, other);
	assert_true(t.out.over && !t.out.resync);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.last, "instance.deleted");
	told_done(&t);
}

static void the_end_of_anothers_is_not(void **state)
{
	char start[64], topic[64], nobodys[64], gone[UUID_SIZE], older[UUID_SIZE];

	(void)state;
	subscribe(f.topic, start);
	uuid_make(gone);
	uuid_make(older);
	snprintf(topic, sizeof(topic), "instance.%s", gone);
	snprintf(nobodys, sizeof(nobodys), "sessions.%s", older);
	delete_it(gone, OWNER);
	delete_it(older, NULL); /* as it was said once */

	const struct {
		const char *user_id, *topic, *since;
	} cases[] = {
		{ OTHER, topic, start },
		{ OWNER, nobodys, start },
		{ OWNER, topic, NULL },
		{ OWNER, "instance." OTHER, start },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(arena) struct arena a = { 0 };
		struct rt_subscribed out;
		struct err e;

		assert_fails(subscribe_as(cases[i].user_id, cases[i].topic, cases[i].since, GATEWAY,
		                          &out, &a, &e),
		             &e, ERR_NOT_FOUND);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(the_end_of_what_was_theirs_is_told),
		TEST(the_end_of_anothers_is_not),
		TEST(a_slow_replay_comes_in_parts),
		TEST(one_that_does_not_move_on_is_a_resync),
		TEST(what_is_dropped_meanwhile_is_a_resync),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
