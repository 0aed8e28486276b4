/* Calls over a real nats-server (NATS_URL), between two connections of this process. */

#include "test.h"

#include "base/clock.h"
#include "base/json.h"
#include "bus/bus.h"

#include <pthread.h>
#include <sodium.h>

#define USER       "123e4567-e89b-42d3-a456-426614174000"
#define SESSION    "123e4567-e89b-42d3-a456-426614174001"
#define TRACE      "0123456789abcdef0123456789abcdef"
#define WORKERS    8
#define SLOW_MS    300
#define POOL_MAIN  0
#define POOL_SMALL 1

static struct fixture {
	struct seal seal;
	struct bus *server, *client;
	struct pool *pools[2]; /* the second has one worker and room for one more */
	struct bus_service service;
} f;

/* What the handlers share with the tests. */
static struct shared {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool is_open; /* gated handlers may go on */
	int at_gate, calls, at_once, at_once_max;
	struct bus_ctx ctx; /* of the last call of on_get */
	char password[64];
	char stored_key[160], stored_hash[SEAL_HASH_SIZE];
	char *stored_reply;
	int stored_status;
	bool is_claimed;
} sh = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static struct user_view some_user(void)
{
	return (struct user_view){ .id = USER,
		                   .email = "ada@example.org",
		                   .subscription_tier = "free",
		                   .created_at = "2026-02-10T12:00:00.000Z",
		                   .updated_at = "2026-02-10T12:00:00.000Z" };
}

static int on_get(struct call *c, struct err *e)
{
	(void)e;
	pthread_mutex_lock(&sh.lock);
	sh.calls++;
	sh.ctx = c->ctx;
	pthread_mutex_unlock(&sh.lock);
	*CALL_OUT(c, user_view) = some_user();
	return 0;
}

static int on_update(struct call *c, struct err *e)
{
	const struct user_update_req *in = CALL_IN(c, user_update_req);

	if (!in->name)
		return err_busy(e, ERR_LIMIT, 42, "too often");
	if (strcmp(in->name, "taken") == 0) {
		err_set(e, ERR_CONFLICT, "somebody is called '%s'", in->name);
		snprintf(e->field, sizeof(e->field), "name");
		return -1;
	}
	if (strcmp(in->name, "secret") == 0)
		return err_set(e, ERR_INTERNAL, "the database's password is 'x'");
	if (strcmp(in->name, "silent") == 0)
		return -1;
	if (strcmp(in->name, "got over") == 0)
		err_set(e, ERR_NOT_FOUND, "tried something else first");
	if (strcmp(in->name, "empty") == 0)
		return 0; /* a reply that lacks what its schema requires */
	*CALL_OUT(c, user_view) = some_user();
	CALL_OUT(c, user_view)->name = in->name;
	return 0;
}

static int on_slow(struct call *c, struct err *e)
{
	(void)e;
	pthread_mutex_lock(&sh.lock);
	sh.at_once++;
	if (sh.at_once > sh.at_once_max)
		sh.at_once_max = sh.at_once;
	pthread_mutex_unlock(&sh.lock);
	clock_sleep_ms(SLOW_MS);
	pthread_mutex_lock(&sh.lock);
	sh.at_once--;
	pthread_mutex_unlock(&sh.lock);
	CALL_OUT(c, session_state)->active = true;
	return 0;
}

static int on_gated(struct call *c, struct err *e)
{
	(void)e;
	pthread_mutex_lock(&sh.lock);
	sh.at_gate++;
	pthread_cond_broadcast(&sh.changed);
	while (!sh.is_open)
		pthread_cond_wait(&sh.changed, &sh.lock);
	sh.at_gate--;
	pthread_mutex_unlock(&sh.lock);
	CALL_OUT(c, user_deletion)->id = USER;
	CALL_OUT(c, user_deletion)->status = "deleting";
	return 0;
}

static int on_login(struct call *c, struct err *e)
{
	static struct user_view user;
	const struct auth_login_req *in = CALL_IN(c, auth_login_req);
	struct auth_tokens *out = CALL_OUT(c, auth_tokens);

	pthread_mutex_lock(&sh.lock);
	sh.calls++;
	snprintf(sh.password, sizeof(sh.password), "%s", in->password);
	user = some_user();
	pthread_mutex_unlock(&sh.lock);
	if (strcmp(in->password, "wrong") == 0)
		return err_set(e, ERR_CREDENTIALS, "wrong address or password");
	if (strcmp(in->password, "busy") == 0)
		return err_busy(e, ERR_UNAVAILABLE, 3, "later");
	*out = (struct auth_tokens){ &user, "access.token", "refresh-token", "Bearer", 900 };
	return 0;
}

