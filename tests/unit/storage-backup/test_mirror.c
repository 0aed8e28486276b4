/* The mirror: a backup's files as plain objects, step by step, and killed at each of its points. */

#include "vault.h"

#include "engine/mirror.h"

#define THIRD "44444444-4444-4444-8444-444444444444"

static struct mirror_totals forward(const struct vault *v, const char *backup_id,
                                    const char *held_id)
{
	struct mirror_req req = { .place = { USER, INSTANCE, true },
		                  .backup_id = backup_id,
		                  .held_id = held_id };
	struct mirror_totals t = { 0 };
	struct err e = ERR_INIT;

	assert_ok(mirror_forward(v->engine, &req, &t, &e), &e);
	return t;
}

static const char *mirrored(const struct vault *v, const char *path)
{
	return text_of("%s/store/users/" USER "/%s", v->root, path);
}

static bool is_there(const struct vault *v, const char *path)
{
	return access(mirrored(v, path), F_OK) == 0;
}

/* Plain files of a directory, counted; each is the same in the other one. */
static size_t same_files(const char *a, const char *b)
{
	DIR *list = opendir(a);
	const struct dirent *entry;
	size_t count = 0;

	while (list && (entry = readdir(list))) {
		char pa[4400], pb[4400];
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(pa, sizeof(pa), "%s/%s", a, entry->d_name);
		snprintf(pb, sizeof(pb), "%s/%s", b, entry->d_name);
		assert_int_equal(lstat(pa, &st), 0);
		if (S_ISDIR(st.st_mode))
			count += same_files(pa, pb);
		if (S_ISREG(st.st_mode)) {
			same_bytes(pa, pb);
			count++;
		}
	}
	if (list)
		closedir(list);
	return count;
}

static void same_mirror(const struct vault *v, size_t files)
{
	assert_int_equal(same_files(in(v, "workspace"), mirrored(v, "workspace")), files);
	assert_int_equal(same_files(mirrored(v, "workspace"), in(v, "workspace")), files);
}

