/* Calls and their answers, and what is no call. */

#include "served.h"

static void a_call_is_answered(void **state)
{
	struct bus_ctx ctx = { TRACE, USER, SESSION, "192.0.2.1", "curl/8", "" };
	OWN(arena) struct arena a = { 0 };
	struct none in = { 0 };
	struct user_view out;
	struct err e;

	(void)state;
	assert_ok(call(SUBJ_USER_GET, &ctx, &in, &out, &a, &e), &e);
	assert_string_equal(out.email, "ada@example.org");
	assert_null(out.name);
	assert_string_equal(sh.ctx.trace_id, TRACE);
	assert_string_equal(sh.ctx.user_id, USER);
	assert_string_equal(sh.ctx.session_id, SESSION);
	assert_string_equal(sh.ctx.client_address, "192.0.2.1");
	assert_string_equal(sh.ctx.client_agent, "curl/8");
}

static void a_failure_keeps_its_code_and_field(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name;
		enum err_code code;
		const char *field, *msg;
	} cases[] = {
		{ "taken",  ERR_CONFLICT, "name", "somebody is called 'taken'" },
		{ "secret", ERR_INTERNAL, "",     "internal error" }, /* the detail stays inside */
		{ "silent", ERR_INTERNAL, "",     "internal error" },
		{ "empty",  ERR_INTERNAL, "",     "internal error" },
		{ NULL,     ERR_LIMIT,    "",     "too often" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct user_update_req in = { .name = cases[i].name };
		OWN(arena) struct arena a = { 0 };
		struct user_view out;
		struct err e;

		assert_fails(call(SUBJ_USER_UPDATE, NULL, &in, &out, &a, &e), &e, cases[i].code);
		assert_string_equal(e.field, cases[i].field);
		assert_string_equal(e.msg, cases[i].msg);
		assert_int_equal(e.retry_after_s, cases[i].code == ERR_LIMIT ? 42 : 0);
	}
}

static void what_a_handler_got_over_is_no_failure(void **state)
{
	struct user_update_req in = { .name = "got over" };
	OWN(arena) struct arena a = { 0 };
	struct user_view out;
	struct err e;

	(void)state;
	assert_ok(call(SUBJ_USER_UPDATE, NULL, &in, &out, &a, &e), &e);
	assert_string_equal(out.name, "got over");
}

static void an_unknown_verb_is_not_found(void **state)
{
	struct user_ref in = { .user_id = USER };
	struct user_tier_view out;
	OWN(arena) struct arena a = { 0 };
	struct err e;

	(void)state;
	assert_fails(call(SUBJ_USER_TIER, NULL, &in, &out, &a, &e), &e, ERR_NOT_FOUND);
}

static void a_service_that_is_not_there_is_unavailable(void **state)
{
	struct instance_ref in = { .instance_id = USER };
	struct instance_view out;
	OWN(arena) struct arena a = { 0 };
	struct err e;

	(void)state;
	/* Told by the server: a time-out would say so. */
	assert_fails(call(SUBJ_INSTANCE_GET, NULL, &in, &out, &a, &e), &e, ERR_UNAVAILABLE);
}

/* A request as anybody could send it. */
struct raw {
	const char *verb, *body;
	int len;
	const char *header, *value; /* NULL: none */
};

/* The reply's code ("" where it is a success) and HTTP status. */
static void ask_raw(struct raw r, char ret_code[64], char ret_status[8])
{
	OWN(nats_msg) natsMsg *msg = NULL, *reply = NULL;
	OWN(json) cJSON *doc = NULL;
	const char *status = NULL, *code;
	struct err e = ERR_INIT;
	char subject[80];

	snprintf(subject, sizeof(subject), "zaki.rpc.auth.%s", r.verb);
	assert_int_equal(natsMsg_Create(&msg, subject, NULL, r.body, r.len), NATS_OK);
	if (r.header)
		assert_int_equal(natsMsgHeader_Set(msg, r.header, r.value), NATS_OK);
	assert_int_equal(natsConnection_RequestMsg(&reply, bus_nats(f.client), msg, WAIT_MS),
	                 NATS_OK);
	assert_ok(
		json_parse(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), &doc, &e),
		&e);
	code = json_text(cJSON_GetObjectItemCaseSensitive(doc, "error"), "code");
	snprintf(ret_code, 64, "%s", code ? code : "");
	assert_int_equal(natsMsgHeader_Get(reply, "Zaki-Status", &status), NATS_OK);
	snprintf(ret_status, 8, "%s", status);
}