/* One remembered reply, as a service's table would hold many. */
static int once_begin(struct call *c, struct bus_stored *ret, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&sh.lock);
	if (strcmp(sh.stored_key, c->ctx.idempotency_key) != 0) {
		snprintf(sh.stored_key, sizeof(sh.stored_key), "%s", c->ctx.idempotency_key);
		memcpy(sh.stored_hash, c->request_hash, sizeof(sh.stored_hash));
		sh.stored_status = 0;
		sh.is_claimed = true;
	} else if (strcmp(sh.stored_hash, c->request_hash) != 0) {
		r = err_set(e, ERR_CONFLICT, "this key was used with another body");
	} else if (sh.stored_status) {
		ret->status = sh.stored_status;
		ret->reply = arena_strdup(&c->arena, sh.stored_reply);
	} else {
		sh.is_claimed = true;
	}
	pthread_mutex_unlock(&sh.lock);
	return r;
}

static void once_finish(struct call *c, int status, const char *reply)
{
	(void)c;
	pthread_mutex_lock(&sh.lock);
	sh.is_claimed = false;
	sh.stored_status = status;
	free(sh.stored_reply);
	sh.stored_reply = reply ? strdup(reply) : NULL;
	pthread_mutex_unlock(&sh.lock);
}

static const struct bus_once once = { once_begin, once_finish };

static const struct bus_route routes[] = {
	{ SUBJ_USER_GET, on_get, POOL_MAIN },       { SUBJ_USER_UPDATE, on_update, POOL_MAIN },
	{ SUBJ_SESSION_CHECK, on_slow, POOL_MAIN }, { SUBJ_USER_DELETE, on_gated, POOL_SMALL },
	{ SUBJ_AUTH_LOGIN, on_login, POOL_MAIN },
};

static int reset(void **state)
{
	(void)state;
	pthread_mutex_lock(&sh.lock);
	sh.is_open = false;
	sh.calls = sh.at_once_max = 0;
	sh.stored_key[0] = '\0';
	pthread_mutex_unlock(&sh.lock);
	return 0;
}

static int call(enum subject_id id, const struct bus_ctx *ctx, const void *in, void *out,
                struct arena *a, struct err *e)
{
	static const struct bus_ctx nobody;

	*e = ERR_INIT;
	arena_init(a, BUS_ARENA_LIMIT);
	return bus_call(f.client, id, ctx ? ctx : &nobody, in, a, out, e);
}

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
	long long start_ms = clock_mono_ms();
	struct err e;

	(void)state;
	assert_fails(call(SUBJ_INSTANCE_GET, NULL, &in, &out, &a, &e), &e, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - start_ms < 1000); /* told at once, not by a time-out */
}

/* A reply's code and status, to bytes as anybody could send them. */
static void ask_raw(const char *subject, const char *body, int len, const char *header,
                    const char *value, char *ret_code, size_t size, const char **ret_status)
{
	OWN(nats_msg) natsMsg *msg = NULL, *reply = NULL;
	OWN(json) cJSON *doc = NULL;
	static char status[8];
	const char *text = NULL, *code;
	struct err e = ERR_INIT;

	assert_int_equal(natsMsg_Create(&msg, subject, NULL, body, len), NATS_OK);
	if (header)
		assert_int_equal(natsMsgHeader_Set(msg, header, value), NATS_OK);
	assert_int_equal(natsConnection_RequestMsg(&reply, bus_nats(f.client), msg, 5000), NATS_OK);
	assert_ok(
		json_parse(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), &doc, &e),
		&e);
	code = json_text(cJSON_GetObjectItemCaseSensitive(doc, "error"), "code");
	snprintf(ret_code, size, "%s", code ? code : "");
	assert_int_equal(natsMsgHeader_Get(reply, "Zaki-Status", &text), NATS_OK);
	snprintf(status, sizeof(status), "%s", text);
	*ret_status = status;
}

static void bad_bytes_are_answered(void **state)
{
	/* clang-format off */
	static const struct { const char *body; int len; } bodies[] = {
		{ "", 0 }, { "x", 1 }, { "{", 1 }, { "{} x", 4 }, { "[]", 2 }, { "null", 4 },
		{ "{\"a\":1}", 7 }, { "{}\0", 3 }, { "\xff\xfe", 2 }, { "\xef\xbb\xbf{}", 5 },
	};
	/* clang-format on */
	char code[64];
	const char *status;

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		ask_raw("zaki.rpc.auth.user_get", bodies[i].body, bodies[i].len, NULL, NULL, code,
		        sizeof(code), &status);
		assert_string_equal(code, "VALIDATION_ERROR");
		assert_string_equal(status, "400");
	}
	assert_int_equal(sh.calls, 0);
	ask_raw("zaki.rpc.auth.user_get", "{}", 2, "Zaki-Actor", "root root", code, sizeof(code),
	        &status);
	assert_string_equal(code, "VALIDATION_ERROR");
	ask_raw("zaki.rpc.auth.no_such_verb", "{}", 2, NULL, NULL, code, sizeof(code), &status);
	assert_string_equal(code, "NOT_FOUND");
	ask_raw("zaki.rpc.auth.user_get", "{}", 2, NULL, NULL, code, sizeof(code), &status);
	assert_string_equal(code, "");
	assert_string_equal(status, "200");
}

