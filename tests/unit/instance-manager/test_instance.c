#include "instance.h"

#include "test.h"

typedef int wish(struct instance *i, bool *ret_changed, struct err *e);

static struct instance like(enum instance_desired desired, enum instance_status status)
{
	struct instance i = { .desired = desired, .status = status, .was_ready = true };

	snprintf(i.reason, sizeof(i.reason), "because");
	i.probe_misses = 2;
	i.restart_times[0] = 5;
	i.retry_at_ms = 9;
	i.exit_code = 78;
	i.restart_generation = i.applied_generation = 3;
	return i;
}

/* clang-format off */
static const struct {
	const char *what;
	wish *apply;
	enum instance_desired desired;
	enum instance_status status;
	bool is_changed; /* else left alone */
	enum instance_desired want_desired;
	enum instance_status want_status;
} wishes[] = {
	{ "start of a stopped one", instance_want_start, INSTANCE_WANT_STOPPED, INSTANCE_STOPPED,
	  true, INSTANCE_WANT_RUNNING, INSTANCE_STARTING },
	{ "start while it stops", instance_want_start, INSTANCE_WANT_STOPPED, INSTANCE_STOPPING,
	  true, INSTANCE_WANT_RUNNING, INSTANCE_STARTING },
	{ "start of a running one", instance_want_start, INSTANCE_WANT_RUNNING, INSTANCE_RUNNING,
	  false, INSTANCE_WANT_RUNNING, INSTANCE_RUNNING },
	{ "start of one that starts", instance_want_start, INSTANCE_WANT_RUNNING, INSTANCE_PROVISIONING,
	  false, INSTANCE_WANT_RUNNING, INSTANCE_PROVISIONING },
	{ "start after an error", instance_want_start, INSTANCE_WANT_RUNNING, INSTANCE_ERROR,
	  true, INSTANCE_WANT_RUNNING, INSTANCE_STARTING },
	{ "stop of a running one", instance_want_stop, INSTANCE_WANT_RUNNING, INSTANCE_RUNNING,
	  true, INSTANCE_WANT_STOPPED, INSTANCE_STOPPING },
	{ "stop of a stopped one", instance_want_stop, INSTANCE_WANT_STOPPED, INSTANCE_STOPPED,
	  false, INSTANCE_WANT_STOPPED, INSTANCE_STOPPED },
	{ "stop after an error", instance_want_stop, INSTANCE_WANT_RUNNING, INSTANCE_ERROR,
	  true, INSTANCE_WANT_STOPPED, INSTANCE_STOPPING },
	{ "restart of a running one", instance_want_restart, INSTANCE_WANT_RUNNING, INSTANCE_RUNNING,
	  true, INSTANCE_WANT_RUNNING, INSTANCE_RESTARTING },
	{ "restart of a stopped one", instance_want_restart, INSTANCE_WANT_STOPPED, INSTANCE_STOPPED,
	  true, INSTANCE_WANT_RUNNING, INSTANCE_RESTARTING },
	{ "restart after an error", instance_want_restart, INSTANCE_WANT_RUNNING, INSTANCE_ERROR,
	  true, INSTANCE_WANT_RUNNING, INSTANCE_RESTARTING },
	{ "delete of a running one", instance_want_delete, INSTANCE_WANT_RUNNING, INSTANCE_RUNNING,
	  true, INSTANCE_WANT_DELETED, INSTANCE_DELETING },
	{ "delete once more", instance_want_delete, INSTANCE_WANT_DELETED, INSTANCE_DELETING,
	  false, INSTANCE_WANT_DELETED, INSTANCE_DELETING },
};
/* clang-format on */

static void a_wish_changes_what_it_says(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(wishes); k++) {
		struct instance i = like(wishes[k].desired, wishes[k].status);
		struct err e = ERR_INIT;
		bool is_changed = !wishes[k].is_changed;

		print_message("  %s\n", wishes[k].what);
		assert_ok(wishes[k].apply(&i, &is_changed, &e), &e);
		assert_int_equal(is_changed, wishes[k].is_changed);
		assert_int_equal(i.desired, wishes[k].want_desired);
		assert_int_equal(i.status, wishes[k].want_status);
		/* A person's wish forgives all failures, and what is left alone keeps them. */
		assert_int_equal(i.restart_times[0], is_changed ? 0 : 5);
		assert_int_equal(i.retry_at_ms, is_changed ? 0 : 9);
		assert_int_equal(i.exit_code, is_changed ? -1 : 78);
		assert_string_equal(i.reason, is_changed ? "" : "because");
		assert_int_equal(i.operation == INSTANCE_OP_NONE, !is_changed);
	}
}

