/* Replies: written as SPEC 3 has them, and read by a caller who believes nothing. */

#include "test.h"

#include "base/json.h"
#include "bus/envelope.h"
#include "wire/subject.h"

#include <sodium.h>

static struct seal seal;

static int open_reply(const char *text, struct arena *a, struct session_state *out, struct err *e)
{
	*e = ERR_INIT;
	arena_init(a, 65536);
	return envelope_open(text, strlen(text), &wire_session_state, &seal, a, out, e);
}

static void data_is_written_and_read(void **state)
{
	struct session_state in = { .active = true }, out = { 0 };
	OWN(arena) struct arena a = { 0 };
	struct err e = ERR_INIT;
	OWN(json_text) char *text = envelope_data(&wire_session_state, &in, &seal, &e);

	(void)state;
	assert_string_equal(text, "{\"success\":true,\"data\":{\"active\":true},\"error\":null}");
	assert_ok(open_reply(text, &a, &out, &e), &e);
	assert_true(out.active);
}

static void an_error_comes_back_as_it_was_set(void **state)
{
	(void)state;
	for (int code = 1; code < ERR_CODE_COUNT; code++) {
		OWN(arena) struct arena a = { 0 };
		struct session_state out;
		struct err in = ERR_INIT, e;
		OWN(json_text) char *text = NULL;

		err_field(&in, "provider.key", "is \"wrong\" \xf0\x9f\x98\x80");
		in.code = (enum err_code)code;
		in.retry_after_s = 7;
		text = envelope_error(&in);
		assert_int_equal(open_reply(text, &a, &out, &e), -1);
		assert_int_equal(e.code, code);
		assert_string_equal(e.field, "provider.key");
		assert_string_equal(e.msg, err_public(&in));
		assert_int_equal(e.retry_after_s, 7);
	}
}

static void an_error_has_the_published_shape(void **state)
{
	struct err e = ERR_INIT;
	OWN(json_text) char *text = NULL;

	(void)state;
	err_field(&e, "email", "is missing");
	text = envelope_error(&e);
	assert_string_equal(text, "{\"success\":false,\"data\":null,\"error\":{\"code\":"
	                          "\"VALIDATION_ERROR\",\"message\":\"is missing\","
	                          "\"details\":{\"field\":\"email\"}}}");
}

/* Whatever is cut off in it, a client can read the reply. */
static void an_error_is_always_json(void **state)
{
	char name[256];

	(void)state;
	for (size_t len = 1; len < 128; len++) {
		OWN(json_text) char *text = NULL;
		OWN(json) cJSON *doc = NULL;
		struct err e = ERR_INIT, ok = ERR_INIT;

		memset(name, '\0', sizeof(name));
		for (size_t i = 0; i < len; i++)
			memcpy(name + 2 * i, "\xc3\xa9", 2);
		memcpy(name, len % 2 ? "ab" : "c\x01", 2);
		err_field(&e, name, "%s is not a known field", name);
		err_under(&e, name);
		text = envelope_error(&e);
		assert_ok(json_parse(text, strlen(text), &doc, &ok), &ok);
	}
}

static void what_is_no_reply_is_an_internal_error(void **state)
{
	static const char *const replies[] = {
		"",
		"x",
		"null",
		"[]",
		"{}",
		"{\"success\":1}",
		"{\"success\":true}",
		"{\"success\":true,\"data\":null,\"error\":null}",
		"{\"success\":true,\"data\":{\"active\":1},\"error\":null}",
		"{\"success\":true,\"data\":{\"active\":true,\"more\":1},\"error\":null}",
		"{\"success\":false}",
		"{\"success\":false,\"data\":null,\"error\":null}",
		"{\"success\":false,\"data\":null,\"error\":{\"code\":7,\"message\":\"x\"}}",
		"{\"success\":false,\"data\":null,\"error\":{\"code\":\"NO_SUCH\",\"message\":"
		"\"x\"}}",
		"{\"success\":false,\"data\":null,\"error\":{\"code\":\"OK\",\"message\":\"x\"}}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(replies); i++) {
		OWN(arena) struct arena a = { 0 };
		struct session_state out;
		struct err e;

		print_message("  %s\n", replies[i]);
		assert_fails(open_reply(replies[i], &a, &out, &e), &e, ERR_INTERNAL);
	}
}

static void tokens_in_a_reply_are_sealed(void **state)
{
	struct user_view user = { .id = "123e4567-e89b-42d3-a456-426614174000",
		                  .email = "a@b.cd",
		                  .subscription_tier = "free",
		                  .created_at = "2026-02-10T12:00:00.000Z",
		                  .updated_at = "2026-02-10T12:00:00.000Z" };
	struct auth_tokens in = { .user = &user,
		                  .access_token = "the.access.token",
		                  .refresh_token = "the-refresh-token",
		                  .token_type = "Bearer",
		                  .expires_in = 900 },
			   out;
	OWN(arena) struct arena a = { 0 };
	struct err e = ERR_INIT;
	OWN(json_text) char *text = envelope_data(&wire_auth_tokens, &in, &seal, &e);

	(void)state;
	assert_non_null(text);
	assert_null(strstr(text, "the.access"));
	assert_null(strstr(text, "the-refresh"));
	arena_init(&a, 65536);
	assert_ok(envelope_open(text, strlen(text), &wire_auth_tokens, &seal, &a, &out, &e), &e);
	assert_string_equal(out.access_token, "the.access.token");
	assert_string_equal(out.refresh_token, "the-refresh-token");
}

static int key(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return sodium_init() < 0 ? -1 : seal_init(&seal, "0123456789abcdef0123456789abcdef", &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_written_and_read),
		cmocka_unit_test(an_error_comes_back_as_it_was_set),
		cmocka_unit_test(an_error_has_the_published_shape),
		cmocka_unit_test(an_error_is_always_json),
		cmocka_unit_test(what_is_no_reply_is_an_internal_error),
		cmocka_unit_test(tokens_in_a_reply_are_sealed),
	};

	return cmocka_run_group_tests(tests, key, NULL);
}
