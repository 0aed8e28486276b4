/* What an assistant's gateway may send, and what it may not. */

#include "link/frame.h"
#include "test.h"

#include "base/own.h"

#include <sodium.h>

static int read_text(const char *text, struct frame *f, struct err *e)
{
	OWN(mem) char *copy = strdup(text);

	assert_non_null(copy);
	return frame_read(copy, strlen(copy), f, e);
}

/* clang-format off */
static const struct { const char *what, *text; bool is_ok, is_event; const char *name; } frames[] = {
	{ "event",              "{\"type\":\"event\",\"event\":\"tick\",\"payload\":{},\"seq\":2}", true, true, "tick" },
	{ "event without seq",  "{\"type\":\"event\",\"event\":\"tick\"}", true, true, "tick" },
	{ "response",           "{\"type\":\"res\",\"id\":\"a1\",\"ok\":true,\"payload\":{}}", true, false, "a1" },
	{ "refusal",            "{\"type\":\"res\",\"id\":\"a1\",\"ok\":false,\"error\":{\"code\":\"X\"}}", true, false, "a1" },
	{ "half a character",   "{\"type\":\"event\",\"event\":\"chat\",\"payload\":\"\\ud83d\"}", true, true, "chat" },
	{ "the other half",     "{\"type\":\"event\",\"event\":\"chat\",\"payload\":\"\\ude00 \\\\ud83d\"}", true, true, "chat" },
	{ "a whole character",  "{\"type\":\"event\",\"event\":\"chat\",\"payload\":\"\\ud83d\\ude00\"}", true, true, "chat" },
	{ "nothing",            "", false, false, "" },
	{ "no JSON",            "{", false, false, "" },
	{ "no object",          "[1]", false, false, "" },
	{ "no type",            "{\"event\":\"tick\"}", false, false, "" },
	{ "a request",          "{\"type\":\"req\",\"id\":\"1\",\"method\":\"x\"}", false, false, "" },
	{ "no event's name",    "{\"type\":\"event\"}", false, false, "" },
	{ "a name of spaces",   "{\"type\":\"event\",\"event\":\"a b\"}", false, false, "" },
	{ "seq a text",         "{\"type\":\"event\",\"event\":\"tick\",\"seq\":\"2\"}", false, false, "" },
	{ "seq below zero",     "{\"type\":\"event\",\"event\":\"tick\",\"seq\":-1}", false, false, "" },
	{ "no id",              "{\"type\":\"res\",\"ok\":true}", false, false, "" },
	{ "neither ok nor not", "{\"type\":\"res\",\"id\":\"a\"}", false, false, "" },
	{ "no reason",          "{\"type\":\"res\",\"id\":\"a\",\"ok\":false}", false, false, "" },
};
/* clang-format on */

static void frames_are_read_as_they_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(frames); i++) {
		struct frame f = { 0 };
		struct err e = ERR_INIT;
		int r = read_text(frames[i].text, &f, &e);

		print_message("  %s\n", frames[i].what);
		assert_int_equal(r, frames[i].is_ok ? 0 : -1);
		assert_int_equal(e.code, frames[i].is_ok ? ERR_NONE : ERR_UPSTREAM);
		if (frames[i].is_ok) {
			assert_int_equal(f.is_event, frames[i].is_event);
			assert_string_equal(f.name, frames[i].name);
		}
		frame_done(&f);
	}
}

static void halves_of_characters_are_replaced(void **state)
{
	struct frame f = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(read_text("{\"type\":\"event\",\"event\":\"chat\",\"payload\":"
	                    "\"\\ud83d\\ude00|\\ud83d|\\ude00|\\\\ud83d\"}",
	                    &f, &e),
	          &e);
	assert_string_equal(f.payload->valuestring,
	                    "\xf0\x9f\x98\x80|\xef\xbf\xbd|\xef\xbf\xbd|\\ud83d");
	frame_done(&f);
}

/* clang-format off */
static const struct { const char *code, *detail; enum err_code want; } refusals[] = {
	{ "INVALID_REQUEST", "",                   ERR_INVALID },
	{ "INVALID_REQUEST", "CRON_JOB_NOT_FOUND", ERR_NOT_FOUND },
	{ "UNAVAILABLE",     "",                   ERR_UNAVAILABLE },
	{ "FORBIDDEN",       "",                   ERR_UPSTREAM },
	{ "SOMETHING_NEW",   "",                   ERR_UPSTREAM },
};
/* clang-format on */

