/* Events as clients read them, and where they stand. */

#include "test.h"

#include "frame.h"
#include "position.h"

/* clang-format off */
static const struct { const char *body; bool is_shown; } bodies[] = {
	{ "{}",                          true },
	{ "{\"a\":[1,{\"b\":null}]}",    true },
	{ " {\n\"a\" : 1 } ",            true },
	{ "",                            false },
	{ "x",                           false },
	{ "[]",                          false },
	{ "null",                        false },
	{ "{}{}",                        false },
	{ "{\"a\":1,\"a\":2}",           false },
	{ "{\"a\":\"\xff\"}",            false },
	{ "{},\"event\":\"forged\"",     false },
};

static const struct { const char *text; bool is_position; unsigned long long seq; } positions[] = {
	{ "65f1c2ab:1",                   true,  1 },
	{ "65f1c2ab:0",                   true,  0 },
	{ "00000000:999999999999999999",  true,  999999999999999999ULL },
	{ "65f1c2ab:1000000000000000000", false, 0 },
	{ "65f1c2ab:01",                  false, 0 },
	{ "65f1c2ab:",                    false, 0 },
	{ "65f1c2ab:-1",                  false, 0 },
	{ "65f1c2ab:1x",                  false, 0 },
	{ "65f1c2ab: 1",                  false, 0 },
	{ "65f1c2ab",                     false, 0 },
	{ "65F1C2AB:1",                   false, 0 },
	{ "65f1c2a:1",                    false, 0 },
	{ "65f1c2abc:1",                  false, 0 },
	{ ":1",                           false, 0 },
	{ "",                             false, 0 },
};
/* clang-format on */

static struct frame_in some(const char *body)
{
	return (struct frame_in){ .event = "instance.status",
		                  .topic = "instance.x",
		                  .position = "65f1c2ab:7",
		                  .ts = "2026-02-10T12:00:00.000Z",
		                  .trace_id = "0123456789abcdef0123456789abcdef",
		                  .body = body,
		                  .body_len = strlen(body) };
}

static void a_frame_has_the_published_shape(void **state)
{
	struct frame_in in = some("{\"status\":\"running\"}");
	OWN(json_text) char *text = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(frame_make(&in, &text, &e), &e);
	assert_string_equal(text, "{\"event\":\"instance.status\",\"topic\":\"instance.x\","
	                          "\"position\":\"65f1c2ab:7\",\"ts\":\"2026-02-10T12:00:00.000Z\","
	                          "\"trace_id\":\"0123456789abcdef0123456789abcdef\","
	                          "\"data\":{\"status\":\"running\"}}");
}

static void an_unknown_trace_is_null(void **state)
{
	struct frame_in in = some("{}");
	OWN(json_text) char *text = NULL;
	struct err e = ERR_INIT;

	(void)state;
	in.trace_id = "";
	assert_ok(frame_make(&in, &text, &e), &e);
	assert_non_null(strstr(text, "\"trace_id\":null"));
}

static void only_one_json_object_is_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct frame_in in = some(bodies[i].body);
		OWN(json_text) char *text = NULL;
		struct err e = ERR_INIT;

		print_message("  %s\n", bodies[i].body);
		assert_int_equal(frame_make(&in, &text, &e), bodies[i].is_shown ? 0 : -1);
		assert_true(bodies[i].is_shown || e.code == ERR_INVALID);
		assert_true(!text || !strpbrk(text, "\r\n"));
	}
}

/* The body is not ended by a zero: nothing past its length is read. */
static void a_body_ends_where_it_is_said_to(void **state)
{
	struct frame_in in = some("{}");
	OWN(mem) char *exact = malloc(2);
	OWN(json_text) char *text = NULL;
	struct err e = ERR_INIT;

	(void)state;
	memcpy(exact, "{}", 2);
	in.body = exact;
	assert_ok(frame_make(&in, &text, &e), &e);
}

static void positions_are_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(positions); i++) {
		char again[POSITION_TEXT_SIZE];
		struct err e = ERR_INIT;
		struct position p;

		print_message("  %s\n", positions[i].text);
		assert_int_equal(position_parse(positions[i].text, &p, &e),
		                 positions[i].is_position ? 0 : -1);
		if (positions[i].is_position) {
			assert_true(p.seq == positions[i].seq);
			position_text(&p, again);
			assert_string_equal(again, positions[i].text);
		} else {
			assert_string_equal(e.field, "since");
		}
	}
}

static void streams_of_two_times_have_two_ids(void **state)
{
	char a[POSITION_ID_SIZE], b[POSITION_ID_SIZE];

	(void)state;
	position_id(1770724800000000000, a);
	position_id(1770724800001000000, b);
	assert_string_not_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef"), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_has_the_published_shape),
		cmocka_unit_test(an_unknown_trace_is_null),
		cmocka_unit_test(only_one_json_object_is_shown),
		cmocka_unit_test(a_body_ends_where_it_is_said_to),
		cmocka_unit_test(positions_are_read_strictly),
		cmocka_unit_test(streams_of_two_times_have_two_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