static void what_comes_past_its_deadline_is_dropped(void **state)
{
	char code[64], at[24];
	const char *status;

	(void)state;
	snprintf(at, sizeof(at), "%lld", clock_now_ms() - 1);
	ask_raw("zaki.rpc.auth.user_get", "{}", 2, "Zaki-Deadline", at, code, sizeof(code),
	        &status);
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
	long long start_ms = clock_mono_ms(), spent_ms;

	(void)state;
	for (size_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, call_slow, &results[i]);
	for (size_t i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(results[i], 0);
	}
	spent_ms = clock_mono_ms() - start_ms;
	print_message("  %d calls of %d ms took %lld ms\n", WORKERS, SLOW_MS, spent_ms);
	assert_int_equal(sh.at_once_max, WORKERS);
	assert_true(spent_ms < WORKERS * SLOW_MS / 2);
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

static int login(const char *password, const char *key, struct auth_tokens *out, struct arena *a,
                 struct err *e)
{
	struct auth_login_req in = { .email = "ada@example.org", .password = password };
	struct bus_ctx ctx = { 0 };

	snprintf(ctx.idempotency_key, sizeof(ctx.idempotency_key), "%s", key);
	return call(SUBJ_AUTH_LOGIN, &ctx, &in, out, a, e);
}

static void the_same_key_gives_the_same_answer(void **state)
{
	struct auth_tokens out;
	struct err e;

	(void)state;
	for (int i = 0; i < 3; i++) {
		OWN(arena) struct arena a = { 0 };

		assert_ok(login("right password", "key-1", &out, &a, &e), &e);
		assert_string_equal(out.access_token, "access.token");
	}
	assert_int_equal(sh.calls, 1);
	/* A refusal is an answer too. */
	for (int i = 0; i < 2; i++) {
		OWN(arena) struct arena a = { 0 };

		assert_fails(login("wrong", "key-2", &out, &a, &e), &e, ERR_CREDENTIALS);
	}
	assert_int_equal(sh.calls, 2);
	assert_false(sh.is_claimed);
}

static void the_same_key_with_another_body_is_a_conflict(void **state)
{
	OWN(arena) struct arena a = { 0 };
	OWN(arena) struct arena b = { 0 };
	struct auth_tokens out;
	struct err e;

	(void)state;
	assert_ok(login("right password", "key-1", &out, &a, &e), &e);
	assert_fails(login("other password", "key-1", &out, &b, &e), &e, ERR_CONFLICT);
	assert_int_equal(sh.calls, 1);
}

static void what_failed_in_passing_may_be_tried_again(void **state)
{
	struct auth_tokens out;
	struct err e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		OWN(arena) struct arena a = { 0 };

		assert_fails(login("busy", "key-1", &out, &a, &e), &e, ERR_UNAVAILABLE);
		assert_int_equal(e.retry_after_s, 3);
	}
	assert_int_equal(sh.calls, 2);
	assert_false(sh.is_claimed);
}

static void without_a_key_each_call_is_its_own(void **state)
{
	struct auth_tokens out;
	struct err e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		OWN(arena) struct arena a = { 0 };

		assert_ok(login("right password", "", &out, &a, &e), &e);
	}
	assert_int_equal(sh.calls, 2);
}

struct watcher {
	pthread_mutex_t lock; /* guards all below */
	bool has_seen_secret;
	int seen;
};

static bool holds(natsMsg *msg, const char *secret)
{
	return memmem(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), secret,
	              strlen(secret));
}

static void on_watched(natsMsg *msg, void *ctx)
{
	struct watcher *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->seen++;
	w->has_seen_secret |= holds(msg, "right password") || holds(msg, "access.token") ||
	                      holds(msg, "refresh-token");
	pthread_mutex_unlock(&w->lock);
}

static void who_watches_reads_no_secret(void **state)
{
	static struct watcher w = { .lock = PTHREAD_MUTEX_INITIALIZER };
	OWN(arena) struct arena a = { 0 };
	struct auth_tokens out;
	struct err e = ERR_INIT;
	bool is_done = false;

	(void)state;
	assert_ok(bus_listen(f.server, ">", on_watched, &w, &e), &e);
	assert_ok(login("right password", "", &out, &a, &e), &e);
	assert_string_equal(sh.password, "right password");
	for (int i = 0; i < 200 && !is_done; i++) {
		clock_sleep_ms(5);
		pthread_mutex_lock(&w.lock);
		is_done = w.seen >= 2; /* the request and the reply */
		pthread_mutex_unlock(&w.lock);
	}
	assert_true(is_done);
	assert_false(w.has_seen_secret);
}

