/* Events in the stream, and what the ecosystem's tools are told (NATS ADR-32). */

#include "served.h"

static cJSON *srv(const char *verb, const char *rest)
{
	OWN(nats_msg) natsMsg *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *doc = NULL;
	char subject[120];

	snprintf(subject, sizeof(subject), "$SRV.%s%s", verb, rest);
	assert_int_equal(
		natsConnection_RequestString(&reply, bus_nats(f.client), subject, "", WAIT_MS),
		NATS_OK);
	assert_ok(
		json_parse(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), &doc, &e),
		&e);
	return doc;
}

static void the_ecosystems_tools_find_us(void **state)
{
	static const char *const verbs[] = { "PING", "INFO", "STATS" };
	static const char *const types[] = { "ping", "info", "stats" };
	char by_id[64];

	(void)state;
	snprintf(by_id, sizeof(by_id), ".bustest.%s", bus_instance_id(f.server));
	for (size_t i = 0; i < COUNT(verbs); i++) {
		const char *const rests[] = { ".bustest", by_id };

		for (size_t k = 0; k < COUNT(rests); k++) {
			OWN(json) cJSON *doc = srv(verbs[i], rests[k]);
			char type[64];

			snprintf(type, sizeof(type), "io.nats.micro.v1.%s_response", types[i]);
			assert_string_equal(json_text(doc, "type"), type);
			assert_string_equal(json_text(doc, "name"), "bustest");
			assert_string_equal(json_text(doc, "id"), bus_instance_id(f.server));
			assert_string_equal(json_text(doc, "version"), "0.1.0");
			assert_true(cJSON_IsObject(cJSON_GetObjectItem(doc, "metadata")));
		}
	}
}

static int figure(const cJSON *endpoint, const char *key)
{
	return (int)cJSON_GetObjectItem(endpoint, key)->valuedouble;
}

/* What it tells once the call after these figures is in them: it is counted after its reply was sent. */
static cJSON *stats_after(const cJSON *before)
{
	const int index = 1;
	const cJSON *was = cJSON_GetArrayItem(cJSON_GetObjectItem(before, "endpoints"), index);
	long long until_ms = clock_mono_ms() + WAIT_MS;

	for (;;) {
		cJSON *doc = srv("STATS", ".bustest");
		const cJSON *is = cJSON_GetArrayItem(cJSON_GetObjectItem(doc, "endpoints"), index);

		if (figure(is, "num_requests") > figure(was, "num_requests") ||
		    clock_mono_ms() > until_ms)
			return doc;
		cJSON_Delete(doc);
		clock_sleep_ms(5);
	}
}

static void its_figures_are_those_of_the_calls(void **state)
{
	OWN(arena) struct arena a = { 0 };
	OWN(json) cJSON *before = srv("STATS", ".bustest"), *after = NULL;
	const cJSON *one, *list[2];
	struct user_update_req in = { .name = "taken" };
	struct user_view out;
	struct err e;

	(void)state;
	(void)call(SUBJ_USER_UPDATE, NULL, &in, &out, &a, &e);
	after = stats_after(before);
	list[0] = cJSON_GetObjectItem(before, "endpoints");
	list[1] = cJSON_GetObjectItem(after, "endpoints");
	assert_int_equal(cJSON_GetArraySize(list[1]), COUNT(routes));
	assert_true(clock_text_is_valid(json_text(after, "started")));
	cJSON_ArrayForEach(one, list[1]) {
		assert_string_equal(json_text(one, "queue_group"), "bustest");
		assert_non_null(json_text(one, "name"));
		assert_true(cJSON_IsNumber(cJSON_GetObjectItem(one, "average_processing_time")));
		assert_true(cJSON_IsNumber(cJSON_GetObjectItem(one, "processing_time")));
	}
	for (int i = 0; i < 2; i++)
		list[i] = cJSON_GetArrayItem(list[i], 1);
	assert_string_equal(json_text(list[1], "subject"), "zaki.rpc.auth.user_update");
	for (int i = 0; i < 2; i++) {
		const char *key = i ? "num_errors" : "num_requests";

		assert_int_equal(figure(list[1], key), figure(list[0], key) + 1);
	}
}

static void an_event_published_twice_is_kept_once(void **state)
{
	char id[UUID_SIZE], filter[160];
	struct bus_event ev = { .subject = SUBJ_EVT_SESSION_ENDED,
		                .key = id,
		                .trace_id = TRACE,
		                .time_ms = 1770724800000,
		                .json = "{}" };
	natsSubscription *sub = NULL;
	jsOptions opts;
	jsCtx *js = NULL;
	natsMsg *msg = NULL;
	const char *value = NULL;
	struct err e = ERR_INIT;
	int seen = 0;

	(void)state;
	uuid_make(id);
	snprintf(filter, sizeof(filter), "zaki.evt.user.%s.session_ended", id);
	for (int i = 0; i < 4; i++) {
		char msg_id[64];

		snprintf(msg_id, sizeof(msg_id), "%s-%d", id, i / 2);
		ev.msg_id = msg_id;
		assert_ok(bus_event_publish(f.client, &ev, &e), &e);
	}
	jsOptions_Init(&opts);
	opts.Wait = WAIT_MS;
	assert_int_equal(natsConnection_JetStream(&js, bus_nats(f.client), &opts), NATS_OK);
	assert_int_equal(js_SubscribeSync(&sub, js, filter, NULL, NULL, NULL), NATS_OK);
	/* Two come; whether a third does is seen by waiting. */
	while (natsSubscription_NextMsg(&msg, sub, seen < 2 ? WAIT_MS : 500) == NATS_OK) {
		assert_int_equal(natsMsgHeader_Get(msg, "Zaki-Time", &value), NATS_OK);
		assert_string_equal(value, "2026-02-10T12:00:00.000Z");
		assert_int_equal(natsMsgHeader_Get(msg, "traceparent", &value), NATS_OK);
		assert_non_null(strstr(value, TRACE));
		natsMsg_Destroy(msg);
		seen++;
	}
	natsSubscription_Destroy(sub);
	jsCtx_Destroy(js);
	assert_int_equal(seen, 2);
}

static void an_event_needs_an_id(void **state)
{
	struct bus_event ev = {
		.subject = SUBJ_EVT_SESSION_ENDED, .key = "*", .msg_id = "x", .json = "{}"
	};
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(bus_event_publish(f.client, &ev, &e), &e, ERR_INTERNAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		TEST(the_ecosystems_tools_find_us),
		TEST(its_figures_are_those_of_the_calls),
		TEST(an_event_published_twice_is_kept_once),
		TEST(an_event_needs_an_id),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
