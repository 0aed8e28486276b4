#include "decide.h"

#include "test.h"

/*
 * The reconciler's judgement, case by case: a row, what is seen of the engine and of OpenClaw, and
 * what follows. Times are seconds after an arbitrary start.
 */
#define T0      1770000000000LL
#define AT(s)   (T0 + (s)*1000LL)
#define SPEC    "aaaa"
#define READY_S 180

/* clang-format off */
#define ROW(d, s)   .desired = INSTANCE_WANT_##d, .status = INSTANCE_##s
#define RUNS        .container = ENGINE_RUNNING, .started_s = 10
#define PROBED(v)   .has_probe = true, .verdict = PROBE_##v

static const struct decide_case {
	const char *what;
	enum instance_desired desired;
	enum instance_status status;
	bool is_new, is_unready, is_restart, is_config, is_update, is_backing_off;
	int misses, exit_code, restarts;
	long long seen_end_s;
	bool exit_oom;
	enum engine_status container;
	bool is_foreign, is_other_spec, is_other_memory, oom_killed;
	int container_exit, engine_restarts;
	long long started_s, finished_s, now_s;
	bool has_probe;
	enum probe_verdict verdict;
	/* wanted */
	enum action action;
	enum instance_status next;
	enum place place;
	enum drift drift;
	const char *reason; /* a part of it; "" none; NULL: not looked at */
	bool needs_probe, is_counted;
} cases[] = {
	/* from nothing to running */
	{ "new, nothing is there", ROW(RUNNING, PROVISIONING), .is_new = true, .container = ENGINE_ABSENT,
	  .action = ACT_CREATE, .next = INSTANCE_PROVISIONING, .place = PLACE_TAKE, .reason = "before" },
	{ "made, not started", ROW(RUNNING, PROVISIONING), .is_new = true, .container = ENGINE_CREATED,
	  .action = ACT_START, .next = INSTANCE_STARTING, .place = PLACE_TAKE },
	{ "made with another port", ROW(RUNNING, PROVISIONING), .is_new = true, .container = ENGINE_CREATED, .is_other_spec = true,
	  .action = ACT_REMOVE, .next = INSTANCE_PROVISIONING, .place = PLACE_TAKE },
	{ "started, asked nothing yet", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 11,
	  .action = ACT_NONE, .next = INSTANCE_STARTING, .needs_probe = true },
	{ "started, does not answer yet", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 11, PROBED(DOWN),
	  .action = ACT_NONE, .next = INSTANCE_STARTING },
	{ "started, channels on their way", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 11, PROBED(STARTING),
	  .action = ACT_NONE, .next = INSTANCE_STARTING },
	{ "ready", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 12, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP, .reason = "" },
	{ "a crash before the start was written", ROW(RUNNING, PROVISIONING), .is_new = true, .is_unready = true, RUNS, .now_s = 12, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP },
	{ "not ready in time", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 10 + READY_S, PROBED(DOWN),
	  .action = ACT_STOP, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "not ready within 180 seconds" },
	{ "something else answers, in time", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 11, PROBED(STRANGER),
	  .action = ACT_NONE, .next = INSTANCE_STARTING },
	{ "lives, channels not in time", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 10 + READY_S, PROBED(STARTING),
	  .action = ACT_NONE, .next = INSTANCE_UNHEALTHY, .place = PLACE_DROP },
	{ "bot token refused at the first start", ROW(RUNNING, STARTING), .is_unready = true, RUNS, .now_s = 12, PROBED(BOT_REFUSED),
	  .action = ACT_NONE, .next = INSTANCE_UNHEALTHY, .place = PLACE_DROP },
	{ "a half-removed container is in the way", ROW(RUNNING, STARTING), .container = ENGINE_DEAD,
	  .action = ACT_REMOVE, .next = INSTANCE_STARTING },
	{ "a removal is under way", ROW(RUNNING, STARTING), .container = ENGINE_REMOVING,
	  .action = ACT_NONE, .next = INSTANCE_STARTING },
	{ "a stranger's container has the name", ROW(RUNNING, STARTING), .container = ENGINE_RUNNING, .is_foreign = true,
	  .action = ACT_NONE, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "not the platform's" },

	/* running */
	{ "as it should be", ROW(RUNNING, RUNNING), RUNS, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP, .reason = "" },
	{ "first miss", ROW(RUNNING, RUNNING), RUNS, .now_s = 500, PROBED(DOWN),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING },
	{ "second miss", ROW(RUNNING, RUNNING), .misses = 1, RUNS, .now_s = 500, PROBED(DOWN),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING },
	{ "third miss", ROW(RUNNING, RUNNING), .misses = 2, RUNS, .now_s = 500, PROBED(DOWN),
	  .action = ACT_STOP, .next = INSTANCE_UNHEALTHY, .reason = "does not answer", .is_counted = true },
	{ "a crash before that stop", ROW(RUNNING, UNHEALTHY), .is_backing_off = true, RUNS, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_UNHEALTHY },
	{ "stopped for not answering, too soon to start", ROW(RUNNING, UNHEALTHY), .is_backing_off = true, .container = ENGINE_EXITED, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_UNHEALTHY },
	{ "third miss for the fifth time", ROW(RUNNING, RUNNING), .misses = 2, .restarts = 4, RUNS, .now_s = 500, PROBED(DOWN),
	  .action = ACT_STOP, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "five times", .is_counted = true },
	{ "bot token refused", ROW(RUNNING, RUNNING), RUNS, .now_s = 500, PROBED(BOT_REFUSED),
	  .action = ACT_NONE, .next = INSTANCE_UNHEALTHY, .place = PLACE_DROP, .reason = "refused" },
	{ "polled by someone else", ROW(RUNNING, RUNNING), RUNS, .now_s = 500, PROBED(BOT_CONFLICT),
	  .action = ACT_NONE, .next = INSTANCE_UNHEALTHY, .place = PLACE_DROP },
	{ "Telegram away", ROW(RUNNING, RUNNING), RUNS, .now_s = 500, PROBED(NO_TELEGRAM),
	  .action = ACT_NONE, .next = INSTANCE_UNHEALTHY, .place = PLACE_DROP },
	{ "well again", ROW(RUNNING, UNHEALTHY), RUNS, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP, .reason = "" },
	{ "channels go down for a moment", ROW(RUNNING, RUNNING), RUNS, .now_s = 500, PROBED(STARTING),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING },
	{ "new settings", ROW(RUNNING, RUNNING), .is_config = true, RUNS, .now_s = 500,
	  .action = ACT_CONFIG, .next = INSTANCE_RUNNING },
	{ "new memory, as a person asked", ROW(RUNNING, RUNNING), .is_update = true, RUNS, .is_other_memory = true, .now_s = 500,
	  .action = ACT_RESIZE, .next = INSTANCE_RUNNING },
	{ "restart asked for", ROW(RUNNING, RESTARTING), .is_restart = true, RUNS, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_RESTARTING },
	{ "restart, stopped", ROW(RUNNING, RESTARTING), .is_restart = true, .container = ENGINE_EXITED, .finished_s = 20, .now_s = 500,
	  .action = ACT_START, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE },

	/* by someone else's hand */
	{ "removed", ROW(RUNNING, RUNNING), .container = ENGINE_ABSENT, .now_s = 500,
	  .action = ACT_CREATE, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE, .drift = DRIFT_MISSING },
	{ "removed while unhealthy", ROW(RUNNING, UNHEALTHY), .container = ENGINE_ABSENT, .now_s = 500,
	  .action = ACT_CREATE, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE, .drift = DRIFT_MISSING },
	{ "removed while it is made anew", ROW(RUNNING, RESTARTING), .container = ENGINE_ABSENT, .now_s = 500,
	  .action = ACT_CREATE, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE },
	{ "stopped", ROW(RUNNING, RUNNING), .container = ENGINE_EXITED, .finished_s = 20, .container_exit = 143, .now_s = 500,
	  .action = ACT_START, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE, .drift = DRIFT_STOPPED },
	{ "paused", ROW(RUNNING, RUNNING), .container = ENGINE_PAUSED, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_RESTARTING, .drift = DRIFT_STOPPED },
	{ "paused while starting", ROW(RUNNING, STARTING), .container = ENGINE_PAUSED, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_STARTING },
	{ "of another image", ROW(RUNNING, RUNNING), RUNS, .is_other_spec = true, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE, .drift = DRIFT_CHANGED },
	{ "of another image, stopped for it", ROW(RUNNING, RESTARTING), .container = ENGINE_EXITED, .is_other_spec = true, .now_s = 500,
	  .action = ACT_REMOVE, .next = INSTANCE_RESTARTING, .place = PLACE_TAKE },
	{ "given other memory", ROW(RUNNING, RUNNING), RUNS, .is_other_memory = true, .now_s = 500,
	  .action = ACT_RESIZE, .next = INSTANCE_RUNNING, .drift = DRIFT_CHANGED },
	{ "started while stopped", ROW(STOPPED, STOPPED), RUNS, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_STOPPING, .place = PLACE_DROP, .drift = DRIFT_RUNNING },

	/* troubles of its own */
	{ "crashed, and started by the engine", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 1, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "exit status 1", .is_counted = true },
	{ "crashed, between two tries of the engine", ROW(RUNNING, RUNNING), .container = ENGINE_RESTARTING, .container_exit = 3, .finished_s = 30, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "exit status 3", .is_counted = true },
	{ "that end is accounted for", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .seen_end_s = 9, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP },
	{ "crashed for the fifth time", ROW(RUNNING, RUNNING), .restarts = 4, RUNS, .finished_s = 9, .exit_code = 1, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "five times", .is_counted = true },
	{ "out of memory", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 137, .oom_killed = true, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "ran out of memory", .is_counted = true },
	{ "out of memory, by the event", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 137, .exit_oom = true, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "ran out of memory", .is_counted = true },
	{ "out of memory, and serving again before it was looked at", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 137, .exit_oom = true, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "ran out of memory", .is_counted = true },
	{ "out of memory, while nobody listened", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .oom_killed = true, .engine_restarts = 1, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "ran out of memory", .is_counted = true },
	{ "killed, and the engine does not say why", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 137, .engine_restarts = 1, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "as happens when memory runs out", .is_counted = true },
	{ "killed, between two tries of the engine", ROW(RUNNING, RUNNING), .container = ENGINE_RESTARTING, .container_exit = 137, .finished_s = 30, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "as happens when memory runs out", .is_counted = true },
	{ "killed by whoever restarted it", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 137, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "exit status 137", .is_counted = true },
	{ "lack of memory that a process of its ended by", ROW(RUNNING, RUNNING), RUNS, .exit_oom = true, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP, .reason = "" },
	{ "out of memory once, now something else", ROW(RUNNING, RUNNING), RUNS, .finished_s = 9, .exit_code = 1, .oom_killed = true, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_RESTARTING, .reason = "exit status 1", .is_counted = true },
	{ "config refused, seen between tries", ROW(RUNNING, STARTING), .container = ENGINE_RESTARTING, .container_exit = 78, .finished_s = 30, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "refused its configuration" },
	{ "config refused, told by the event", ROW(RUNNING, STARTING), RUNS, .finished_s = 9, .exit_code = 78, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "refused its configuration" },
	{ "another container's exit status", ROW(RUNNING, RUNNING), RUNS, .exit_code = 78, .now_s = 500, PROBED(READY),
	  .action = ACT_NONE, .next = INSTANCE_RUNNING, .place = PLACE_DROP },

	/* given up on */
	{ "error, and still running", ROW(RUNNING, ERROR), RUNS, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "before" },
	{ "error, at rest", ROW(RUNNING, ERROR), .container = ENGINE_EXITED, .finished_s = 20, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "before" },
	{ "error that passes, not yet", ROW(RUNNING, ERROR), .is_backing_off = true, .container = ENGINE_ABSENT, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_ERROR, .place = PLACE_DROP, .reason = "before" },

	/* stop and delete */
	{ "to be stopped", ROW(STOPPED, STOPPING), RUNS, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_STOPPING, .place = PLACE_DROP },
	{ "to be stopped, between two tries of the engine", ROW(STOPPED, STOPPING), .container = ENGINE_RESTARTING, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_STOPPING, .place = PLACE_DROP },
	{ "stopped", ROW(STOPPED, STOPPING), .container = ENGINE_EXITED, .finished_s = 20, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_STOPPED, .place = PLACE_DROP, .reason = "" },
	{ "stopped, and removed by hand", ROW(STOPPED, STOPPED), .container = ENGINE_ABSENT, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_STOPPED, .place = PLACE_DROP },
	{ "a restart that a stop overtook", ROW(STOPPED, STOPPING), .is_restart = true, .container = ENGINE_EXITED, .finished_s = 20, .now_s = 500,
	  .action = ACT_NONE, .next = INSTANCE_STOPPED, .place = PLACE_DROP },
	{ "to be deleted, runs", ROW(DELETED, DELETING), RUNS, .now_s = 500,
	  .action = ACT_STOP, .next = INSTANCE_DELETING, .place = PLACE_DROP },
	{ "to be deleted, stopped", ROW(DELETED, DELETING), .container = ENGINE_EXITED, .now_s = 500,
	  .action = ACT_REMOVE, .next = INSTANCE_DELETING, .place = PLACE_DROP },
	{ "to be deleted, container gone", ROW(DELETED, DELETING), .container = ENGINE_ABSENT, .now_s = 500,
	  .action = ACT_ERASE, .next = INSTANCE_DELETING, .place = PLACE_DROP },
	{ "to be deleted, a stranger's container has the name", ROW(DELETED, DELETING), .container = ENGINE_RUNNING, .is_foreign = true, .now_s = 500,
	  .action = ACT_ERASE, .next = INSTANCE_DELETING, .place = PLACE_DROP },
};
/* clang-format on */

