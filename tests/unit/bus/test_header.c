/* On whose behalf and in which story: written into headers, and read back. */

#include "test.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "bus/bus_internal.h"

#include <sodium.h>

#define USER    "123e4567-e89b-42d3-a456-426614174000"
#define SESSION "123e4567-e89b-42d3-a456-426614174001"
#define TRACE   "0123456789abcdef0123456789abcdef"

/* clang-format off */
static const struct {
	const char *name, *value;
	bool is_taken;
} cases[] = {
	{ "Zaki-Actor",           USER " " SESSION,          true },
	{ "Zaki-Actor",           USER " ",                  false },
	{ "Zaki-Actor",           USER,                      false },
	{ "Zaki-Actor",           USER " " SESSION " ",      false },
	{ "Zaki-Actor",           USER "\t" SESSION,         false },
	{ "Zaki-Actor",           "admin admin",             false },
	{ "Zaki-Deadline",        "1770724800000",           true },
	{ "Zaki-Deadline",        "0",                       false },
	{ "Zaki-Deadline",        "-1",                      false },
	{ "Zaki-Deadline",        "soon",                    false },
	{ "Zaki-Deadline",        "1770724800000ms",         false },
	{ "Zaki-Deadline",        "99999999999999999999999", false },
	{ "Zaki-Client",          "192.0.2.1 curl/8",        true },
	{ "Zaki-Client",          "2001:db8::1",             true },
	{ "Zaki-Client",          "2001:db8:0000:0000:0000:0000:0000:0001:too:long", false },
	{ "Zaki-Idempotency-Key", "abc-123",                 true },
	{ "Zaki-Idempotency-Key", "\"a quoted one\"",        true },
	{ "Zaki-Idempotency-Key", "caf\xe9",                 false },
	{ "Zaki-Idempotency-Key", "a\tb",                    false },
};
/* clang-format on */

static natsMsg *msg_with(const char *name, const char *value)
{
	natsMsg *msg = NULL;

	assert_int_equal(natsMsg_Create(&msg, "x", NULL, "", 0), NATS_OK);
	if (name)
		assert_int_equal(natsMsgHeader_Set(msg, name, value), NATS_OK);
	return msg;
}

static int from(natsMsg *msg, struct bus_ctx *ret, struct err *e)
{
	long long deadline_ms = 0;

	*ret = (struct bus_ctx){ 0 };
	*e = ERR_INIT;
	return bus_ctx_from_headers(msg, ret, &deadline_ms, e);
}

static void what_is_written_is_read_back(void **state)
{
	struct bus_ctx in = { TRACE, USER, SESSION, "192.0.2.1", "Mozilla/5.0 (X11) x", "key-1" };
	long long deadline_ms = 0, before = clock_now_ms();
	OWN(nats_msg) natsMsg *msg = msg_with(NULL, NULL);
	struct bus_ctx out = { 0 };
	struct err e = ERR_INIT;
	long long after;

	(void)state;
	bus_ctx_to_headers(&in, 1500, msg);
	after = clock_now_ms();
	assert_ok(bus_ctx_from_headers(msg, &out, &deadline_ms, &e), &e);
	assert_string_equal(out.trace_id, TRACE);
	assert_string_equal(out.user_id, USER);
	assert_string_equal(out.session_id, SESSION);
	assert_string_equal(out.client_address, "192.0.2.1");
	assert_string_equal(out.client_agent, "Mozilla/5.0 (X11) x");
	assert_string_equal(out.idempotency_key, "key-1");
	assert_in_range(deadline_ms, before + 1500, after + 1500);
}

static void a_header_that_is_wrong_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(nats_msg) natsMsg *msg = msg_with(cases[i].name, cases[i].value);
		struct bus_ctx out;
		struct err e;

		print_message("  %s: %s\n", cases[i].name, cases[i].value);
		assert_int_equal(from(msg, &out, &e), cases[i].is_taken ? 0 : -1);
		assert_string_equal(e.field, cases[i].is_taken ? "" : cases[i].name);
	}
}

/* W3C Trace Context: a header that is no such thing is as if it were absent. */
static void a_story_goes_on_or_begins(void **state)
{
	static const struct {
		const char *header;
		bool goes_on;
	} stories[] = {
		{ "00-" TRACE "-0123456789abcdef-01", true },
		{ "00-" TRACE "-0123456789abcdef-00", true },
		{ "00-00000000000000000000000000000000-0123456789abcdef-01", false },
		{ "00-" TRACE "-0123456789abcdef", false },
		{ "00-0123456789ABCDEF0123456789abcdef-0123456789abcdef-01", false },
		{ "00-0123456789abcdef0123456789abcde\xff-0123456789abcdef-01", false },
		{ TRACE, false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(stories); i++) {
		OWN(nats_msg) natsMsg *msg = msg_with("traceparent", stories[i].header);
		struct bus_ctx out;
		struct err e;

		assert_ok(from(msg, &out, &e), &e);
		assert_int_equal(strspn(out.trace_id, "0123456789abcdef"), 32);
		assert_int_equal(strcmp(out.trace_id, TRACE) == 0, stories[i].goes_on);
	}
}

/* What a browser calls itself goes into logs and tables: text, one line, of bounded length. */
static void an_agent_becomes_plain_text(void **state)
{
	static const char *const agents[] = { "caf\xe9 \xff", "a\r\nZaki-Actor: x", "tab\there" };
	char long_agent[400];

	(void)state;
	memset(long_agent, 'x', sizeof(long_agent) - 1);
	long_agent[sizeof(long_agent) - 1] = '\0';
	for (size_t i = 0; i <= COUNT(agents); i++) {
		OWN(nats_msg) natsMsg *msg = msg_with(NULL, NULL);
		char value[512];
		struct bus_ctx out;
		struct err e;

		snprintf(value, sizeof(value), "192.0.2.1 %s",
		         i < COUNT(agents) ? agents[i] : long_agent);
		(void)natsMsgHeader_Set(msg, "Zaki-Client", value);
		assert_ok(from(msg, &out, &e), &e);
		assert_true(out.client_agent[0]);
		for (const char *c = out.client_agent; *c; c++)
			assert_true(*c >= ' ' && *c < 0x7f);
		assert_true(strlen(out.client_agent) <= BUS_AGENT_MAX);
	}
}

static void an_agent_cannot_add_a_header(void **state)
{
	struct bus_ctx in = { .client_address = "192.0.2.1",
		              .client_agent = "x\r\nZaki-Actor: " USER " " SESSION };
	OWN(nats_msg) natsMsg *msg = msg_with(NULL, NULL);

	(void)state;
	bus_ctx_to_headers(&in, 0, msg);
	assert_null(strpbrk(bus_header(msg, "Zaki-Client"), "\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(a_header_that_is_wrong_is_named),
		cmocka_unit_test(a_story_goes_on_or_begins),
		cmocka_unit_test(an_agent_becomes_plain_text),
		cmocka_unit_test(an_agent_cannot_add_a_header),
	};

	int failed;

	if (sodium_init() < 0 || nats_Open(-1) != NATS_OK)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	nats_Close(); /* cnats frees messages on a thread of its own */
	return failed;
}