static cJSON *srv(const char *verb, const char *rest)
{
	OWN(nats_msg) natsMsg *reply = NULL;
	struct err e = ERR_INIT;
	cJSON *doc = NULL;
	char subject[120];

	snprintf(subject, sizeof(subject), "$SRV.%s%s", verb, rest);
	assert_int_equal(
		natsConnection_RequestString(&reply, bus_nats(f.client), subject, "", 2000),
		NATS_OK);
	assert_ok(
		json_parse(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), &doc, &e),
		&e);
	return doc;
}

/* NATS ADR-32, as its tools read it. */
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
	clock_sleep_ms(50); /* counted after the reply is sent */
	after = srv("STATS", ".bustest");
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

		assert_int_equal((int)cJSON_GetObjectItem(list[1], key)->valuedouble,
		                 (int)cJSON_GetObjectItem(list[0], key)->valuedouble + 1);
	}
}

/* The same event sent twice (a publisher that crashed before it noted the first) is kept once. */
static void an_event_published_twice_is_kept_once(void **state)
{
	char id[UUID_SIZE], filter[160];
	struct bus_event ev = { .subject = SUBJ_EVT_SESSION_ENDED,
		                .key = id,
		                .trace_id = TRACE,
		                .time_ms = 1770724800000,
		                .json = "{}" };
	natsSubscription *sub = NULL;
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
	assert_int_equal(natsConnection_JetStream(&js, bus_nats(f.client), NULL), NATS_OK);
	assert_int_equal(js_SubscribeSync(&sub, js, filter, NULL, NULL, NULL), NATS_OK);
	while (natsSubscription_NextMsg(&msg, sub, 500) == NATS_OK) {
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

static int stream_make(struct err *e)
{
	static const char *subject = "zaki.evt.>";
	jsStreamConfig cfg;
	jsErrCode code = 0;
	jsCtx *js = NULL;
	natsStatus s = natsConnection_JetStream(&js, bus_nats(f.client), NULL);

	jsStreamConfig_Init(&cfg);
	cfg.Name = "ZAKI_EVENTS";
	cfg.Subjects = &subject;
	cfg.SubjectsLen = 1;
	if (s == NATS_OK)
		s = js_AddStream(NULL, js, &cfg, NULL, &code);
	jsCtx_Destroy(js);
	/* The daemons may have made it before us, with settings of their own. */
	if (s != NATS_OK && code != JSStreamNameExistErr)
		return err_set(e, ERR_INTERNAL, "stream: %s", natsStatus_GetText(s));
	return 0;
}

static int open_all(struct err *e)
{
	const char *url = getenv("NATS_URL");
	struct bus_opt server = { url, "bustest", &f.seal, 5000 };
	struct bus_opt client = { url, "bustestclient", &f.seal, 5000 };

	if (!url)
		return err_set(e, ERR_INTERNAL, "NATS_URL is not set: no server to test against");
	if (sodium_init() < 0 || seal_init(&f.seal, "0123456789abcdef0123456789abcdef", e) < 0 ||
	    bus_open(&server, &f.server, e) < 0 || bus_open(&client, &f.client, e) < 0 ||
	    pool_new(WORKERS, 64, bus_work, &f.pools[POOL_MAIN], e) < 0 ||
	    pool_new(1, 1, bus_work, &f.pools[POOL_SMALL], e) < 0)
		return -1;
	f.service = (struct bus_service){ .description = "tests the bus",
		                          .routes = routes,
		                          .route_count = COUNT(routes),
		                          .pools = f.pools,
		                          .once = &once };
	return bus_serve(f.server, &f.service, e) < 0 ? -1 : stream_make(e);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	if (open_all(&e) == 0)
		return 0;
	print_error("%s\n", e.msg);
	return -1;
}

static int teardown(void **state)
{
	(void)state;
	bus_drain(f.server);
	pool_free(f.pools[POOL_MAIN]);
	pool_free(f.pools[POOL_SMALL]);
	bus_close(f.server);
	bus_close(f.client);
	free(sh.stored_reply);
	nats_Close();
	return 0;
}

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
		TEST(the_same_key_gives_the_same_answer),
		TEST(the_same_key_with_another_body_is_a_conflict),
		TEST(what_failed_in_passing_may_be_tried_again),
		TEST(without_a_key_each_call_is_its_own),
		TEST(who_watches_reads_no_secret),
		TEST(the_ecosystems_tools_find_us),
		TEST(its_figures_are_those_of_the_calls),
		TEST(an_event_published_twice_is_kept_once),
		TEST(an_event_needs_an_id),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