static struct instance row_of(const struct decide_case *k)
{
	struct instance i = {
		.desired = k->desired,
		.status = k->status,
		.memory_mib = 2048,
		.was_ready = !k->is_new,
		.probe_misses = k->misses,
		.exit_code = k->exit_code ? k->exit_code : -1,
		.exit_oom = k->exit_oom,
		.seen_end_ms = k->seen_end_s ? AT(k->seen_end_s) : 0,
		.ready_run_ms = k->is_unready ? 0 : AT(10),
		.restart_generation = k->is_restart,
		.config_generation = k->is_config ? 2 : 1,
		.applied_config = 1,
		.operation = k->is_update ? INSTANCE_OP_UPDATE : INSTANCE_OP_NONE,
		.retry_at_ms = k->is_backing_off ? AT(k->now_s) + 700 : 0,
		.is_channel_up = true,
	};

	snprintf(i.reason, sizeof(i.reason), "before");
	for (int r = 0; r < k->restarts; r++)
		i.restart_times[r] = AT(k->now_s - 100 + r);
	return i;
}

static struct sight sight_of(const struct decide_case *k)
{
	struct sight s = {
		.container = {
			.item = { .status = k->container, .is_ours = !k->is_foreign },
			.exit_code = k->container_exit,
			.oom_killed = k->oom_killed,
			.restart_count = k->engine_restarts,
			.started_ms = k->started_s ? AT(k->started_s) : 0,
			.finished_ms = k->finished_s ? AT(k->finished_s) : 0,
			.memory_mib = k->is_other_memory ? 512 : 2048,
		},
		.has_probe = k->has_probe,
		.probe = { .verdict = k->verdict, .text = "the bot was refused" },
		.spec = SPEC,
		.now_ms = AT(k->now_s),
		.ready_timeout_ms = READY_S * 1000LL,
	};

