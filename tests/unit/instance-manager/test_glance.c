#include "glance.h"

#include "test.h"

#define ONE  "11111111-2222-4333-8444-555555555555"
#define TWO  "22222222-2222-4333-8444-555555555555"
#define SPEC "aaaa"

static struct engine_item item(const char *id, enum engine_status status)
{
	struct engine_item i = { .status = status, .is_ours = true };

	snprintf(i.instance_id, sizeof(i.instance_id), "%s", id);
	snprintf(i.spec, sizeof(i.spec), "%s", SPEC);
	container_name(id, i.name);
	return i;
}

static void settle(struct glance *g)
{
	glance_settle(g, ONE, glance_mark(g));
	glance_settle(g, TWO, glance_mark(g));
}

static int setup(void **state)
{
	struct engine_item items[] = { item(TWO, ENGINE_RUNNING), item(ONE, ENGINE_RUNNING) };
	struct glance *g = NULL;
	struct err e = ERR_INIT;

	if (glance_new(&g, &e) < 0)
		return -1;
	glance_hear(g);
	glance_begin(g);
	glance_put(g, items, COUNT(items));
	settle(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	glance_free(*state);
	return 0;
}

static void what_runs_as_it_should_is_believed(void **state)
{
	struct glance *g = *state;

	assert_true(glance_is_running(g, ONE, SPEC));
	assert_true(glance_is_running(g, TWO, SPEC));
	assert_false(glance_is_running(g, ONE, "bbbb"));
	assert_false(glance_is_running(g, "33333333-2222-4333-8444-555555555555", SPEC));
}

static void what_an_event_named_is_not(void **state)
{
	struct glance *g = *state;

	glance_touch(g, ONE);
	assert_false(glance_is_running(g, ONE, SPEC));
	assert_true(glance_is_running(g, TWO, SPEC));
}

static void nothing_is_while_events_are_not_heard(void **state)
{
	struct engine_item one = item(ONE, ENGINE_RUNNING);
	struct glance *g = *state;

	glance_touch(g, NULL);
	assert_false(glance_is_running(g, TWO, SPEC));
	/* Not even by a new list, until they are. */
	glance_begin(g);
	glance_put(g, &one, 1);
	assert_false(glance_is_running(g, ONE, SPEC));
	glance_hear(g);
	settle(g);
	assert_true(glance_is_running(g, ONE, SPEC));
	assert_false(glance_is_running(g, TWO, SPEC));
}

/* It ended and runs again; the list was asked for before anybody had a look. */
static void a_list_does_not_hide_what_an_event_told(void **state)
{
	struct engine_item items[] = { item(ONE, ENGINE_RUNNING), item(TWO, ENGINE_RUNNING) };
	struct glance *g = *state;

	glance_touch(g, ONE);
	glance_begin(g);
	glance_put(g, items, COUNT(items));
	assert_false(glance_is_running(g, ONE, SPEC));
	assert_true(glance_is_running(g, TWO, SPEC));
	settle(g);
	assert_true(glance_is_running(g, ONE, SPEC));
}

static void an_inspection_does_not_hide_what_came_during_it(void **state)
{
	struct engine_item one = item(ONE, ENGINE_RUNNING);
	struct glance *g = *state;
	long long mark = glance_mark(g);

	glance_touch(g, ONE);
	glance_settle(g, ONE, mark);
	glance_begin(g);
	glance_put(g, &one, 1);
	assert_false(glance_is_running(g, ONE, SPEC));
}

/* What happened in a gap of the events may not be told of afterwards. */
static void after_a_gap_each_is_inspected(void **state)
{
	struct engine_item one = item(ONE, ENGINE_RUNNING);
	struct glance *g = *state;
	long long mark = glance_mark(g);

	glance_touch(g, NULL);
	glance_hear(g);
	glance_begin(g);
	glance_put(g, &one, 1);
	glance_settle(g, ONE, mark); /* of before it */
	assert_false(glance_is_running(g, ONE, SPEC));
	settle(g);
	assert_true(glance_is_running(g, ONE, SPEC));
}

static void events_during_a_list_outweigh_it(void **state)
{
	struct engine_item items[] = { item(ONE, ENGINE_RUNNING), item(TWO, ENGINE_RUNNING) };
	struct glance *g = *state;

	glance_begin(g);
	glance_touch(g, TWO);
	glance_put(g, items, COUNT(items));
	assert_true(glance_is_running(g, ONE, SPEC));
	assert_false(glance_is_running(g, TWO, SPEC));
}

static void a_list_that_the_stream_broke_during_is_not_believed(void **state)
{
	struct engine_item one = item(ONE, ENGINE_RUNNING);
	struct glance *g = *state;

	glance_begin(g);
	glance_touch(g, NULL);
	glance_put(g, &one, 1);
	glance_hear(g);
	assert_false(glance_is_running(g, ONE, SPEC));
}

static void too_many_events_outweigh_the_whole_list(void **state)
{
	struct engine_item one = item(ONE, ENGINE_RUNNING);
	struct glance *g = *state;

	glance_begin(g);
	for (int i = 0; i < 1000; i++)
		glance_touch(g, TWO);
	glance_put(g, &one, 1);
	assert_false(glance_is_running(g, ONE, SPEC));
}

static void only_its_own_running_container_counts(void **state)
{
	struct engine_item items[] = { item(ONE, ENGINE_EXITED), item(TWO, ENGINE_RUNNING) };
	struct glance *g = *state;

	snprintf(items[1].name, sizeof(items[1].name), "extra");
	glance_begin(g);
	glance_put(g, items, COUNT(items));
	assert_false(glance_is_running(g, ONE, SPEC));
	assert_false(glance_is_running(g, TWO, SPEC));
	items[1] = item(TWO, ENGINE_RUNNING);
	items[1].is_ours = false;
	glance_begin(g);
	glance_put(g, items, COUNT(items));
	assert_false(glance_is_running(g, TWO, SPEC));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_runs_as_it_should_is_believed),
		TEST(what_an_event_named_is_not),
		TEST(nothing_is_while_events_are_not_heard),
		TEST(a_list_does_not_hide_what_an_event_told),
		TEST(an_inspection_does_not_hide_what_came_during_it),
		TEST(after_a_gap_each_is_inspected),
		TEST(events_during_a_list_outweigh_it),
		TEST(a_list_that_the_stream_broke_during_is_not_believed),
		TEST(too_many_events_outweigh_the_whole_list),
		TEST(only_its_own_running_container_counts),
	};

	be_patient(PATIENCE); /* a look at the list is believed for so long */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
