/* Idempotency-Key, and secrets on the way. */

#include "served.h"

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
	long long until_ms = clock_mono_ms() + WAIT_MS;
	bool is_done = false;

	(void)state;
	assert_ok(bus_listen(f.server, ">", on_watched, &w, &e), &e);
	assert_ok(login("right password", "", &out, &a, &e), &e);
	assert_string_equal(sh.password, "right password");
	while (!is_done && clock_mono_ms() < until_ms) {
		clock_sleep_ms(5);
		pthread_mutex_lock(&w.lock);
		is_done = w.seen >= 2; /* the request and the reply */
		pthread_mutex_unlock(&w.lock);
	}
	assert_true(is_done);
	assert_false(w.has_seen_secret);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		TEST(the_same_key_gives_the_same_answer),
		TEST(the_same_key_with_another_body_is_a_conflict),
		TEST(what_failed_in_passing_may_be_tried_again),
		TEST(without_a_key_each_call_is_its_own),
		TEST(who_watches_reads_no_secret),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
