/* What gateways tell of conversations and of tokens, as it is kept. */

#include "link/chat_news.h"
#include "link/session_row.h"
#include "link/usage.h"
#include "test.h"

#include "base/own.h"

/* clang-format off */
static const struct { const char *what, *json; bool is_taken; const char *title; } rows[] = {
	{ "smallest",        "{\"key\":\"a\"}",                                        true,  "" },
	{ "label first",     "{\"key\":\"a\",\"label\":\"L\",\"displayName\":\"D\"}",  true,  "L" },
	{ "a name's lines",  "{\"key\":\"a\",\"displayName\":\"x\\ny\"}",              true,  "x y" },
	{ "title a number",  "{\"key\":\"a\",\"label\":7}",                            true,  "" },
	{ "no key",          "{\"label\":\"L\"}",                                      false, "" },
	{ "key with spaces", "{\"key\":\"a b\"}",                                      false, "" },
	{ "key empty",       "{\"key\":\"\"}",                                         false, "" },
	{ "no object",       "[]",                                                     false, "" },
};
/* clang-format on */

static void a_conversation_is_kept_by_its_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		OWN(json) cJSON *doc = cJSON_Parse(rows[i].json);
		struct session_row row;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(session_row_read(doc, &row), rows[i].is_taken);
		if (rows[i].is_taken)
			assert_string_equal(row.title, rows[i].title);
	}
}

static void events_add_what_they_count(void **state)
{
	OWN(json)
	cJSON *doc = cJSON_Parse("{\"sessionKey\":\"k\",\"messageSeq\":3,\"session\":{"
	                         "\"key\":\"k\",\"updatedAt\":1700000000000}}");
	OWN(json) cJSON *gone = cJSON_Parse("{\"sessionKey\":\"k\",\"reason\":\"delete\"}");
	struct session_row row;
	bool is_gone;

	(void)state;
	assert_true(session_row_of_event("session.message", doc, &row, &is_gone));
	assert_int_equal(row.message_count, 3);
	assert_int_equal(row.last_active_ms, 1700000000000);
	assert_false(is_gone);
	assert_true(session_row_of_event("sessions.changed", doc, &row, &is_gone));
	assert_int_equal(row.message_count, -1);
	assert_true(session_row_of_event("sessions.changed", gone, &row, &is_gone));
	assert_true(is_gone);
}

static void titles_are_cut_between_characters(void **state)
{
	char out[8];

	(void)state;
	session_text_copy("\xc3\xa4\xc3\xb6\xc3\xbc", 2, out, sizeof(out));
	assert_string_equal(out, "\xc3\xa4\xc3\xb6");
	session_text_copy("\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 9, out, sizeof(out));
	assert_string_equal(out, "\xf0\x9f\x98\x80");
	session_text_copy(NULL, 9, out, sizeof(out));
	assert_string_equal(out, "");
}

static void a_message_is_its_parts_of_text(void **state)
{
	OWN(json)
	cJSON *doc = cJSON_Parse("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
	                         "\"image\",\"text\":\"x\"},"
	                         "{\"type\":\"text\",\"text\":\"\xc3\xa4\"},7]}");
	OWN(json) cJSON *plain = cJSON_Parse("{\"content\":\"plain\"}");
	char out[16];

	(void)state;
	chat_text(doc, out, sizeof(out));
	assert_string_equal(out, "a\xc3\xa4");
	chat_text(doc, out, 3); /* no half of a character */
	assert_string_equal(out, "a");
	chat_text(plain, out, sizeof(out));
	assert_string_equal(out, "plain");
}

static void tokens_are_read_by_day_model_and_conversation(void **state)
{
	OWN(json)
	cJSON *doc = cJSON_Parse(
		"{\"aggregates\":{\"costDaily\":[{\"date\":\"2026-11-28\",\"input\":10,"
		"\"output\":2,\"cacheRead\":3,\"totalTokens\":15,\"totalCost\":0.0025}],"
		"\"modelDaily\":[{\"date\":\"2026-11-28\",\"provider\":\"fake\",\"model\":\"m\","
		"\"tokens\":15,\"cost\":0.0025},{\"date\":\"2026-02-31\",\"provider\":\"p\","
		"\"model\":\"m\"},{\"date\":\"yesterday\",\"provider\":\"p\",\"model\":\"m\"}]},"
		"\"sessions\":[{\"key\":\"k\",\"usage\":{\"dailyBreakdown\":[{\"date\":"
		"\"2026-11-28\",\"tokens\":15,\"cost\":1e300}]}},{\"key\":\"no key\"}],"
		"\"cacheStatus\":{\"status\":\"fresh\"}}");
	struct usage_part parts[8];
	bool is_fresh = false;

	(void)state;
	assert_int_equal(usage_read(doc, parts, COUNT(parts), &is_fresh), 3);
	assert_true(is_fresh);
	assert_string_equal(parts[0].kind, "total");
	assert_int_equal(parts[0].cost_micros, 2500);
	assert_int_equal(parts[0].cache, 3);
	assert_string_equal(parts[1].name, "fake/m");
	assert_int_equal(parts[1].total, 15);
	assert_string_equal(parts[2].name, "k");
	assert_int_equal(parts[2].cost_micros, 0);
	assert_int_equal(usage_read(doc, parts, 1, &is_fresh), 1);
	assert_int_equal(usage_read(NULL, parts, 1, &is_fresh), 0);
	assert_false(is_fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_is_kept_by_its_key),
		cmocka_unit_test(events_add_what_they_count),
		cmocka_unit_test(titles_are_cut_between_characters),
		cmocka_unit_test(a_message_is_its_parts_of_text),
		cmocka_unit_test(tokens_are_read_by_day_model_and_conversation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
