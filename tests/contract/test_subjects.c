/* The tables of the bus, looked at whole. */

#include "test.h"

#include "wire/subject.h"

#define TIMEOUT_MAX_MS 15000 /* R10: what takes longer answers at once and reports by events */

static const char *const kinds_of_call[] = { "zaki.rpc.", "zaki.int." };

static bool is_message(const struct wire_msg *m)
{
	for (size_t i = 0; i < wire_message_count; i++)
		if (wire_messages[i] == m)
			return true;
	return false;
}

/* "zaki.<class>.<word>.<word>" in lower case; an event has * for its third and one word more. */
static bool is_well_formed(const struct subject *s)
{
	bool is_event = s->kind == SUBJECT_EVENT, starts = false;
	size_t dots = 0;

	for (const char *c = s->name; *c; c++) {
		dots += *c == '.';
		if (*c == '.' && (c[1] == '.' || !c[1]))
			return false;
		if (!strchr("abcdefghijklmnopqrstuvwxyz_.*", *c) || (*c == '*' && !is_event))
			return false;
	}
	if (is_event)
		return dots == 4 && strncmp(s->name, "zaki.evt.", 9) == 0 && strstr(s->name, ".*.");
	for (size_t i = 0; i < COUNT(kinds_of_call); i++)
		starts |= strncmp(s->name, kinds_of_call[i], 9) == 0;
	return dots == 3 && starts;
}

static void each_name_is_unique_and_well_formed(void **state)
{
	(void)state;
	for (int i = 0; i < SUBJ_COUNT; i++) {
		if (!is_well_formed(&subjects[i]))
			fail_msg("%s is not well-formed", subjects[i].name);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(subjects[i].name, subjects[k].name);
	}
}

static void each_has_messages_and_a_time(void **state)
{
	(void)state;
	for (int i = 0; i < SUBJ_COUNT; i++) {
		const struct subject *s = &subjects[i];

		assert_true(is_message(s->in) && is_message(s->out));
		if (s->kind == SUBJECT_EVENT) {
			assert_ptr_equal(s->out, &wire_none);
			assert_int_equal(s->timeout_ms, 0);
		} else {
			assert_in_range(s->timeout_ms, 100, TIMEOUT_MAX_MS);
		}
	}
}

/* Events lie in the stream for a day and are shown to sockets as they are: nobody could open one. */
static void no_event_holds_a_secret(void **state)
{
	(void)state;
	for (int i = 0; i < SUBJ_COUNT; i++)
		assert_false(subjects[i].kind == SUBJECT_EVENT && subjects[i].in->has_secret);
}

/* Idempotency-Key is a person's: what services ask each other is safe to repeat by itself. */
static void between_services_all_is_safe_to_repeat(void **state)
{
	(void)state;
	for (int i = 0; i < SUBJ_COUNT; i++)
		if (strncmp(subjects[i].name, "zaki.int.", 9) == 0)
			assert_int_equal(subjects[i].kind, SUBJECT_CALL);
}

static void each_message_is_used_and_named_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < wire_message_count; i++) {
		const struct wire_msg *m = wire_messages[i];
		bool is_used = false;

		for (int k = 0; k < SUBJ_COUNT; k++)
			is_used |= subjects[k].in == m || subjects[k].out == m;
		for (size_t k = 0; k < wire_message_count; k++)
			for (size_t f = 0; f < wire_messages[k]->field_count; f++)
				is_used |= wire_messages[k]->fields[f].item == m;
		if (!is_used)
			fail_msg("%s is used by no subject and no message", m->name);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(wire_messages[k]->name, m->name);
	}
}

/* err_under() keeps 63 bytes of a path, and logs and clients compare these names. */
static void fields_have_short_plain_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < wire_message_count; i++) {
		for (size_t k = 0; k < wire_messages[i]->field_count; k++) {
			const char *name = wire_messages[i]->fields[k].name;

			assert_true(strlen(name) <= 24);
			assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
			                 strlen(name));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_name_is_unique_and_well_formed),
		cmocka_unit_test(each_has_messages_and_a_time),
		cmocka_unit_test(no_event_holds_a_secret),
		cmocka_unit_test(between_services_all_is_safe_to_repeat),
		cmocka_unit_test(each_message_is_used_and_named_once),
		cmocka_unit_test(fields_have_short_plain_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