	snprintf(s.container.item.spec, sizeof(s.container.item.spec), "%s",
	         k->is_other_spec ? "bbbb" : SPEC);
	return s;
}

static void each_case_has_one_answer(void **state)
{
	(void)state;
	for (size_t n = 0; n < COUNT(cases); n++) {
		const struct decide_case *k = &cases[n];
		const struct instance row = row_of(k);
		const struct sight s = sight_of(k);
		struct decision d;

		print_message("  %s\n", k->what);
		decide(&row, &s, &d);
		assert_string_equal(action_name(d.action), action_name(k->action));
		assert_string_equal(instance_status_name(d.next.status),
		                    instance_status_name(k->next));
		assert_int_equal(d.place, k->place);
		assert_string_equal(drift_name(d.drift), drift_name(k->drift));
		assert_int_equal(d.needs_probe, k->needs_probe);
		assert_int_equal(d.is_restart_counted, k->is_counted);
		if (k->reason && !k->reason[0])
			assert_string_equal(d.next.reason, "");
		else if (k->reason && !strstr(d.next.reason, k->reason))
			fail_msg("'%s' is not in '%s'", k->reason, d.next.reason);
		/* What was told of an end is used up with it, and does not name the next one. */
		if (d.next.status == INSTANCE_RUNNING && k->has_probe && k->verdict == PROBE_READY)
			assert_true(d.next.exit_code < 0 && !d.next.exit_oom);
		/* What is drift is told, and what waits waits for a time. */
		assert_int_equal(d.drift != DRIFT_NONE, d.drift_text != NULL);
		assert_true(d.action != ACT_NONE || d.needs_probe || d.delay_ms > 0);
	}
}

