#include "decide.h"

#include "test.h"

/* An assistant that is held is kept stopped, whatever is wanted of it, and is let go again. */

#define NOW 1770000000000LL

static struct decision look(enum instance_desired desired, enum instance_status status,
                            bool is_held, enum engine_status container)
{
	struct instance row = { .desired = desired,
		                .status = status,
		                .is_held = is_held,
		                .was_ready = true,
		                .exit_code = -1,
		                .memory_mib = 2048 };
	struct sight s = { .now_ms = NOW, .ready_timeout_ms = 180000, .spec = "aaaa" };
	struct decision d;

	s.container.item.status = container;
	s.container.item.is_ours = true;
	s.container.memory_mib = 2048;
	s.container.started_ms = NOW - 60000;
	snprintf(s.container.item.spec, sizeof(s.container.item.spec), "aaaa");
	decide(&row, &s, &d);
	return d;
}

static void what_runs_is_stopped(void **state)
{
	struct decision d = look(INSTANCE_WANT_RUNNING, INSTANCE_RUNNING, true, ENGINE_RUNNING);

	(void)state;
	assert_int_equal(d.action, ACT_STOP);
	assert_int_equal(d.next.status, INSTANCE_STOPPING);
	assert_int_equal(d.drift, DRIFT_NONE);
	assert_non_null(strstr(d.next.reason, "restored from a backup"));
}

static void what_is_stopped_stays_so(void **state)
{
	static const enum engine_status there[] = { ENGINE_EXITED, ENGINE_CREATED, ENGINE_ABSENT };

	(void)state;
	for (size_t i = 0; i < COUNT(there); i++) {
		struct decision d = look(INSTANCE_WANT_RUNNING, INSTANCE_STOPPING, true, there[i]);

		assert_int_equal(d.action, ACT_NONE);
		assert_int_equal(d.next.status, INSTANCE_STOPPED);
		assert_int_equal(d.next.desired, INSTANCE_WANT_RUNNING);
	}
}

static void one_that_is_let_go_starts_where_that_is_wanted(void **state)
{
	struct decision up = look(INSTANCE_WANT_RUNNING, INSTANCE_STOPPED, false, ENGINE_EXITED);
	struct decision down = look(INSTANCE_WANT_STOPPED, INSTANCE_STOPPED, false, ENGINE_EXITED);

	(void)state;
	assert_int_equal(up.action, ACT_START);
	assert_int_equal(up.drift, DRIFT_NONE);
	assert_int_equal(down.action, ACT_NONE);
	assert_int_equal(down.next.status, INSTANCE_STOPPED);
}

static void a_deletion_does_not_wait(void **state)
{
	struct decision d = look(INSTANCE_WANT_DELETED, INSTANCE_STOPPED, true, ENGINE_ABSENT);

	(void)state;
	assert_int_equal(d.action, ACT_ERASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_runs_is_stopped),
		cmocka_unit_test(what_is_stopped_stays_so),
		cmocka_unit_test(one_that_is_let_go_starts_where_that_is_wanted),
		cmocka_unit_test(a_deletion_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
