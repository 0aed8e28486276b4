#include "decide.h"

#include "test.h"

/* The way of an assistant to another image, step by step, and back. */

#define NOW 1770000000000LL
#define OLD "zaki/openclaw:1"
#define NEW "zaki/openclaw:2"

struct at {
	enum instance_upgrade step;
	enum instance_status status;
	enum instance_desired desired;
	enum engine_status container;
	enum sight_backup backup;
	enum probe_verdict probe;
	long long since_start_ms, since_ask_ms;
	bool is_other_spec, has_crashed;
};

static struct instance row_of(const struct at *at)
{
	struct instance row = { .desired = at->desired,
		                .status = at->status,
		                .operation = INSTANCE_OP_UPGRADE,
		                .upgrade = at->step,
		                .upgrade_from = OLD,
		                .upgrade_to = NEW,
		                .upgrade_ms = NOW - at->since_ask_ms,
		                .was_ready = true,
		                .exit_code = -1,
		                .memory_mib = 2048 };

	snprintf(row.image, sizeof(row.image), "%s", at->step == UPGRADE_TRY ? NEW : OLD);
	return row;
}

static struct decision look(struct at at)
{
	struct instance row = row_of(&at);
	struct sight s = { .now_ms = NOW,
		           .ready_timeout_ms = 60000,
		           .spec = "aaaa",
		           .backup = at.backup,
		           .has_probe = true };
	struct decision d;

	s.probe.verdict = at.probe;
	s.container.item.status = at.container;
	s.container.item.is_ours = true;
	s.container.memory_mib = 2048;
	s.container.started_ms = NOW - at.since_start_ms;
	s.container.finished_ms = at.has_crashed ? NOW - 10 : 0;
	snprintf(s.container.item.spec, sizeof(s.container.item.spec), "%s",
	         at.is_other_spec ? "bbbb" : "aaaa");
	decide(&row, &s, &d);
	return d;
}

static void it_serves_until_there_is_a_backup(void **state)
{
	struct at at = { .step = UPGRADE_BACKUP,
		         .status = INSTANCE_RUNNING,
		         .container = ENGINE_RUNNING,
		         .probe = PROBE_READY };
	struct decision d = look(at);

	(void)state;
	assert_true(d.needs_backup);
	assert_int_equal(d.action, ACT_NONE);
	at.backup = BACKUP_UNDER_WAY;
	d = look(at);
	assert_int_equal(d.action, ACT_NONE);
	assert_int_equal(d.next.upgrade, UPGRADE_BACKUP);
	assert_int_equal(d.next.status, INSTANCE_RUNNING);
	assert_true(d.delay_ms <= 1000);
	at.backup = BACKUP_DONE;
	d = look(at);
	assert_int_equal(d.action, ACT_STOP);
	assert_int_equal(d.place, PLACE_TAKE);
	assert_int_equal(d.next.upgrade, UPGRADE_STOP);
	assert_int_equal(d.next.status, INSTANCE_RESTARTING);
	assert_int_equal(d.next.cause, CAUSE_UPGRADING);
	assert_string_equal(d.next.image, OLD);
}