static void bad_bytes_are_answered(void **state)
{
	/* clang-format off */
	static const struct { const char *body; int len; } bodies[] = {
		{ "", 0 }, { "x", 1 }, { "{", 1 }, { "{} x", 4 }, { "[]", 2 }, { "null", 4 },
		{ "{\"a\":1}", 7 }, { "{}\0", 3 }, { "\xff\xfe", 2 }, { "\xef\xbb\xbf{}", 5 },
	};
	/* clang-format on */
	char code[64], status[8];

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		ask_raw((struct raw){ "user_get", bodies[i].body, bodies[i].len, NULL, NULL }, code,
		        status);
		assert_string_equal(code, "VALIDATION_ERROR");
		assert_string_equal(status, "400");
	}
	assert_int_equal(sh.calls, 0);
	ask_raw((struct raw){ "user_get", "{}", 2, "Zaki-Actor", "root root" }, code, status);
	assert_string_equal(code, "VALIDATION_ERROR");
	ask_raw((struct raw){ "no_such_verb", "{}", 2, NULL, NULL }, code, status);
	assert_string_equal(code, "NOT_FOUND");
	ask_raw((struct raw){ "user_get", "{}", 2, NULL, NULL }, code, status);
	assert_string_equal(code, "");
	assert_string_equal(status, "200");
}

static void what_comes_past_its_deadline_is_dropped(void **state)
{
	char code[64], status[8], at[24];

	(void)state;
	snprintf(at, sizeof(at), "%lld", clock_now_ms() - 1);
	ask_raw((struct raw){ "user_get", "{}", 2, "Zaki-Deadline", at }, code, status);
	assert_string_equal(code, "TIMEOUT");
	assert_string_equal(status, "504");
	assert_int_equal(sh.calls, 0);
}

static void *call_slow(void *closure)
{
	struct session_ref in = { USER, SESSION };
	OWN(arena) struct arena a = { 0 };
	struct session_state out;
	struct err e;

	*(int *)closure = call(SUBJ_SESSION_CHECK, NULL, &in, &out, &a, &e);
	return NULL;
}

static void many_are_answered_at_once(void **state)
{
	pthread_t threads[WORKERS];
	int results[WORKERS];

	(void)state;
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, call_slow, &results[i]);
	for (size_t i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(results[i], 0);
	}
	assert_int_equal(sh.at_once_max, WORKERS);
}

static void *call_gated(void *closure)
{
	OWN(arena) struct arena a = { 0 };
	struct user_deletion out;
	struct none in = { 0 };

	call(SUBJ_USER_DELETE, NULL, &in, &out, &a, closure);
	return NULL;
}

static void a_full_queue_is_told_at_once(void **state)
{
	struct err first = ERR_INIT, second = ERR_INIT, third = ERR_INIT;
	pthread_t threads[2];

	(void)state;
	pthread_create(&threads[0], NULL, call_gated, &first);
	pthread_mutex_lock(&sh.lock);
	while (sh.at_gate == 0)
		pthread_cond_wait(&sh.changed, &sh.lock);
	pthread_mutex_unlock(&sh.lock);
	pthread_create(&threads[1], NULL, call_gated, &second);
	while (pool_queued(f.pools[POOL_SMALL]) == 0)
		clock_sleep_ms(5);

	call_gated(&third);
	assert_int_equal(third.code, ERR_UNAVAILABLE);
	assert_int_equal(third.retry_after_s, 1);

	pthread_mutex_lock(&sh.lock);
	sh.is_open = true;
	pthread_cond_broadcast(&sh.changed);
	pthread_mutex_unlock(&sh.lock);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(first.code == ERR_NONE && second.code == ERR_NONE);
}

/* NATS ADR-32, as its tools read it. */
/* The same event sent twice (a publisher that crashed before it noted the first) is kept once. */

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		TEST(a_call_is_answered),
		TEST(a_failure_keeps_its_code_and_field),
		TEST(what_a_handler_got_over_is_no_failure),
		TEST(an_unknown_verb_is_not_found),
		TEST(a_service_that_is_not_there_is_unavailable),
		TEST(bad_bytes_are_answered),
		TEST(what_comes_past_its_deadline_is_dropped),
		TEST(many_are_answered_at_once),
		TEST(a_full_queue_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