static void refusals_are_told_as_ours(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct frame f = { .message = "why" };
		struct err e = ERR_INIT;

		snprintf(f.code, sizeof(f.code), "%s", refusals[i].code);
		snprintf(f.detail, sizeof(f.detail), "%s", refusals[i].detail);
		assert_int_equal(frame_error(&f, &e), -1);
		assert_int_equal(e.code, refusals[i].want);
	}
}

#define HELLO(protocol, scopes)                                                   \
	"{\"type\":\"res\",\"id\":\"connect\",\"ok\":true,\"payload\":{\"type\":" \
	"\"hello-ok\",\"protocol\":" protocol ",\"auth\":{\"scopes\":[" scopes    \
	"],\"deviceToken\":\"t\"},\"policy\":{\"maxPayload\":26214400,"           \
	"\"tickIntervalMs\":30000}}}"
#define ALL_SCOPES                                                 \
	"\"operator.read\",\"operator.write\",\"operator.admin\"," \
	"\"operator.pairing\",\"operator.approvals\""

static void a_hello_grants_all_or_is_none(void **state)
{
	static const struct {
		const char *text;
		bool is_ok;
	} cases[] = {
		{ HELLO("4", ALL_SCOPES), true },
		{ HELLO("3", ALL_SCOPES), false },
		{ HELLO("\"4\"", ALL_SCOPES), false },
		{ HELLO("4", ""), false }, /* as through a published port without a device */
		{ HELLO("4", "\"operator.read\""), false },
		{ "{\"type\":\"res\",\"id\":\"connect\",\"ok\":true}", false },
		{ "{\"type\":\"res\",\"id\":\"connect\",\"ok\":true,\"payload\":7}", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct frame f = { 0 };
		struct frame_hello h;
		struct err e = ERR_INIT;

		assert_ok(read_text(cases[i].text, &f, &e), &e);
		assert_int_equal(frame_hello(&f, &h, &e), cases[i].is_ok ? 0 : -1);
		if (cases[i].is_ok) {
			assert_string_equal(h.device_token, "t");
			assert_int_equal(h.payload_max, 26214400);
			assert_int_equal(h.tick_ms, 30000);
		}
		frame_done(&f);
	}
}

/* The key is the platform's, the same in each process, and signs what the gateway will check. */
static void connect_is_signed_by_the_platforms_key(void **state)
{
	const struct vault_key key = { 1, "0123456789abcdef0123456789abcdef" };
	const struct frame_challenge c = { .nonce = "n-1", .at_ms = 1700000000000 };
	OWN(vault) struct vault *v = NULL;
	OWN(json_text) char *text = NULL;
	OWN(json) cJSON *doc = NULL;
	struct device d, again, other;
	unsigned char sig[crypto_sign_BYTES], pub[crypto_sign_PUBLICKEYBYTES];
	char signed_text[512];
	const cJSON *device;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(vault_new(&key, 1, &v, &e), &e);
	device_make(v, "platform-1", &d);
	device_make(v, "platform-1", &again);
	device_make(v, "platform-2", &other);
	assert_string_equal(d.id, again.id);
	assert_string_not_equal(d.id, other.id);
	assert_ok(frame_connect(&d, &c, "tok", &text, &e), &e);
	doc = cJSON_Parse(text);
	device = cJSON_GetObjectItem(cJSON_GetObjectItem(doc, "params"), "device");
	assert_int_equal(sodium_base642bin(sig, sizeof(sig),
	                                   cJSON_GetObjectItem(device, "signature")->valuestring,
	                                   86, NULL, NULL, NULL,
	                                   sodium_base64_VARIANT_URLSAFE_NO_PADDING),
	                 0);
	assert_int_equal(sodium_base642bin(pub, sizeof(pub),
	                                   cJSON_GetObjectItem(device, "publicKey")->valuestring,
	                                   43, NULL, NULL, NULL,
	                                   sodium_base64_VARIANT_URLSAFE_NO_PADDING),
	                 0);
	snprintf(signed_text, sizeof(signed_text),
	         "v3|%s|gateway-client|backend|operator|operator.read,operator.write,"
	         "operator.admin,operator.pairing,operator.approvals|1700000000000|tok|n-1|linux|",
	         d.id);
	assert_int_equal(crypto_sign_verify_detached(sig, (const unsigned char *)signed_text,
	                                             strlen(signed_text), pub),
	                 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_read_as_they_are),
		cmocka_unit_test(halves_of_characters_are_replaced),
		cmocka_unit_test(refusals_are_told_as_ours),
		cmocka_unit_test(a_hello_grants_all_or_is_none),
		cmocka_unit_test(connect_is_signed_by_the_platforms_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