/* Whatever the row and the engine say, an answer keeps to a few laws. */
static void no_combination_breaks_the_laws(void **state)
{
	static const enum engine_status engine[] = { ENGINE_ABSENT,     ENGINE_CREATED,
		                                     ENGINE_RUNNING,    ENGINE_PAUSED,
		                                     ENGINE_RESTARTING, ENGINE_REMOVING,
		                                     ENGINE_EXITED,     ENGINE_DEAD };
	size_t count = 0;

	(void)state;
	for (int desired = 0; desired < INSTANCE_DESIRED_COUNT; desired++)
		for (int status = 0; status < INSTANCE_STATUS_COUNT; status++)
			for (size_t c = 0; c < COUNT(engine) * 16; c++) {
				struct decide_case k = { .desired = (enum instance_desired)desired,
					                 .status = (enum instance_status)status,
					                 .container = engine[c / 16],
					                 .is_restart = c & 1,
					                 .is_other_spec = c & 2,
					                 .is_other_memory = c & 4,
					                 .is_backing_off = c & 8,
					                 .started_s = 10,
					                 .now_s = 500,
					                 .has_probe = true,
					                 .verdict = PROBE_READY };
				const struct instance row = row_of(&k);
				const struct sight s = sight_of(&k);
				struct decision d;

				decide(&row, &s, &d);
				count++;
				/* Only what is to be deleted is erased, and only without a container. */
				assert_true(d.action != ACT_ERASE ||
				            (desired == INSTANCE_WANT_DELETED &&
				             k.container == ENGINE_ABSENT));
				/* Nothing is started that is not wanted, nor without a place. */
				if (d.action == ACT_START || d.action == ACT_CREATE) {
					assert_int_equal(desired, INSTANCE_WANT_RUNNING);
					assert_int_equal(d.place, PLACE_TAKE);
				}
				if (d.action == ACT_CREATE)
					assert_int_equal(k.container, ENGINE_ABSENT);
				/* Nobody's wish is changed. */
				assert_int_equal(d.next.desired, desired);
				assert_int_equal(d.next.restart_generation, row.restart_generation);
				/* A restart that was asked for is counted as had only at rest. */
				if (k.container == ENGINE_RUNNING)
					assert_int_equal(d.next.applied_generation, 0);
			}
	print_message("  %zu combinations\n", count);
}