static void first_state(const struct vault *v)
{
	remove_all(in(v, "workspace"));
	remove_all(in(v, ".openclaw"));
	run((const char *[]){ "mkdir", "-p", in(v, "workspace/sub/deep"), in(v, "workspace/turns"),
	                      in(v, "workspace/empty"), in(v, ".openclaw/state"), NULL });
	put_text(in(v, "workspace/note.md"), "likes tea");
	put_text(in(v, "workspace/nothing"), "");
	put_text(in(v, "workspace/Frühling & \"Sommer\" 100%.md"), "natural");
	put_text(in(v, "workspace/sub/deep/leaf"), "leaf");
	put_text(in(v, "workspace/turns/into a file"), "x");
	put_text(in(v, "workspace/turns-into-a-folder"), "y");
	put_noise(in(v, "workspace/big"), 1, 3 << 20);
	assert_int_equal(symlink("/etc/passwd", in(v, "workspace/link")), 0);
	sql(in(v, ".openclaw/notes.sqlite"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
}

#define FIRST_FILES 7

static void second_state(const struct vault *v)
{
	put_text(in(v, "workspace/note.md"), "likes coffee");
	remove_all(in(v, "workspace/sub"));
	remove_all(in(v, "workspace/turns"));
	put_text(in(v, "workspace/turns"), "a file now");
	remove_all(in(v, "workspace/turns-into-a-folder"));
	assert_int_equal(mkdir(in(v, "workspace/turns-into-a-folder"), 0700), 0);
	put_text(in(v, "workspace/turns-into-a-folder/z"), "z");
	assert_int_equal(chmod(in(v, "workspace/big"), 0600),
	                 0); /* no change of what is mirrored */
}

#define SECOND_FILES 6

static void what_lies_there_is_the_backup(void **state)
{
	const struct vault *v = *state;
	const char *first = new_id(), *second = new_id();
	struct mirror_totals t;

	first_state(v);
	snapshot(v, first, NULL, true);
	t = forward(v, first, NULL);
	assert_int_equal(t.files, FIRST_FILES + 1);
	same_mirror(v, FIRST_FILES);
	assert_true(is_there(v, ".openclaw/notes.sqlite"));
	assert_false(is_there(v, "workspace/link"));
	assert_false(is_there(v, "workspace/empty"));

	/* Only what differs travels, and folders that are empty now are gone. */
	second_state(v);
	snapshot(v, second, first, false);
	t = forward(v, second, first);
	assert_int_equal(t.files, 3);
	assert_int_equal(t.deleted, 3);
	same_mirror(v, SECOND_FILES);
	assert_false(is_there(v, "workspace/sub"));
	t = forward(v, second, second);
	assert_int_equal(t.files + t.deleted, 0);
}

/* It is not known what lies there, or the backup that it was of is gone: all is compared. */
static void strays_go_where_nothing_is_known(void **state)
{
	const struct vault *v = *state;
	const char *first = new_id(), *second = new_id();
	struct mirror_totals t;
	struct err e = ERR_INIT;

	first_state(v);
	snapshot(v, first, NULL, true);
	forward(v, first, NULL);
	second_state(v);
	snapshot(v, second, first, false);
	put_text(mirrored(v, "workspace/stray"), "of nobody");
	put_text(mirrored(v, "workspace/note.md"), "spoilt");
	assert_ok(engine_delete(v->engine, USER, first, &e), &e);
	t = forward(v, second, first);
	assert_int_equal(t.files, SECOND_FILES + 1);
	assert_int_equal(t.deleted, 4);
	same_mirror(v, SECOND_FILES);

	put_text(mirrored(v, "workspace/stray"), "of nobody");
	t = forward(v, second, NULL);
	assert_int_equal(t.deleted, 1);
	same_mirror(v, SECOND_FILES);
}

static const char *const secret_files[] = {
	".openclaw/openclaw.json",
	".openclaw/openclaw.json.last-good",
	".openclaw/openclaw.json.bak",
	".openclaw/state/openclaw.sqlite",
	".openclaw/config-journal-fingerprint.key",
	".openclaw/state/a.key",
	".openclaw/agents/main/agent/auth-profiles.json",
	".openclaw/agents/main/agent/models.json",
	".openclaw/credentials/telegram/x.json",
	".openclaw/identity/device.json",
	".openclaw/devices/paired.json",
	".openclaw/secrets.json",
	".openclaw/exec-approvals.json",
	".openclaw/.env",
	".openclaw/agents/main/agent/my.env",
};

/* A secret is in no object that is plain; what only looks like one in a person's own folder is. */
static void secrets_are_left_out(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id(), *why = NULL;
	struct mirror_totals t;

	first_state(v);
	for (size_t i = 0; i < COUNT(secret_files); i++) {
		char above[512];

		snprintf(above, sizeof(above), "%s", in(v, secret_files[i]));
		*strrchr(above, '/') = 0;
		run((const char *[]){ "mkdir", "-p", above, NULL });
		put_text(in(v, secret_files[i]), "123456:AA-the-secret");
		assert_true(mirror_is_left_out(secret_files[i], &why));
	}
	put_text(in(v, "workspace/openclaw.json"), "one's own");
	put_text(in(v, "workspace/id.key"), "one's own");
	run((const char *[]){ "mkdir", "-p", in(v, ".openclaw/agents/main/sessions"), NULL });
	put_text(in(v, ".openclaw/agents/main/sessions/a.jsonl"), "{}");
	snapshot(v, id, NULL, true);
	t = forward(v, id, NULL);
	assert_int_equal(t.left_out, COUNT(secret_files));
	assert_int_equal(t.unfit, 0);
	assert_true(is_there(v, "workspace/openclaw.json") && is_there(v, "workspace/id.key") &&
	            is_there(v, ".openclaw/agents/main/sessions/a.jsonl"));
	run((const char *[]){ "sh", "-c", text_of("! grep -r the-secret %s/store", v->root),
	                      NULL });
}

/* A name that no key can have is left out and counted, and keeps nothing else from it. */
static void names_that_cannot_be_are_counted(void **state)
{
	const struct vault *v = *state;
	const char *first = new_id(), *second = new_id();
	char deep[1400] = "workspace";
	struct mirror_totals t;

	first_state(v);
	put_text(in(v, "workspace/bad-\xff\xfe-name"), "x");
	put_text(in(v, "workspace/new\nline"), "x");
	for (int i = 0; i < 6; i++)
		snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/%0*d", 200, i);
	run((const char *[]){ "mkdir", "-p", in(v, deep), NULL });
	put_text(text_of("%s/leaf", in(v, deep)), "x");
	snapshot(v, first, NULL, true);
	t = forward(v, first, NULL);
	assert_int_equal(t.unfit, 3);
	assert_int_equal(t.files, FIRST_FILES + 1);
	remove_all(in(v, "workspace/new\nline"));
	put_text(in(v, "workspace/bad-\xff\xfe-name"), "other");
	snapshot(v, second, first, false);
	t = forward(v, second, first);
	assert_int_equal(t.unfit, 2);
	assert_int_equal(t.files + t.deleted, 0);
}

static bool on_found(void *ctx, const char *instance_id)
{
	char *to = ctx;

	snprintf(to + strlen(to), 200 - strlen(to), "%s ", instance_id ? instance_id : "seat");
	return true;
}

static void each_has_a_place_of_its_own(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id();
	struct mirror_req seat = { .place = { USER, INSTANCE, true }, .backup_id = id };
	struct mirror_req own = { .place = { USER, INSTANCE, false }, .backup_id = id };
	struct mirror_totals t;
	struct err e = ERR_INIT;
	char found[200] = "";

	first_state(v);
	snapshot(v, id, NULL, true);
	assert_ok(mirror_forward(v->engine, &seat, &t, &e), &e);
	assert_ok(mirror_forward(v->engine, &own, &t, &e), &e);
	same_mirror(v, FIRST_FILES);
	assert_int_equal(
		same_files(in(v, "workspace"), mirrored(v, "instances/" INSTANCE "/workspace")),
		FIRST_FILES);
	assert_ok(mirror_find(v->engine, USER, on_found, found, &e), &e);
	assert_string_equal(found, "seat " INSTANCE " ");

	assert_ok(mirror_remove(v->engine, &seat.place, NULL, &t, &e), &e);
	assert_int_equal(t.deleted, FIRST_FILES + 1);
	assert_false(is_there(v, "workspace") || is_there(v, ".openclaw"));
	assert_ok(mirror_remove(v->engine, &seat.place, NULL, &t, &e), &e);
	assert_ok(mirror_remove(v->engine, &own.place, NULL, &t, &e), &e);
	assert_false(is_there(v, "instances"));
	*found = 0;
	assert_ok(mirror_find(v->engine, USER, on_found, found, &e), &e);
	assert_string_equal(found, "");
	verify(v, id); /* and the backups are as they were */
}

/* Listings of backups, of what there is to clear, of who there is pass a mirror by; an account's end
 * takes it along. */
static bool on_backup(void *ctx, const struct engine_backup *b)
{
	(void)b;
	++*(int *)ctx;
	return true;
}

static bool on_user(void *ctx, const char *user_id)
{
	assert_string_equal(user_id, USER);
	++*(int *)ctx;
	return true;
}

static void the_rest_of_the_store_is_as_before(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id();
	struct engine_pruned p;
	struct engine_usage u;
	struct err e = ERR_INIT;
	int backups = 0, users = 0;

	first_state(v);
	run((const char *[]){ "mkdir", "-p", in(v, "workspace/chunks"), in(v, "workspace/backups"),
	                      NULL });
	put_text(in(v, "workspace/chunks/00112233445566778899aabbccddeeff"), "no pack");
	put_text(in(v, "workspace/backups/" THIRD ".manifest"), "no manifest");
	snapshot(v, id, NULL, true);
	forward(v, id, NULL);
	assert_ok(engine_backups(v->engine, USER, on_backup, &backups, &e), &e);
	assert_ok(engine_users(v->engine, on_user, &users, &e), &e);
	assert_int_equal(backups, 1);
	assert_int_equal(users, 1);
	assert_ok(engine_usage(v->engine, USER, &u, &e), &e);
	assert_int_equal(u.backups, 1);
	vault_shift_ms = 0;
	assert_ok(engine_prune(v->engine, USER, ENGINE_GRACE_S, NULL, &p, &e), &e);
	vault_shift_ms = 2 * ENGINE_GRACE_S * 1000LL;
	assert_ok(engine_prune(v->engine, USER, ENGINE_GRACE_S, NULL, &p, &e), &e);
	vault_shift_ms = 0;
	same_mirror(v, FIRST_FILES + 2);
	assert_ok(engine_erase_user(v->engine, USER, &e), &e);
	assert_false(access(text_of("%s/store/users", v->root), F_OK) == 0);
}

/* ---- kill -9 ------------------------------------------------------------------------------------- */

static int apart(struct vault *v, const struct mirror_req *req, const char *name, const char *value)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct mirror_totals t;
		struct err e = ERR_INIT;

		setenv(name, value, 1);
		vault_open(v);
		_exit((req->backup_id ? mirror_forward(v->engine, req, &t, &e)
		                      : mirror_remove(v->engine, &req->place, NULL, &t, &e)) == 0
		              ? 0
		              : 1);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static void killed_at_any_point_it_is_mended(void **state)
{
	static const char *const points[] = { "mirror.planned", "mirror.delete", "mirror.put",
		                              "store.dir.written", "store.dir.renamed" };
	struct vault *v = *state;
	const char *first = new_id(), *second = new_id();
	struct mirror_req req = { .place = { USER, INSTANCE, true } };
	char saved[128];

	snprintf(saved, sizeof(saved), "%s/saved", v->root);
	first_state(v);
	snapshot(v, first, NULL, true);
	second_state(v);
	snapshot(v, second, first, false);
	forward(v, first, NULL);
	run((const char *[]){ "cp", "-a", text_of("%s/store/users", v->root), saved, NULL });
	for (size_t i = 0; i < 2 * COUNT(points); i++) {
		const char *point = points[i / 2];
		int status;

		remove_all(text_of("%s/store/users", v->root));
		run((const char *[]){ "cp", "-a", saved, text_of("%s/store/users", v->root),
		                      NULL });
		req.backup_id = second;
		req.held_id = i % 2 ? NULL : first;
		status = apart(v, &req, "ZAKI_FAULT", point);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		forward(v, second, req.held_id);
		same_mirror(v, SECOND_FILES);
		print_message("| mirror %-14s killed at %-20s mended\n",
		              req.held_id ? "by what differs" : "anew", point);
	}
	req.backup_id = NULL;
	assert_true(WIFSIGNALED(apart(v, &req, "ZAKI_FAULT", "mirror.delete")));
	assert_int_equal(apart(v, &req, "ZAKI_NONE", ""), 0);
	assert_false(is_there(v, "workspace") || is_there(v, ".openclaw"));
}

static bool stop(void *ctx, const struct engine_progress *p)
{
	(void)ctx;
	(void)p;
	return false;
}

static void it_stops_when_told_and_errors_name_no_file(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id();
	struct mirror_req req = { .place = { USER, INSTANCE, true },
		                  .backup_id = id,
		                  .watch = { .on_progress = stop } };
	struct mirror_totals t;
	struct err e = ERR_INIT;

	first_state(v);
	snapshot(v, id, NULL, true);
	assert_fails(mirror_forward(v->engine, &req, &t, &e), &e, ERR_CONFLICT);
	e = ERR_INIT;
	req.watch.on_progress = NULL;
	/* In the way, and not to be removed: a store that refuses one object. */
	run((const char *[]){ "mkdir", "-p", mirrored(v, "workspace"), NULL });
	run((const char *[]){ "ln", "-s", "/nowhere", mirrored(v, "workspace/sub"), NULL });
	assert_int_equal(mirror_forward(v->engine, &req, &t, &e), -1);
	assert_null(strstr(e.msg, "leaf"));
	assert_non_null(strstr(e.msg, "a file of a mirror"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vault_setup, vault_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_lies_there_is_the_backup),
		TEST(strays_go_where_nothing_is_known),
		TEST(secrets_are_left_out),
		TEST(names_that_cannot_be_are_counted),
		TEST(each_has_a_place_of_its_own),
		TEST(the_rest_of_the_store_is_as_before),
		TEST(killed_at_any_point_it_is_mended),
		TEST(it_stops_when_told_and_errors_name_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
