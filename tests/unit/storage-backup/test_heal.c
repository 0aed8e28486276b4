/* What was damaged, or sealed under a key that is gone, is made good by the next full backup. */

#include "vault.h"

/* The nth pack of the person's. */
static const char *pack_of(const struct vault *v, size_t nth)
{
	const char *dir = text_of("%s/store/users/" USER "/chunks", v->root);
	struct dirent **list = NULL;
	int count = scandir(dir, &list, NULL, alphasort);
	const char *found = NULL;

	for (int i = 0; i < count; i++) {
		if (list[i]->d_name[0] != '.' && nth-- == 0)
			found = text_of("%s/%s", dir, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	assert_non_null(found);
	return found;
}

static bool verifies(const struct vault *v, const char *id)
{
	struct engine_ref ref = { USER, INSTANCE, id };
	struct engine_proof proof;
	struct err e = ERR_INIT;

	return engine_verify(v->engine, &ref, NULL, &proof, &e) == 0;
}

static bool on_dependent(void *ctx, const char *backup_id)
{
	char *text = ctx;
	size_t len = strlen(text);

	snprintf(text + len, 256 - len, "%s ", backup_id);
	return true;
}

/* The ids of those that need the object, in the store's order. */
static const char *dependents(const struct vault *v, const char *object)
{
	static char text[256];
	struct err e = ERR_INIT;

	text[0] = 0;
	assert_ok(engine_dependents(v->engine, USER, &object, 1, on_dependent, text, &e), &e);
	return text;
}

static void a_full_backup_stores_anew_what_is_damaged(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id(), *c = new_id(), *d = new_id();
	char bad[256];

	put_noise(in(v, "workspace/a"), 1, 20 << 20);
	snapshot(v, a, NULL, true);
	snprintf(bad, sizeof(bad), "%s", pack_of(v, 1));
	assert_string_equal(dependents(v, bad), text_of("%s ", a));
	flip(bad, 5000);
	assert_false(verifies(v, a));
	snapshot(v, b, a, true);
	verify(v, b);
	assert_string_equal(dependents(v, bad), text_of("%s ", a));
	assert_string_equal(dependents(v, "users/" USER "/condemned"), "");
	/* Nor is it leaned on where it lies about without a manifest. */
	snapshot(v, c, NULL, true);
	verify(v, c);
	snapshot(v, d, c, false);
	verify(v, d);
}

/* ---- the list of condemned packs -------------------------------------------------------------- */

static char noted[256];
static int note_count;

static void on_note(void *ctx, enum engine_note_kind kind, const char *path)
{
	(void)ctx;
	if (kind != ENGINE_NOTE_BAD_OBJECT)
		return;
	snprintf(noted, sizeof(noted), "%s", path);
	note_count++;
}

static const struct engine_watch watch = { .on_note = on_note };

static struct engine_pruned prune(const struct engine *en)
{
	struct engine_pruned p = { 0 };
	struct err e = ERR_INIT;

	assert_ok(engine_prune((struct engine *)en, USER, ENGINE_GRACE_S, &watch, &p, &e), &e);
	return p;
}

static struct engine_totals incremental(struct engine *en, const struct vault *v, const char *id,
                                        const char *base)
{
	struct engine_snapshot_req req = { .ref = { USER, INSTANCE, id },
		                           .dir = dir_of_instance(v),
		                           .base_ids = { base },
		                           .watch = watch };
	struct engine_totals t = { 0 };
	struct err e = ERR_INIT;

	assert_ok(engine_snapshot(en, &req, &t, &e), &e);
	return t;
}

/* Two backups, of which the first is deleted and its pack condemned. The answer is the second. */
static const char *with_condemned(const struct vault *v)
{
	const char *a = new_id(), *b = new_id();
	struct err e = ERR_INIT;

	put_noise(in(v, "workspace/a"), 1, 1 << 20);
	snapshot(v, a, NULL, true);
	put_noise(in(v, "workspace/a"), 2, 1 << 20);
	snapshot(v, b, NULL, true);
	assert_ok(engine_delete(v->engine, USER, a, &e), &e);
	assert_int_equal(prune(v->engine).packs_condemned, 1);
	return b;
}

/* Whoever cannot read it relies on nothing that lies there, and the next prune begins it anew. */
static void a_damaged_list_of_the_condemned_stops_nothing(void **state)
{
	const struct vault *v = *state;
	const char *b = with_condemned(v), *c = new_id(), *d = new_id();
	struct engine_pruned p;
	struct engine_totals t;

	vault_shift_ms = (ENGINE_GRACE_S + 60) * 1000LL;
	flip(text_of("%s/store/users/" USER "/condemned", v->root), 60);
	note_count = 0;
	t = incremental(v->engine, v, c, b);
	assert_int_equal(t.chunks_new, t.chunks);
	assert_string_equal(noted, "users/" USER "/condemned");
	/* Its grace is over, but nobody can know that. */
	p = prune(v->engine);
	assert_int_equal(note_count, 2);
	assert_true(p.packs_live == 2 && p.packs_condemned == 1 && p.packs_deleted == 0);
	t = incremental(v->engine, v, d, c);
	assert_int_equal(t.chunks_new, 0);
	assert_int_equal(note_count, 2);
	vault_shift_ms = 2 * (ENGINE_GRACE_S + 60) * 1000LL;
	assert_int_equal(prune(v->engine).packs_deleted, 1);
	verify(v, b);
	verify(v, c);
	verify(v, d);
}

/* ---- keys ------------------------------------------------------------------------------------- */

static struct engine *engine_of(const struct vault *v, const char *const *secrets)
{
	struct engine_opt opt = { .storage = v->storage,
		                  .secrets = secrets,
		                  .workers = 2,
		                  .now_ms = vault_now,
		                  .scratch_dir = text_of("%s/scratch", v->root) };
	struct engine *en = NULL;
	struct err e = ERR_INIT;

	assert_ok(engine_open(&opt, &en, &e), &e);
	return en;
}

static bool count_change(void *ctx, const struct engine_change *c)
{
	(void)c;
	++*(int *)ctx;
	return true;
}

static int changes(struct engine *en, const struct vault *v, const char *id)
{
	int count = 0;
	struct engine_diff_req req = { .ref = { USER, INSTANCE, id },
		                       .with_dir = dir_of_instance(v),
		                       .under = "",
		                       .on_change = count_change,
		                       .ctx = &count };
	struct err e = ERR_INIT;

	assert_ok(engine_diff(en, &req, &e), &e);
	return count;
}

#define NEW_SECRET "fedcba9876543210fedcba9876543210"

/* First both keys, the new one in front; then the new one alone. */
static void a_key_may_be_changed_and_the_old_one_thrown_away(void **state)
{
	static const char *const both[] = { NEW_SECRET, SECRET, NULL }, *const one[] = { NEW_SECRET,
		                                                                         NULL };
	const struct vault *v = *state;
	const char *b = with_condemned(v), *c = new_id(), *d = new_id();
	OWN(engine) struct engine *en = engine_of(v, both);
	OWN(engine) struct engine *after = engine_of(v, one);
	struct engine_ref ref = { USER, INSTANCE, c };
	struct engine_totals t;
	struct engine_proof proof;
	struct engine_pruned p;
	struct err e = ERR_INIT;

	/* What an old key sealed is compared by that key. */
	assert_int_equal(changes(en, v, b), 0);
	put_noise(in(v, "workspace/b"), 3, 100000);
	assert_int_equal(changes(en, v, b), 1);

	t = incremental(en, v, c, b);
	assert_int_equal(t.chunks_new, t.chunks);
	assert_ok(engine_verify(after, &ref, NULL, &proof, &e), &e);
	t = incremental(after, v, d, c); /* the list is still sealed by the old one */
	assert_int_equal(t.files, 2);
	assert_fails(engine_prune(after, USER, ENGINE_GRACE_S, &watch, &p, &e), &e, ERR_FORBIDDEN);
	e = ERR_INIT;
	assert_ok(engine_delete(after, USER, b, &e), &e); /* its time is over */
	prune(after);
	vault_shift_ms = (ENGINE_GRACE_S + 60) * 1000LL;
	assert_true(prune(after).packs_deleted > 0);
	ref.backup_id = d;
	assert_ok(engine_verify(after, &ref, NULL, &proof, &e), &e);
}

/* ---- databases that SQLite does not copy ------------------------------------------------------ */

/* A transaction that its process did not live to end: half of it is in the file, the way back in the journal. */
static void put_hot(const struct vault *v, const char *path)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		sqlite3 *db = NULL;

		if (sqlite3_open(in(v, path), &db) != SQLITE_OK ||
		    sqlite3_exec(db,
		                 "PRAGMA cache_size = 1; PRAGMA cache_spill = 1;"
		                 "CREATE TABLE t(x); INSERT INTO t VALUES('whole');"
		                 "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
		                 " FROM n WHERE i < 2000) INSERT INTO t SELECT hex(randomblob(200))"
		                 " FROM n; UPDATE t SET x = 'half'",
		                 NULL, NULL, NULL) != SQLITE_OK)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_true(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	assert_int_equal(access(in(v, text_of("%s-journal", path)), F_OK), 0);
}

static void holds_what_was_whole(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT group_concat(x) FROM t", -1, &q, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(q, 0), "whole");
	sqlite3_finalize(q);
	sqlite3_close(db);
}

static void a_hot_journal_goes_with_its_database_each_time(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();

	put_hot(v, ".openclaw/a.sqlite");
	vault_shift_ms = 10000; /* the file's times are past for sure */
	snapshot(v, a, NULL, true);
	vault_shift_ms = 20000;
	assert_int_equal(snapshot(v, b, a, false).notes, 1);
	holds_what_was_whole(text_of("%s/.openclaw/a.sqlite", restore(v, a, new_id())));
	holds_what_was_whole(text_of("%s/.openclaw/a.sqlite", restore(v, b, new_id())));
}

static void any_number_of_them_keeps_its_journals(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id();
	char there[256];

	for (int i = 0; i < 150; i++) {
		put_bytes(in(v, text_of("workspace/%d.sqlite", i)),
		          "SQLite format 3\0 and then nonsense", 35, O_TRUNC);
		put_text(in(v, text_of("workspace/%d.sqlite-journal", i)), "the way back");
	}
	assert_int_equal(snapshot(v, a, NULL, true).notes, 150);
	snprintf(there, sizeof(there), "%s", restore(v, a, new_id()));
	for (int i = 0; i < 150; i++)
		assert_int_equal(access(text_of("%s/workspace/%d.sqlite-journal", there, i), F_OK),
		                 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, vault_setup, vault_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_full_backup_stores_anew_what_is_damaged),
		TEST(a_damaged_list_of_the_condemned_stops_nothing),
		TEST(a_key_may_be_changed_and_the_old_one_thrown_away),
		TEST(a_hot_journal_goes_with_its_database_each_time),
		TEST(any_number_of_them_keeps_its_journals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
