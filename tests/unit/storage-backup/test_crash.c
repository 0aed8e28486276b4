/*
 * kill -9 at each step of backup, restore and prune, and disks that are full. Afterwards: every
 * backup that is listed verifies, the instance's files are the old or the new ones, and the same call
 * made again succeeds. Prints the steps and how often each was hit.
 */

#include "vault.h"

#include <sys/resource.h>

/* A scene: two backups, the files now differ from both. */
struct scene {
	struct vault *v;
	char first[UUID_SIZE], second[UUID_SIZE], restore_id[UUID_SIZE], data[128];
	struct engine_watch watch;
};

static int step_snapshot(struct scene *s, struct err *e)
{
	struct engine_snapshot_req req = { .ref = { USER, INSTANCE, s->second },
		                           .dir = dir_of_instance(s->v),
		                           .base_ids = { s->first },
		                           .watch = s->watch };
	struct engine_totals t;

	return engine_snapshot(s->v->engine, &req, &t, e);
}

static int step_restore(struct scene *s, struct err *e)
{
	struct engine_restore_req req = { .ref = { USER, INSTANCE, s->first },
		                          .data_dir = s->data,
		                          .instance_id = INSTANCE,
		                          .restore_id = s->restore_id,
		                          .watch = s->watch };
	struct engine_totals t;
	bool is_done;

	if (engine_restore_fetch(s->v->engine, &req, &t, e) < 0 ||
	    engine_restore_swap(s->v->engine, &req, &is_done, e) < 0)
		return -1;
	return engine_restore_clean(s->v->engine, &req, e);
}

static int step_restore_path(struct scene *s, struct err *e)
{
	struct engine_restore_req req = { .ref = { USER, INSTANCE, s->first },
		                          .data_dir = s->data,
		                          .instance_id = INSTANCE,
		                          .restore_id = s->restore_id,
		                          .watch = s->watch };
	struct engine_totals t;

	return engine_restore_path(s->v->engine, &req, "workspace/note.md", &t, e);
}

static int step_prune(struct scene *s, struct err *e)
{
	struct engine_pruned p;

	if (engine_delete(s->v->engine, USER, s->second, e) < 0 ||
	    engine_prune(s->v->engine, USER, ENGINE_GRACE_S, &s->watch, &p, e) < 0)
		return -1;
	vault_shift_ms = 2 * ENGINE_GRACE_S * 1000LL;
	return engine_prune(s->v->engine, USER, ENGINE_GRACE_S, &s->watch, &p, e);
}

static int step_drill(struct scene *s, struct err *e)
{
	struct engine_ref ref = { USER, INSTANCE, s->first };
	struct engine_proof proof;

	return engine_drill(s->v->engine, &ref, NULL, &s->watch, &proof, e);
}

static const struct {
	const char *name;
	int (*run)(struct scene *s, struct err *e);
	bool needs_second;
} steps[] = {
	{ "snapshot", step_snapshot, false },
	{ "restore", step_restore, false },
	{ "restore_path", step_restore_path, false },
	{ "prune", step_prune, true },
	{ "drill", step_drill, false },
};