static void a_restart_is_counted_each_time(void **state)
{
	struct instance i = like(INSTANCE_WANT_RUNNING, INSTANCE_RUNNING);
	struct err e = ERR_INIT;
	bool is_changed;

	(void)state;
	assert_ok(instance_want_restart(&i, &is_changed, &e), &e);
	assert_ok(instance_want_restart(&i, &is_changed, &e), &e);
	assert_int_equal(i.restart_generation, 5);
	assert_int_equal(i.applied_generation, 3);
}

static void nothing_but_its_end_can_be_wished_of_one_being_deleted(void **state)
{
	static wish *const refused[] = { instance_want_start, instance_want_stop,
		                         instance_want_restart };

	(void)state;
	for (size_t k = 0; k < COUNT(refused); k++) {
		struct instance i = like(INSTANCE_WANT_DELETED, INSTANCE_DELETING);
		struct err e = ERR_INIT;
		bool is_changed;

		assert_fails(refused[k](&i, &is_changed, &e), &e, ERR_CONFLICT);
		assert_int_equal(i.desired, INSTANCE_WANT_DELETED);
	}
}

static void one_that_never_ran_is_provisioning_when_it_starts(void **state)
{
	static wish *const starts[] = { instance_want_start, instance_want_restart };

	(void)state;
	for (size_t k = 0; k < COUNT(starts); k++) {
		struct instance i = like(INSTANCE_WANT_STOPPED, INSTANCE_STOPPED);
		struct err e = ERR_INIT;
		bool is_changed;

		i.was_ready = false;
		assert_ok(starts[k](&i, &is_changed, &e), &e);
		assert_int_equal(i.status, INSTANCE_PROVISIONING);
	}
}

static void a_view_says_null_where_there_is_nothing(void **state)
{
	struct instance i = { .status = INSTANCE_PROVISIONING,
		              .desired = INSTANCE_WANT_RUNNING,
		              .port = 20001,
		              .memory_mib = 2048,
		              .created_ms = 1770724800000,
		              .updated_ms = 1770724800001 };
	struct arena a __attribute__((cleanup(own_arena)));
	struct err e = ERR_INIT;
	struct instance_view v;

	(void)state;
	arena_init(&a, 4096);
	snprintf(i.id, sizeof(i.id), "11111111-2222-4333-8444-555555555555");
	snprintf(i.name, sizeof(i.name), "Ada");
	snprintf(i.model, sizeof(i.model), "openai/gpt-5");
	assert_ok(instance_to_view(&i, &a, &v, &e), &e);
	assert_string_equal(v.id, i.id);
	assert_string_equal(v.status, "provisioning");
	assert_string_equal(v.desired, "running");
	assert_string_equal(v.created_at, "2026-02-10T12:00:00.000Z");
	assert_string_equal(v.updated_at, "2026-02-10T12:00:00.001Z");
	assert_null(v.status_reason);
	assert_null(v.observed_at);
	assert_null(v.bot_username);
}

static void a_view_that_does_not_fit_is_an_error(void **state)
{
	struct instance i = { .name = "a name that takes more than the arena has" };
	struct arena a __attribute__((cleanup(own_arena)));
	struct err e = ERR_INIT;
	struct instance_view v;

	(void)state;
	arena_init(&a, 16);
	assert_fails(instance_to_view(&i, &a, &v, &e), &e, ERR_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wish_changes_what_it_says),
		cmocka_unit_test(a_restart_is_counted_each_time),
		cmocka_unit_test(nothing_but_its_end_can_be_wished_of_one_being_deleted),
		cmocka_unit_test(one_that_never_ran_is_provisioning_when_it_starts),
		cmocka_unit_test(a_view_says_null_where_there_is_nothing),
		cmocka_unit_test(a_view_that_does_not_fit_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