static void backing_off_doubles(void **state)
{
	static const long long want_ms[] = { 1000, 2000, 4000, 8000 };
	struct instance row;

	(void)state;
	for (int n = 0; n < (int)COUNT(want_ms); n++) {
		struct decide_case k = { .desired = INSTANCE_WANT_RUNNING,
			                 .status = INSTANCE_RUNNING,
			                 .misses = 2,
			                 .restarts = n,
			                 .container = ENGINE_RUNNING,
			                 .started_s = 10,
			                 .now_s = 500,
			                 .has_probe = true,
			                 .verdict = PROBE_DOWN };
		struct sight s = sight_of(&k);
		struct decision d;

		row = row_of(&k);
		decide(&row, &s, &d);
		assert_int_equal(d.next.retry_at_ms - s.now_ms, want_ms[n]);
	}
}

static void restarts_of_long_ago_do_not_count(void **state)
{
	struct decide_case k = { .desired = INSTANCE_WANT_RUNNING,
		                 .status = INSTANCE_RUNNING,
		                 .misses = 2,
		                 .container = ENGINE_RUNNING,
		                 .started_s = 10,
		                 .now_s = 5000,
		                 .has_probe = true,
		                 .verdict = PROBE_DOWN };
	struct instance row = row_of(&k);
	struct sight s = sight_of(&k);
	struct decision d;

	(void)state;
	for (int n = 0; n < INSTANCE_RESTARTS; n++)
		row.restart_times[n] = AT(5000 - 601 - n);
	decide(&row, &s, &d);
	assert_int_equal(d.next.status, INSTANCE_UNHEALTHY);
	assert_int_equal(d.next.restart_times[0], s.now_ms);
	assert_int_equal(d.next.restart_times[1], 0);
}

