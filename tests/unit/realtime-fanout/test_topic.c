/* Which event belongs to which topic. */

#include "test.h"

#include "topic.h"

#define ID "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c"

/* clang-format off */
static const struct { const char *text; bool is_topic; } texts[] = {
	{ "instance." ID,       true },
	{ "sessions." ID,       true },
	{ "channel." ID,        false }, /* a kind of event, not a topic */
	{ "session." ID,        false },
	{ "user." ID,           false },
	{ "instance",           false },
	{ "instance.",          false },
	{ "instance.*",         false },
	{ "instance.>",         false },
	{ "instance." ID ".x",  false },
	{ "instance." ID " ",   false },
	{ "instance." ID "0",   false },
	{ "instance.3F2B8C1E-9a4d-4e57-8b0c-6d1e2f3a4b5c", false },
	{ "Instance." ID,       false },
	{ ".instance." ID,      false },
	{ "." ID,               false },
	{ "",                   false },
	{ ID,                   false },
};

static const struct { const char *subject, *topic, *event; } subjects[] = {
	{ "zaki.evt.instance." ID ".status",       "instance." ID, "instance.status" },
	{ "zaki.evt.instance." ID ".deleted",      "instance." ID, "instance.deleted" },
	{ "zaki.evt.channel." ID ".connected",     "instance." ID, "channel.connected" },
	{ "zaki.evt.session." ID ".created",       "sessions." ID, "session.created" },
	{ "zaki.evt.user." ID ".session_ended",    NULL, NULL }, /* not for sockets */
	{ "zaki.evt.nosuch." ID ".thing",          NULL, NULL },
	{ "zaki.evt.instance." ID,                 NULL, NULL },
	{ "zaki.evt.instance." ID ".",             NULL, NULL },
	{ "zaki.evt.instance." ID ".a.b",          NULL, NULL },
	{ "zaki.evt.instance." ID ".A\"b",         NULL, NULL },
	{ "zaki.evt.instance.not-an-id.status",    NULL, NULL },
	{ "zaki.evt.instance." ID "x.status",      NULL, NULL },
	{ "zaki.rpc.instance." ID ".status",       NULL, NULL },
	{ "zaki.evt.",                             NULL, NULL },
	{ "",                                      NULL, NULL },
};
/* clang-format on */

static void a_topic_is_a_kind_and_an_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		char again[TOPIC_TEXT_SIZE];
		struct err e = ERR_INIT;
		struct topic t;

		print_message("  %s\n", texts[i].text);
		assert_int_equal(topic_parse(texts[i].text, &t, &e), texts[i].is_topic ? 0 : -1);
		if (texts[i].is_topic) {
			topic_text(&t, again);
			assert_string_equal(again, texts[i].text);
		} else {
			assert_string_equal(e.field, "topic");
		}
	}
}

static void each_subject_has_its_topic_and_event(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(subjects); i++) {
		char event[TOPIC_EVENT_SIZE], text[TOPIC_TEXT_SIZE];
		struct topic t;
		bool is_shown = topic_of_subject(subjects[i].subject, &t, event);

		print_message("  %s\n", subjects[i].subject);
		assert_int_equal(is_shown, subjects[i].topic != NULL);
		if (!is_shown)
			continue;
		topic_text(&t, text);
		assert_string_equal(text, subjects[i].topic);
		assert_string_equal(event, subjects[i].event);
	}
}

static void a_filter_lets_the_whole_topic_through(void **state)
{
	char filter[TOPIC_FILTER_SIZE];
	struct err e = ERR_INIT;
	struct topic t, other;

	(void)state;
	assert_ok(topic_parse("instance." ID, &t, &e), &e);
	assert_ok(topic_parse("sessions." ID, &other, &e), &e);
	topic_filter(&t, filter);
	assert_string_equal(filter, "zaki.evt.*." ID ".*");
	assert_true(topic_equals(&t, &t));
	assert_false(topic_equals(&t, &other));
}

static void the_end_of_an_assistant_is_told_to_all_its_topics(void **state)
{
	char subject[TOPIC_SUBJECT_SIZE], event[TOPIC_EVENT_SIZE];
	struct topic from, other = { "sessions", ID };
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(topic_parse("instance." ID, &from, &e), &e);
	assert_true(topic_hears(&from, &from, "instance.status"));
	assert_true(topic_hears(&other, &from, "instance.deleted"));
	assert_false(topic_hears(&other, &from, "instance.status"));
	other.id[0] = other.id[0] == '1' ? '2' : '1';
	assert_false(topic_hears(&other, &from, "instance.deleted"));
	topic_over_subject(&from, subject);
	assert_true(topic_of_subject(subject, &other, event));
	assert_true(topic_is_over(event) && topic_equals(&other, &from));
	assert_true(topic_is_over("instance.deleted"));
	assert_false(topic_is_over("instance.status"));
	assert_string_equal(topic_name(0), "instance");
	assert_string_equal(topic_name(1), "sessions");
	for (size_t i = 0, k; topic_name(i); i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(topic_name(i), topic_name(k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_topic_is_a_kind_and_an_id),
		cmocka_unit_test(each_subject_has_its_topic_and_event),
		cmocka_unit_test(a_filter_lets_the_whole_topic_through),
		cmocka_unit_test(the_end_of_an_assistant_is_told_to_all_its_topics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