static void scene_make(struct scene *s, struct vault *v, bool needs_second)
{
	s->v = v;
	s->watch = (struct engine_watch){ 0 };
	vault_shift_ms = 0;
	uuid_make(s->first);
	uuid_make(s->second);
	uuid_make(s->restore_id);
	snprintf(s->data, sizeof(s->data), "%s/data", v->root);
	remove_all(text_of("%s/store/users", v->root));
	remove_all(dir_of_instance(v));
	run((const char *[]){ "mkdir", "-p", in(v, ".openclaw"), in(v, "workspace"), NULL });
	put_text(in(v, "workspace/note.md"), "old");
	put_noise(in(v, "workspace/photo"), 1, 9 << 20);
	sql(in(v, ".openclaw/a.sqlite"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
	snapshot(v, s->first, NULL, true);
	put_text(in(v, "workspace/note.md"), "new");
	put_noise(in(v, "workspace/photo"), 2, 9 << 20);
	if (needs_second)
		snapshot(v, s->second, s->first, false);
}

static bool on_listed(void *ctx, const struct engine_backup *b)
{
	const struct vault *v = ctx;

	assert_string_equal(b->instance_id, INSTANCE);
	verify(v, b->backup_id);
	return true;
}

static bool content_is(const char *path, const char *want)
{
	char text[16] = "";
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0 && strcmp(text, want) == 0;
}

/* Old or new as a whole: the note and the photo's first byte belong together. */
static void check_promises(struct scene *s, const char *what, const char *where)
{
	const struct vault *v = s->v;
	unsigned char want_old, want_new, is = 0;
	OWN(fd) int fd = open(in(v, "workspace/photo"), O_RDONLY | O_CLOEXEC);
	struct err e = ERR_INIT;

	assert_ok(engine_backups(v->engine, USER, on_listed, (void *)v, &e), &e);
	noise(1, &want_old, 1);
	noise(2, &want_new, 1);
	if (read(fd, &is, 1) != 1)
		fail_msg("%s at %s: no photo", what, where);
	if (strcmp(what, "restore_path") == 0)
		assert_true(is == want_new && (content_is(in(v, "workspace/note.md"), "old") ||
		                               content_is(in(v, "workspace/note.md"), "new")));
	else if (!(is == want_old && content_is(in(v, "workspace/note.md"), "old")) &&
	         !(is == want_new && content_is(in(v, "workspace/note.md"), "new")))
		fail_msg("%s at %s: half of each", what, where);
}

/* In a process of its own, with the environment's fault. */
static int run_apart(struct scene *s, size_t step, const char *name, const char *value)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct err e = ERR_INIT;

		setenv(name, value, 1);
		vault_open(s->v);
		_exit(steps[step].run(s, &e) == 0 ? 0 : 1);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static size_t points_of(const char *path, char names[32][64])
{
	FILE *f = fopen(path, "r");
	size_t count = 0;
	char line[64];

	while (f && fgets(line, sizeof(line), f)) {
		bool is_known = false;

		line[strcspn(line, "\n")] = 0;
		for (size_t i = 0; i < count; i++)
			is_known |= strcmp(names[i], line) == 0;
		if (!is_known && count < 32)
			snprintf(names[count++], sizeof(names[0]), "%s", line);
	}
	if (f)
		fclose(f);
	return count;
}

static void a_kill_at_any_point_loses_nothing(void **state)
{
	struct vault *v = *state;
	struct scene s;

	for (size_t i = 0; i < COUNT(steps); i++) {
		char names[32][64], trace[128];
		size_t count;

		snprintf(trace, sizeof(trace), "%s/trace-%zu", v->root, i);
		scene_make(&s, v, steps[i].needs_second);
		assert_int_equal(run_apart(&s, i, "ZAKI_FAULT_TRACE", trace), 0);
		check_promises(&s, steps[i].name, "end");
		count = points_of(trace, names);
		assert_true(count > 2);
		for (size_t k = 0; k < count; k++) {
			struct err e = ERR_INIT;
			int status;

			scene_make(&s, v, steps[i].needs_second);
			status = run_apart(&s, i, "ZAKI_FAULT", names[k]);
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			check_promises(&s, steps[i].name, names[k]);
			assert_ok(steps[i].run(&s, &e), &e);
			check_promises(&s, steps[i].name, "repeated");
			print_message("| %-14s killed at %-24s nothing lost, repeated well\n",
			              steps[i].name, names[k]);
		}
	}
}

static size_t count_below(const char *dir, const char *pattern)
{
	char line[4096];
	size_t count = 0;
	FILE *f;

	run((const char *[]){
		"sh", "-c",
		text_of("find %s -name '%s' > %s.list 2>/dev/null || true", dir, pattern, dir),
		NULL });
	f = fopen(text_of("%s.list", dir), "r");
	while (f && fgets(line, sizeof(line), f))
		count++;
	if (f)
		fclose(f);
	return count;
}

/* A file-size limit is a disk that is full as soon as anything longer is written. */
static void a_full_disk_is_named_and_loses_nothing(void **state)
{
	static const rlim_t limits[] = { 0, 100, 70000, 2 << 20 };
	struct vault *v = *state;
	struct scene s;

	for (size_t i = 0; i < COUNT(steps); i++) {
		for (size_t k = 0; k < COUNT(limits); k++) {
			struct err e = ERR_INIT;
			int status = -1;
			pid_t pid;

			scene_make(&s, v, steps[i].needs_second);
			pid = fork();
			if (pid == 0) {
				struct rlimit limit = { limits[k], limits[k] };

				signal(SIGXFSZ, SIG_IGN);
				setrlimit(RLIMIT_FSIZE, &limit);
				status = steps[i].run(&s, &e);
				_exit(status == 0 ? 0 : e.code == ERR_QUOTA ? 1 : 2);
			}
			waitpid(pid, &status, 0);
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
			check_promises(&s, steps[i].name, "full disk");
			/* What did not fit does not keep the disk full. */
			assert_int_equal(count_below(s.data, "*restore-*"), 0);
			e = ERR_INIT;
			assert_ok(steps[i].run(&s, &e), &e);
			print_message("| %-14s files end at %7lu bytes: %s\n", steps[i].name,
			              (unsigned long)limits[k],
			              WEXITSTATUS(status) ? "QUOTA_EXCEEDED, nothing lost"
			                                  : "fits");
		}
	}
}

/* ---- told to stop ---------------------------------------------------------------------------- */

struct stop {
	int passes, at;
};

static bool go_on(void *ctx, const struct engine_progress *p)
{
	struct stop *stop = ctx;

	(void)p;
	return ++stop->passes != stop->at;
}

/* What the service does with a restore that it gives up. */
static void abandon(struct scene *s)
{
	struct engine_restore_req req = { .ref = { USER, INSTANCE, s->first },
		                          .data_dir = s->data,
		                          .instance_id = INSTANCE,
		                          .restore_id = s->restore_id };
	struct err e = ERR_INIT;

	assert_ok(engine_restore_clean(s->v->engine, &req, &e), &e);
}

/* As by a SIGTERM of the service, or a lease that is lost: at each place where it asks. */
static void a_stop_at_any_place_leaves_nothing_half(void **state)
{
	struct vault *v = *state;
	struct scene s;

	for (size_t i = 0; i < COUNT(steps); i++) {
		struct stop stop = { .at = 0 };
		int stopped = 0;

		do {
			struct err e = ERR_INIT;
			int r;

			scene_make(&s, v, steps[i].needs_second);
			stop = (struct stop){ .at = stop.at + 1 };
			s.watch = (struct engine_watch){ .on_progress = go_on, .ctx = &stop };
			r = steps[i].run(&s, &e);
			if (stop.passes < stop.at) {
				assert_ok(r, &e); /* never asked so often: all places were tried */
				break;
			}
			assert_fails(r, &e, ERR_CONFLICT);
			stopped++;
			check_promises(&s, steps[i].name, "stopped");
			assert_int_equal(count_below(text_of("%s/scratch", v->root), "?*") <= 1, 1);
			abandon(&s);
			assert_int_equal(count_below(s.data, "*restore-*"), 0);
			s.watch = (struct engine_watch){ 0 };
			e = ERR_INIT;
			assert_ok(steps[i].run(&s, &e), &e);
			check_promises(&s, steps[i].name, "repeated");
		} while (stop.at < 6); /* the rest are the same loops, at other objects */
		assert_true(stopped > 0);
		print_message("| %-14s stopped at %d places: nothing half, repeated well\n",
		              steps[i].name, stopped);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kill_at_any_point_loses_nothing, vault_setup,
		                                vault_teardown),
		cmocka_unit_test_setup_teardown(a_stop_at_any_place_leaves_nothing_half,
		                                vault_setup, vault_teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_is_named_and_loses_nothing, vault_setup,
		                                vault_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