static void channels_have_a_minute_to_come_back(void **state)
{
	struct decide_case k = { .desired = INSTANCE_WANT_RUNNING,
		                 .status = INSTANCE_RUNNING,
		                 .container = ENGINE_RUNNING,
		                 .started_s = 10,
		                 .now_s = 500,
		                 .has_probe = true,
		                 .verdict = PROBE_STARTING };
	struct instance row = row_of(&k);
	struct sight s = sight_of(&k);
	struct decision d;

	(void)state;
	decide(&row, &s, &d);
	assert_int_equal(d.next.not_ready_since_ms, AT(500));
	row = d.next;
	s.now_ms = AT(559);
	decide(&row, &s, &d);
	assert_int_equal(d.next.status, INSTANCE_RUNNING);
	s.now_ms = AT(561);
	decide(&row, &s, &d);
	assert_int_equal(d.next.status, INSTANCE_UNHEALTHY);
	assert_false(d.next.is_channel_up);
	/* Once they are there, the minute begins anew. */
	s.probe.verdict = PROBE_READY;
	decide(&row, &s, &d);
	assert_int_equal(d.next.not_ready_since_ms, 0);
	assert_true(d.next.is_channel_up);
}

/* clang-format off */
static const struct {
	const char *what;
	enum instance_desired desired;
	enum failure failure;
	enum action failed;
	int restarts;
	enum instance_status next;
	enum action action;
	bool is_tried_again;
} failures[] = {
	{ "the engine is away", INSTANCE_WANT_RUNNING, FAIL_AWAY, ACT_START, 0, INSTANCE_STARTING, ACT_NONE, true },
	{ "the image is missing", INSTANCE_WANT_RUNNING, FAIL_PLATFORM, ACT_CREATE, 0, INSTANCE_ERROR, ACT_NONE, true },
	{ "the settings make no config", INSTANCE_WANT_RUNNING, FAIL_FINAL, ACT_CREATE, 0, INSTANCE_ERROR, ACT_NONE, false },
	{ "the engine refused", INSTANCE_WANT_RUNNING, FAIL_ATTEMPT, ACT_START, 0, INSTANCE_STARTING, ACT_NONE, true },
	{ "the engine refused five times", INSTANCE_WANT_RUNNING, FAIL_ATTEMPT, ACT_START, 4, INSTANCE_ERROR, ACT_NONE, false },
	{ "memory cannot be taken away", INSTANCE_WANT_RUNNING, FAIL_ATTEMPT, ACT_RESIZE, 0, INSTANCE_RESTARTING, ACT_STOP, true },
	{ "a stop failed", INSTANCE_WANT_STOPPED, FAIL_ATTEMPT, ACT_STOP, 4, INSTANCE_STARTING, ACT_NONE, true },
	{ "a delete failed", INSTANCE_WANT_DELETED, FAIL_PLATFORM, ACT_ERASE, 4, INSTANCE_STARTING, ACT_NONE, true },
};
/* clang-format on */

static void a_failed_action_has_one_answer(void **state)
{
	(void)state;
	for (size_t n = 0; n < COUNT(failures); n++) {
		struct decide_case k = { .desired = failures[n].desired,
			                 .status = INSTANCE_STARTING,
			                 .restarts = failures[n].restarts,
			                 .now_s = 500 };
		struct instance row = row_of(&k);
		struct decision d;

		print_message("  %s\n", failures[n].what);
		decide_failed(&row, failures[n].failure, failures[n].failed, "it would not",
		              AT(500), &d);
		assert_string_equal(instance_status_name(d.next.status),
		                    instance_status_name(failures[n].next));
		assert_int_equal(d.action, failures[n].action);
		assert_true(d.action != ACT_NONE || d.delay_ms > 0);
		if (d.next.status == INSTANCE_ERROR)
			assert_int_equal(d.next.retry_at_ms > 0, failures[n].is_tried_again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_has_one_answer),
		cmocka_unit_test(no_combination_breaks_the_laws),
		cmocka_unit_test(backing_off_doubles),
		cmocka_unit_test(restarts_of_long_ago_do_not_count),
		cmocka_unit_test(channels_have_a_minute_to_come_back),
		cmocka_unit_test(a_failed_action_has_one_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