static void without_a_backup_nothing_is_begun(void **state)
{
	static const struct {
		enum sight_backup backup;
		long long since_ask_ms;
		bool is_over;
	} rows[] = {
		{ BACKUP_FAILED, 1000, true },
		{ BACKUP_AWAY, 1000, false },
		{ BACKUP_AWAY, DECIDE_BACKUP_MS + 1000, true },
		{ BACKUP_UNDER_WAY, DECIDE_BACKUP_MS + 1000, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct decision d = look((struct at){ .step = UPGRADE_BACKUP,
		                                      .status = INSTANCE_RUNNING,
		                                      .container = ENGINE_RUNNING,
		                                      .probe = PROBE_READY,
		                                      .backup = rows[i].backup,
		                                      .since_ask_ms = rows[i].since_ask_ms });

		assert_int_equal(d.action, ACT_NONE);
		assert_int_equal(d.next.status, INSTANCE_RUNNING);
		assert_string_equal(d.next.image, OLD);
		assert_int_equal(d.next.upgrade, rows[i].is_over ? UPGRADE_NONE : UPGRADE_BACKUP);
		assert_int_equal(d.next.upgrade_cause, rows[i].is_over ? CAUSE_BACKUP : CAUSE_NONE);
	}
}

static void what_is_stopped_is_not_started_for_it(void **state)
{
	static const enum instance_status rests[] = { INSTANCE_STOPPED, INSTANCE_ERROR };

	(void)state;
	for (size_t i = 0; i < COUNT(rests); i++) {
		struct decision d = look((struct at){ .step = UPGRADE_BACKUP,
		                                      .status = rests[i],
		                                      .desired = rests[i] == INSTANCE_STOPPED
		                                                         ? INSTANCE_WANT_STOPPED
		                                                         : INSTANCE_WANT_RUNNING,
		                                      .container = ENGINE_EXITED,
		                                      .backup = BACKUP_DONE });

		assert_int_equal(d.action, ACT_NONE);
		assert_int_equal(d.next.upgrade, UPGRADE_NONE);
		assert_int_equal(d.next.status, rests[i]);
		assert_string_equal(d.next.image, NEW);
	}
}

/* What is done in a step, by how the container is. */
struct act_case {
	enum engine_status container;
	enum action want;
};

static void assert_acts(enum instance_upgrade step, const struct act_case *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(look((struct at){ .step = step,
		                                   .status = INSTANCE_RESTARTING,
		                                   .container = rows[i].container })
		                         .action,
		                 rows[i].want);
}

static void the_files_are_kept_once_nothing_runs(void **state)
{
	static const struct act_case rows[] = { { ENGINE_RUNNING, ACT_STOP },
		                                { ENGINE_EXITED, ACT_KEEP },
		                                { ENGINE_ABSENT, ACT_KEEP },
		                                { ENGINE_REMOVING, ACT_NONE } };

	(void)state;
	assert_acts(UPGRADE_STOP, rows, COUNT(rows));
}

static void the_old_container_goes_before_the_new_one_comes(void **state)
{
	struct at at = { .step = UPGRADE_TRY, .status = INSTANCE_RESTARTING };

	(void)state;
	at.container = ENGINE_EXITED;
	at.is_other_spec = true;
	assert_int_equal(look(at).action, ACT_REMOVE);
	at.container = ENGINE_ABSENT;
	assert_int_equal(look(at).action, ACT_CREATE);
	at.container = ENGINE_CREATED;
	at.is_other_spec = false;
	assert_int_equal(look(at).action, ACT_START);
	assert_int_equal(look(at).drift, DRIFT_NONE);
}

static void one_that_is_ready_stays(void **state)
{
	struct decision d = look((struct at){ .step = UPGRADE_TRY,
	                                      .status = INSTANCE_RESTARTING,
	                                      .container = ENGINE_RUNNING,
	                                      .probe = PROBE_READY,
	                                      .since_start_ms = 5000 });

	(void)state;
	assert_int_equal(d.action, ACT_CLEAR);
	assert_int_equal(d.next.upgrade, UPGRADE_CLEAR);
	assert_int_equal(d.next.status, INSTANCE_RUNNING);
	assert_string_equal(d.next.image, NEW);
}

static void a_bots_own_trouble_is_not_the_images(void **state)
{
	struct at at = { .step = UPGRADE_TRY,
		         .status = INSTANCE_RESTARTING,
		         .container = ENGINE_RUNNING,
		         .probe = PROBE_BOT_CONFLICT,
		         .since_start_ms = 5000 };
	struct decision d = look(at);

	(void)state;
	assert_int_equal(d.action, ACT_NONE);
	assert_int_equal(d.next.upgrade, UPGRADE_TRY);
	assert_int_equal(d.next.status, INSTANCE_RESTARTING);
	at.since_start_ms = DECIDE_OUTSIDE_MS + 1000;
	d = look(at);
	assert_int_equal(d.next.upgrade, UPGRADE_CLEAR);
	assert_int_equal(d.next.status, INSTANCE_UNHEALTHY);
}

static void the_first_failure_leads_back(void **state)
{
	static const struct {
		enum engine_status container;
		enum probe_verdict probe;
		long long since_start_ms;
		bool has_crashed;
		enum instance_cause cause;
	} rows[] = {
		{ ENGINE_RUNNING, PROBE_DOWN, 61000, false, CAUSE_NOT_READY },
		{ ENGINE_RUNNING, PROBE_STARTING, 61000, false, CAUSE_CONNECTING },
		{ ENGINE_RUNNING, PROBE_CHANNELS_OFF, 61000, false, CAUSE_CHANNELS_OFF },
		{ ENGINE_RUNNING, PROBE_DOWN, 100, true, CAUSE_CRASH },
		{ ENGINE_RESTARTING, PROBE_DOWN, 100, true, CAUSE_CRASH },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct decision d = look((struct at){ .step = UPGRADE_TRY,
		                                      .status = INSTANCE_RESTARTING,
		                                      .container = rows[i].container,
		                                      .probe = rows[i].probe,
		                                      .since_start_ms = rows[i].since_start_ms,
		                                      .has_crashed = rows[i].has_crashed });

		assert_int_equal(d.next.upgrade, UPGRADE_BACK);
		assert_int_equal(d.action, ACT_STOP);
		assert_int_equal(d.next.status, INSTANCE_RESTARTING);
		assert_int_equal(d.next.upgrade_cause, rows[i].cause);
		assert_non_null(strstr(d.next.upgrade_error, NEW));
		assert_int_equal(d.next.restart_times[0], 0);
		assert_false(d.is_restart_counted);
	}
}

static void the_files_come_back_once_the_new_container_is_gone(void **state)
{
	static const struct act_case rows[] = { { ENGINE_RUNNING, ACT_STOP },
		                                { ENGINE_EXITED, ACT_REMOVE },
		                                { ENGINE_REMOVING, ACT_NONE },
		                                { ENGINE_ABSENT, ACT_BACK } };

	(void)state;
	assert_acts(UPGRADE_BACK, rows, COUNT(rows));
}

static void what_was_kept_goes_last(void **state)
{
	struct at at = { .step = UPGRADE_CLEAR,
		         .status = INSTANCE_RESTARTING,
		         .container = ENGINE_ABSENT };

	(void)state;
	assert_int_equal(look(at).action, ACT_CREATE);
	at.container = ENGINE_RUNNING;
	at.probe = PROBE_DOWN;
	assert_int_equal(look(at).action, ACT_NONE);
	at.probe = PROBE_READY;
	assert_int_equal(look(at).action, ACT_CLEAR);
}

static void what_cannot_be_done_leads_back_or_is_done_again(void **state)
{
	static const struct {
		enum instance_upgrade step, next;
		enum failure failure;
		enum action failed;
	} rows[] = {
		{ UPGRADE_STOP, UPGRADE_STOP, FAIL_ATTEMPT, ACT_STOP },
		{ UPGRADE_STOP, UPGRADE_STOP, FAIL_AWAY, ACT_KEEP },
		{ UPGRADE_STOP, UPGRADE_CLEAR, FAIL_PLATFORM, ACT_KEEP },
		{ UPGRADE_TRY, UPGRADE_TRY, FAIL_AWAY, ACT_CREATE },
		{ UPGRADE_TRY, UPGRADE_BACK, FAIL_PLATFORM, ACT_CREATE },
		{ UPGRADE_TRY, UPGRADE_BACK, FAIL_ATTEMPT, ACT_START },
		{ UPGRADE_TRY, UPGRADE_BACK, FAIL_FINAL, ACT_START },
		{ UPGRADE_BACK, UPGRADE_BACK, FAIL_PLATFORM, ACT_BACK },
		{ UPGRADE_CLEAR, UPGRADE_CLEAR, FAIL_PLATFORM, ACT_CLEAR },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct instance row =
			row_of(&(struct at){ .step = rows[i].step, .status = INSTANCE_RESTARTING });
		struct decision d;

		decide_failed(&row, rows[i].failure, rows[i].failed, "no luck", NOW, &d);
		assert_int_equal(d.next.upgrade, rows[i].next);
		assert_int_equal(d.action, ACT_NONE);
		assert_true(d.delay_ms > 0);
		assert_int_equal(d.next.status, INSTANCE_RESTARTING);
		assert_int_equal(d.next.upgrade_error[0] != '\0', rows[i].next != rows[i].step);
	}
}

static void a_deletion_does_not_wait(void **state)
{
	struct at at = { .step = UPGRADE_TRY,
		         .status = INSTANCE_DELETING,
		         .desired = INSTANCE_WANT_DELETED,
		         .container = ENGINE_RUNNING };

	(void)state;
	assert_int_equal(look(at).action, ACT_STOP);
	at.container = ENGINE_ABSENT;
	assert_int_equal(look(at).action, ACT_ERASE);
}

static void a_person_waits(void **state)
{
	struct instance row = { .operation = INSTANCE_OP_UPGRADE, .upgrade = UPGRADE_TRY };
	struct err e = ERR_INIT;
	bool changed;

	(void)state;
	assert_int_equal(instance_want_stop(&row, &changed, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(instance_want_start(&row, &changed, &e), -1);
	assert_int_equal(instance_want_restart(&row, &changed, &e), -1);
	assert_int_equal(instance_files_are_free(&row, &e), -1);
	row.upgrade = UPGRADE_BACKUP;
	assert_int_equal(instance_files_are_free(&row, &e), 0);
	assert_int_equal(instance_want_delete(&row, &changed, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_serves_until_there_is_a_backup),
		cmocka_unit_test(without_a_backup_nothing_is_begun),
		cmocka_unit_test(what_is_stopped_is_not_started_for_it),
		cmocka_unit_test(the_files_are_kept_once_nothing_runs),
		cmocka_unit_test(the_old_container_goes_before_the_new_one_comes),
		cmocka_unit_test(one_that_is_ready_stays),
		cmocka_unit_test(a_bots_own_trouble_is_not_the_images),
		cmocka_unit_test(the_first_failure_leads_back),
		cmocka_unit_test(the_files_come_back_once_the_new_container_is_gone),
		cmocka_unit_test(what_was_kept_goes_last),
		cmocka_unit_test(what_cannot_be_done_leads_back_or_is_done_again),
		cmocka_unit_test(a_deletion_does_not_wait),
		cmocka_unit_test(a_person_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
