/* Round trips: what a restore gives is what was there, to the byte, mode and time. */

#include "vault.h"

static void compare(const struct vault *v, const char *id)
{
	const char *there;

	verify(v, id);
	there = restore(v, id, new_id());
	same_tree(in(v, ".openclaw"), text_of("%s/.openclaw", there));
	same_tree(in(v, "workspace"), text_of("%s/workspace", there));
}

static void sizes_from_none_to_64_mib(void **state)
{
	static const size_t sizes[] = { 0,
		                        1,
		                        15,
		                        16,
		                        17,
		                        4096,
		                        (32 << 10) - 1,
		                        32 << 10,
		                        (32 << 10) + 1,
		                        (128 << 10),
		                        (512 << 10) - 1,
		                        512 << 10,
		                        (512 << 10) + 1,
		                        (1 << 20) + 7,
		                        5 << 20,
		                        (8 << 20) - 1,
		                        8 << 20,
		                        (8 << 20) + 1,
		                        64 << 20 };
	const struct vault *v = *state;
	const char *id = new_id();
	struct engine_totals t;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		put_noise(in(v, text_of("workspace/size-%zu", sizes[i])), i, sizes[i]);
		old_times(in(v, text_of("workspace/size-%zu", sizes[i])), 1000000000 + (long)i);
	}
	t = snapshot(v, id, NULL, true);
	assert_int_equal(t.files, COUNT(sizes));
	compare(v, id);

	/* Again, with nothing changed: nothing travels but the manifest. */
	id = new_id();
	t = snapshot(v, id, NULL, true);
	assert_int_equal(t.chunks_new, 0);
	assert_true(t.bytes_stored < 200000);
	compare(v, id);
}

static void names_modes_and_links(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id();
	char deep[1024] = "workspace";

	put_text(in(v, "workspace/with space.md"), "a");
	put_text(in(v, "workspace/\xff\xfe not utf-8"), "b");
	put_text(in(v, "workspace/new\nline"), "c");
	put_text(in(v, "workspace/a"), "d");
	put_text(in(v, "workspace/a.b"), "e");
	assert_int_equal(mkdir(in(v, "workspace/a-dir"), 0711), 0);
	put_text(in(v, "workspace/a-dir/x"), "f");
	put_text(in(v, "workspace/a-dir.md"), "g");
	assert_int_equal(chmod(in(v, "workspace/a"), 04751), 0);
	assert_int_equal(chmod(in(v, "workspace/a.b"), 0), 0);
	assert_int_equal(mkdir(in(v, "workspace/empty"), 01777), 0);
	assert_int_equal(chmod(in(v, "workspace/empty"), 01777), 0);
	assert_int_equal(symlink("/etc/passwd", in(v, "workspace/absolute")), 0);
	assert_int_equal(symlink("nowhere", in(v, "workspace/dangling")), 0);
	assert_int_equal(symlink("a-dir", in(v, "workspace/to-dir")), 0);
	old_times(in(v, "workspace/to-dir"), 1234567890);
	for (int i = 0; i < 200; i++) {
		snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/d");
		assert_int_equal(mkdir(in(v, deep), 0700), 0);
	}
	put_text(in(v, text_of("%s/bottom", deep)), "h");
	old_times(in(v, "workspace/empty"), -5); /* before 1970 */
	old_times(in(v, "workspace"), 1111111111);
	if (geteuid() == 0)
		assert_int_equal(lchown(in(v, "workspace/a-dir"), 1000, 1001), 0);

	snapshot(v, id, NULL, true);
	compare(v, id);
}

