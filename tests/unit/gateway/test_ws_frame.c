#include "ws_frame.h"

#include "test.h"

#define ID "33333333-3333-4333-8333-333333333333"

static const struct {
	const char *text;
	const char *field; /* at which it is refused; NULL: accepted */
	enum ws_verb verb;
	const char *topic, *since;
} cases[] = {
	{ "subscribe:instance." ID, NULL, WS_SUBSCRIBE, "instance." ID, "" },
	{ "subscribe:sessions." ID, NULL, WS_SUBSCRIBE, "sessions." ID, "" },
	{ "unsubscribe:instance." ID, NULL, WS_UNSUBSCRIBE, "instance." ID, "" },
	{ "unsubscribe:sessions." ID, NULL, WS_UNSUBSCRIBE, "sessions." ID, "" },
	{ "unsubscribe:*", NULL, WS_UNSUBSCRIBE_ALL, "", "" },
	{ "{\"event\":\"subscribe:instance." ID "\"}", NULL, WS_SUBSCRIBE, "instance." ID, "" },
	{ "{\"event\":\"subscribe:instance." ID "\",\"since\":\"0123abcd:42\"}", NULL, WS_SUBSCRIBE,
	  "instance." ID, "0123abcd:42" },
	{ "{\"event\":\"unsubscribe:*\"}", NULL, WS_UNSUBSCRIBE_ALL, "", "" },
	{ "{\"event\":\"authenticate\",\"ticket\":\"t\"}", NULL, WS_AUTHENTICATE, "", "" },
	{ "{\"event\":\"authenticate\",\"token\":\"t\"}", NULL, WS_AUTHENTICATE, "", "" },

	{ "", "event", 0, "", "" },
	{ "x", "event", 0, "", "" },
	{ "subscribe", "topic", 0, "", "" },
	{ "subscribe:", "topic", 0, "", "" },
	{ "subscribe:*", "topic", 0, "", "" },
	{ "subscribe:instance.", "topic", 0, "", "" },
	{ "subscribe:instance.abc", "topic", 0, "", "" },
	{ "subscribe:instance." ID ".x", "topic", 0, "", "" },
	{ "subscribe:instance.33333333-3333-4333-8333-33333333333A", "topic", 0, "", "" },
	{ "subscribe:instance.>", "topic", 0, "", "" },
	{ "subscribe:user." ID, "topic", 0, "", "" },
	{ "Subscribe:instance." ID, "event", 0, "", "" },
	{ " subscribe:instance." ID, "event", 0, "", "" },
	{ "subscribe:instance." ID "\n", "topic", 0, "", "" },
	{ "authenticate", "ticket", WS_AUTHENTICATE, "", "" },
	{ "{", "", 0, "", "" },
	{ "{}", "event", 0, "", "" },
	{ "[]", "event", 0, "", "" },
	{ "null", "event", 0, "", "" },
	{ "{\"event\":7}", "event", 0, "", "" },
	{ "{\"event\":null}", "event", 0, "", "" },
	{ "{\"event\":\"\"}", "event", 0, "", "" },
	{ "{\"event\":\"x\",\"event\":\"x\"}", "event", 0, "", "" },
	{ "{\"event\":\"a\\u0000b\"}", "", 0, "", "" },
	{ "{\"event\":\"unsubscribe:*\"} x", "", 0, "", "" },
	{ "{\"event\":\"unsubscribe:*\",\"other\":1}", "other", 0, "", "" },
	{ "{\"event\":\"unsubscribe:*\",\"since\":\"0123abcd:42\"}", "since", 0, "", "" },
	{ "{\"event\":\"subscribe:instance." ID "\",\"since\":7}", "since", 0, "instance." ID, "" },
	{ "{\"event\":\"subscribe:instance." ID "\",\"since\":\"\"}", "since", 0, "instance." ID,
	  "" },
	{ "{\"event\":\"subscribe:instance." ID "\",\"since\":\"42\"}", "since", 0, "instance." ID,
	  "42" },
	{ "{\"event\":\"subscribe:instance." ID "\",\"ticket\":\"x\"}", "ticket", 0, "instance." ID,
	  "" },
	{ "{\"event\":\"authenticate\"}", "ticket", 0, "", "" },
	{ "{\"event\":\"authenticate\",\"ticket\":\"t\",\"token\":\"t\"}", "ticket", 0, "", "" },
	{ "{\"event\":\"authenticate\",\"token\":\"\"}", "token", 0, "", "" },
};

static void a_frame_is_understood_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ws_frame f;
		struct err e = ERR_INIT;
		int r = ws_frame_parse(cases[i].text, strlen(cases[i].text), &f, &e);

		print_message("  %s\n", cases[i].text);
		assert_int_equal(r, cases[i].field ? -1 : 0);
		assert_int_equal(e.code, cases[i].field ? ERR_INVALID : ERR_NONE);
		assert_string_equal(e.field, cases[i].field ? cases[i].field : "");
		assert_string_equal(f.topic, cases[i].topic);
		assert_string_equal(f.since, cases[i].since);
		if (r == 0)
			assert_int_equal(f.verb, cases[i].verb);
	}
}

static void a_frame_has_an_end(void **state)
{
	static char text[WS_FRAME_MAX + 1];
	struct ws_frame f;
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_fails(ws_frame_parse(text, sizeof(text), &f, &e), &e, ERR_INVALID);
	assert_fails(ws_frame_parse(text, 500, &f, &e), &e, ERR_INVALID);
	assert_fails(ws_frame_parse("unsubscribe:*\0x", 15, &f, &e), &e, ERR_INVALID);
}

static void positions_have_one_form(void **state)
{
	static const char *const bad[] = { "",
		                           "1",
		                           ":1",
		                           "0123abcd",
		                           "0123abcd:",
		                           "0123ABCD:1",
		                           "0123abc:1",
		                           "0123abcde:1",
		                           "0123abcd:x",
		                           "0123abcd:1x",
		                           "0123abcd:-1",
		                           "0123abcd: 1",
		                           "0123abcd:9999999999999999999" };
	struct ws_position p;
	char text[WS_POSITION_SIZE];

	(void)state;
	assert_true(ws_position_parse("0123abcd:42", &p));
	assert_string_equal(p.stream, "0123abcd");
	assert_int_equal(p.seq, 42);
	ws_position_text(&p, text);
	assert_string_equal(text, "0123abcd:42");
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(ws_position_parse(bad[i], &p));
}

static void a_position_covers_what_is_before_it_in_its_stream(void **state)
{
	const struct ws_position none = { "", 0 }, five = { "0123abcd", 5 },
				 four = { "0123abcd", 4 }, other = { "ffffffff", 4 };

	(void)state;
	assert_true(ws_position_covers(&five, &five));
	assert_true(ws_position_covers(&five, &four));
	assert_false(ws_position_covers(&four, &five));
	assert_false(ws_position_covers(&five, &other));
	assert_false(ws_position_covers(&none, &four));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_understood_or_refused),
		cmocka_unit_test(a_frame_has_an_end),
		cmocka_unit_test(positions_have_one_form),
		cmocka_unit_test(a_position_covers_what_is_before_it_in_its_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