static void sparse_files_stay_sparse(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id(), *there;
	OWN(fd) int fd = open(in(v, "workspace/sparse"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct engine_totals t;
	struct stat st;

	assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
	assert_int_equal(pwrite(fd, "middle", 6, 300 << 20), 6);
	assert_int_equal(ftruncate(fd, (600 << 20) + 3), 0);
	t = snapshot(v, id, NULL, true);
	assert_int_equal(t.bytes, (600 << 20) + 3);
	assert_true(t.bytes_stored < 100000);
	verify(v, id);
	there = restore(v, id, new_id());
	same_tree(in(v, "workspace"), text_of("%s/workspace", there));
	assert_int_equal(stat(text_of("%s/workspace/sparse", there), &st), 0);
	assert_true(st.st_blocks * 512 < 1 << 20);
}

/* The tree of a drill that is kept, and what an assistant that was started from it may have done to it. */
static void a_drill_leaves_its_tree_where_it_is_asked_to(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id(), *keep = text_of("%s/trial-%s", v->root, id);
	struct engine_ref ref = { USER, INSTANCE, id };
	struct engine_proof proof;
	struct err e = ERR_INIT;

	snapshot(v, id, NULL, false);
	assert_ok(engine_drill(v->engine, &ref, keep, NULL, &proof, &e), &e);
	assert_int_equal(access(text_of("%s/workspace", keep), F_OK), 0);
	assert_fails(engine_drill(v->engine, &ref, keep, NULL, &proof, &e), &e, ERR_INTERNAL);
	assert_int_equal(symlink(v->root, text_of("%s/workspace/out", keep)), 0);
	assert_int_equal(mkdir(text_of("%s/workspace/closed", keep), 0), 0);
	e = ERR_INIT;
	assert_ok(engine_drill_forget(keep, &e), &e);
	assert_int_equal(access(keep, F_OK), -1);
	assert_int_equal(access(v->root, F_OK), 0);
	assert_ok(engine_drill_forget(keep, &e), &e);
	assert_ok(engine_drill_forget("/nowhere/at/all", &e), &e);
	assert_fails(engine_drill_forget("relative", &e), &e, ERR_INVALID);
}

static void databases_are_whole_while_in_use(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id(), *there;
	struct engine_ref ref = { USER, INSTANCE, id };
	struct engine_proof proof;
	struct err e = ERR_INIT;
	sqlite3 *db = NULL, *copy = NULL;
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_open(in(v, ".openclaw/a.sqlite"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
	                              "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
	                              "CREATE TABLE t(x); INSERT INTO t VALUES('in the log');"
	                              "BEGIN; INSERT INTO t VALUES('not yet')",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	snapshot(v, id, NULL, true);
	verify(v, id);
	assert_ok(engine_drill(v->engine, &ref, NULL, NULL, &proof, &e), &e);
	assert_int_equal(proof.databases, 1);
	sqlite3_close(db);

	there = restore(v, id, new_id());
	assert_int_equal(access(text_of("%s/.openclaw/a.sqlite-wal", there), F_OK), -1);
	assert_int_equal(sqlite3_open(text_of("%s/.openclaw/a.sqlite", there), &copy), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(copy, "SELECT group_concat(x) FROM t", -1, &q, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(q, 0), "in the log");
	sqlite3_finalize(q);
	sqlite3_close(copy);
}

static void what_only_looks_like_a_database_is_kept_as_it_is(void **state)
{
	const struct vault *v = *state;
	const char *id = new_id();

	put_text(in(v, ".openclaw/broken.sqlite"), "SQLite format 3");
	put_bytes(in(v, ".openclaw/broken.sqlite"), "SQLite format 3\0 and then nonsense", 35,
	          O_TRUNC);
	put_text(in(v, ".openclaw/broken.sqlite-wal"), "its log");
	put_text(in(v, ".openclaw/notes-wal"), "no log at all");
	old_times(in(v, ".openclaw"), 1000000000);
	snapshot(v, id, NULL, true);
	/* SQLite made it when it looked at the file. */
	unlink(in(v, ".openclaw/broken.sqlite-shm"));
	old_times(in(v, ".openclaw"), 1000000000);
	compare(v, id);
}

static void an_incremental_one_stores_what_changed(void **state)
{
	const struct vault *v = *state;
	const char *first = new_id(), *second = new_id(), *third = new_id();
	OWN(mem) char *data = malloc(20 << 20);
	struct engine_totals t;

	noise(7, data, 20 << 20);
	put_bytes(in(v, "workspace/media"), data, 20 << 20, O_TRUNC);
	for (int i = 0; i < 300; i++)
		put_text(in(v, text_of("workspace/note-%d.md", i)), text_of("note %d", i));
	snapshot(v, first, NULL, true);

	/* 100 bytes put in front: the cuts find their places again. */
	put_bytes(in(v, "workspace/media"), data, 100, O_TRUNC);
	put_bytes(in(v, "workspace/media"), data, 20 << 20, O_APPEND);
	put_text(in(v, "workspace/note-7.md"), "changed");
	assert_int_equal(unlink(in(v, "workspace/note-8.md")), 0);
	t = snapshot(v, second, first, false);
	assert_int_equal(t.files, 300);
	assert_true(t.chunks_new <= 4);
	assert_true(t.bytes_stored < 1300000);
	compare(v, second);
	verify(v, first);

	/* The first is gone: the second stands on its own. */
	{
		struct err e = ERR_INIT;

		assert_ok(engine_delete(v->engine, USER, first, &e), &e);
	}
	t = snapshot(v, third, second, false);
	assert_int_equal(t.chunks_new, 0);
	compare(v, third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sizes_from_none_to_64_mib, vault_setup,
		                                vault_teardown),
		cmocka_unit_test_setup_teardown(names_modes_and_links, vault_setup, vault_teardown),
		cmocka_unit_test_setup_teardown(sparse_files_stay_sparse, vault_setup,
		                                vault_teardown),
		cmocka_unit_test_setup_teardown(a_drill_leaves_its_tree_where_it_is_asked_to,
		                                vault_setup, vault_teardown),
		cmocka_unit_test_setup_teardown(databases_are_whole_while_in_use, vault_setup,
		                                vault_teardown),
		cmocka_unit_test_setup_teardown(what_only_looks_like_a_database_is_kept_as_it_is,
		                                vault_setup, vault_teardown),
		cmocka_unit_test_setup_teardown(an_incremental_one_stores_what_changed, vault_setup,
		                                vault_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
