/* What a disk may hold, and what may become of it between two backups. */

#include "vault.h"

#include <sys/xattr.h>

/* The tree as it is comes back, and is proven by a drill. */
static void comes_back(const struct vault *v, const char *id)
{
	struct engine_ref ref = { USER, INSTANCE, id };
	struct engine_proof proof;
	struct err e = ERR_INIT;
	char there[256];

	verify(v, id);
	if (engine_drill(v->engine, &ref, NULL, NULL, &proof, &e) < 0)
		fail_msg("not proven: %s", e.msg);
	snprintf(there, sizeof(there), "%s", restore(v, id, new_id()));
	same_tree(in(v, ".openclaw"), text_of("%s/.openclaw", there));
	same_tree(in(v, "workspace"), text_of("%s/workspace", there));
}

static int try_path(const struct vault *v, const char *id, const char *restore_id, const char *path,
                    struct err *e)
{
	char data[128];
	struct engine_restore_req req = { .ref = { USER, NULL, id },
		                          .data_dir = data,
		                          .instance_id = INSTANCE,
		                          .restore_id = restore_id };
	struct engine_totals t;

	*e = ERR_INIT;
	snprintf(data, sizeof(data), "%s/data", v->root);
	return engine_restore_path(v->engine, &req, path, &t, e);
}

static void restore_path(const struct vault *v, const char *id, const char *path)
{
	struct err e;

	assert_ok(try_path(v, id, new_id(), path, &e), &e);
}

static bool is_dir(const struct vault *v, const char *path)
{
	struct stat st;

	return lstat(in(v, path), &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_text(const struct vault *v, const char *path, const char *want)
{
	OWN(fd) int fd = open(in(v, path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[64] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0 && strcmp(text, want) == 0;
}

/* Files, directories and links in each other's places; each is put back over the other, alone. */
static void one_kind_of_thing_takes_anothers_place(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();

	put_text(in(v, "workspace/x"), "a file");
	assert_int_equal(mkdir(in(v, "workspace/y"), 0750), 0);
	put_text(in(v, "workspace/y/below"), "below");
	assert_int_equal(symlink("x", in(v, "workspace/z")), 0);
	snapshot(v, a, NULL, true);

	assert_int_equal(unlink(in(v, "workspace/x")), 0);
	assert_int_equal(mkdir(in(v, "workspace/x"), 0700), 0);
	put_text(in(v, "workspace/x/inside"), "inside");
	remove_all(in(v, "workspace/y"));
	put_text(in(v, "workspace/y"), "a file now");
	assert_int_equal(unlink(in(v, "workspace/z")), 0);
	put_text(in(v, "workspace/z"), "no link");
	snapshot(v, b, a, false);
	comes_back(v, b);

	restore_path(v, a, "workspace/x");
	assert_true(is_text(v, "workspace/x", "a file"));
	restore_path(v, a, "workspace/y");
	assert_true(is_text(v, "workspace/y/below", "below"));
	restore_path(v, a, "workspace/z");
	assert_true(is_text(v, "workspace/x", "a file"));
	restore_path(v, b, "workspace/x");
	assert_true(is_dir(v, "workspace/x") && is_text(v, "workspace/x/inside", "inside"));
	restore_path(v, b, "workspace/y");
	assert_true(is_text(v, "workspace/y", "a file now"));
	restore_path(v, b, "workspace/z");
	assert_true(is_text(v, "workspace/z", "no link"));
	comes_back(v, b);
}

/* What is above a file in the backup is a file, or a link to elsewhere, in the live tree. */
static void what_is_in_the_way_is_named_and_stays(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *restore_id = new_id();
	struct err e;

	assert_int_equal(mkdir(in(v, "workspace/d"), 0750), 0);
	put_text(in(v, "workspace/d/below"), "below");
	snapshot(v, a, NULL, true);
	remove_all(in(v, "workspace/d"));
	put_text(in(v, "workspace/d"), "in the way");
	assert_fails(try_path(v, a, restore_id, "workspace/d/below", &e), &e, ERR_CONFLICT);
	assert_true(is_text(v, "workspace/d", "in the way"));

	assert_int_equal(unlink(in(v, "workspace/d")), 0);
	assert_int_equal(symlink(v->root, in(v, "workspace/d")), 0);
	assert_fails(try_path(v, a, restore_id, "workspace/d/below", &e), &e, ERR_CONFLICT);
	assert_int_equal(access(text_of("%s/below", v->root), F_OK), -1);
	assert_int_equal(access(in(v, text_of(".restore-%s", restore_id)), F_OK), -1);
}

static void hard_links_special_bits_and_lists(void **state)
{
	static const char acl[] = { 2, 0,   0,  0,  1,  0,  7,  0, -1, -1, -1, -1, 2,  0,  4,
		                    0, -24, 3,  0,  0,  4,  0,  4, 0,  -1, -1, -1, -1, 16, 0,
		                    4, 0,   -1, -1, -1, -1, 32, 0, 0,  0,  -1, -1, -1, -1 };
	const struct vault *v = *state;
	const char *a = new_id();
	struct engine_totals t;

	put_noise(in(v, "workspace/one"), 1, 300000);
	assert_int_equal(link(in(v, "workspace/one"), in(v, "workspace/two")), 0);
	put_text(in(v, "workspace/bits"), "#!/bin/sh");
	assert_int_equal(chmod(in(v, "workspace/bits"), 07755), 0);
	assert_int_equal(mkdir(in(v, "workspace/shared"), 0700), 0);
	assert_int_equal(chmod(in(v, "workspace/shared"), 03770), 0);
	put_text(in(v, "workspace/shared/in"), "in");
	assert_int_equal(mkdir(in(v, "workspace/closed"), 0700), 0);
	put_text(in(v, "workspace/closed/in"), "in");
	assert_int_equal(chmod(in(v, "workspace/closed"), 0), 0);
	put_text(in(v, "workspace/list"), "for uid 1000, too");
	setxattr(in(v, "workspace/list"), "system.posix_acl_access", acl, sizeof(acl), 0);
	setxattr(in(v, "workspace/list"), "user.note", "x", 1, 0);
	if (geteuid() == 0)
		assert_int_equal(chown(in(v, "workspace/shared"), 1000, 1001), 0),
			assert_int_equal(chmod(in(v, "workspace/shared"), 03770), 0);
	t = snapshot(v, a, NULL, true);
	assert_true(t.chunks_new < t.chunks); /* of hard links one is stored */
	comes_back(v, a);
}

/* Sockets, pipes and devices are named, all else comes back. */
static void pipes_are_left_out(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id();
	struct engine_totals t;

	put_text(in(v, "workspace/a"), "a");
	assert_int_equal(mkfifo(in(v, "workspace/pipe"), 0600), 0);
	t = snapshot(v, a, NULL, true);
	assert_int_equal(t.notes, 1);
	assert_int_equal(unlink(in(v, "workspace/pipe")), 0);
	old_times(in(v, "workspace"), 1111111111);
	verify(v, a);
}

/* Times of any year that the disk takes, and what another disk makes of them. */
static void times_of_any_year(void **state)
{
	static const long long years[] = { -1,
		                           -2147483648LL,
		                           0,
		                           4102444800LL,
		                           15032385535LL,
		                           253402300800LL,
		                           9007199254740993LL,
		                           9223372036854775807LL };
	const struct vault *v = *state;
	char tmp[] = "/dev/shm/zaki-vault-XXXXXX";
	struct engine_restore_req req = { .ref = { USER, NULL, new_id() } };
	struct engine_snapshot_req make = { .ref = { USER, INSTANCE, req.ref.backup_id },
		                            .is_full = true };
	struct engine_ref ref = { USER, INSTANCE, req.ref.backup_id };
	struct engine_proof proof;
	struct engine_totals t;
	struct err e = ERR_INIT;

	if (!mkdtemp(tmp))
		skip();
	run((const char *[]){ "mkdir", "-p", text_of("%s/workspace/d", tmp), NULL });
	for (size_t i = 0; i < COUNT(years); i++) {
		put_text(text_of("%s/workspace/%zu", tmp, i), "x");
		old_times(text_of("%s/workspace/%zu", tmp, i), years[i]);
	}
	old_times(text_of("%s/workspace/d", tmp), 253402300800LL);
	make.dir = tmp;
	if (engine_snapshot(v->engine, &make, &t, &e) < 0)
		fail_msg("%s", e.msg);
	make.ref.backup_id = new_id();
	make.is_full = false;
	make.base_ids[0] = req.ref.backup_id;
	assert_ok(engine_snapshot(v->engine, &make, &t, &e), &e);
	assert_int_equal(t.files, COUNT(years));
	/* The scratch directory is on another disk, which cannot hold them all. */
	if (engine_drill(v->engine, &ref, NULL, NULL, &proof, &e) < 0)
		fail_msg("not proven: %s", e.msg);
	remove_all(tmp);
}

/* Databases at their worst: what is kept of each can be opened, and says so. */
static void databases_that_are_not_at_rest(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id();
	sqlite3 *locked = NULL;
	char there[256];
	struct engine_totals t;

	put_text(in(v, ".openclaw/empty.sqlite"), "");
	sql(in(v, ".openclaw/locked.sqlite"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
	assert_int_equal(sqlite3_open(in(v, ".openclaw/locked.sqlite"), &locked), SQLITE_OK);
	assert_int_equal(sqlite3_exec(locked, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	t = snapshot(v, a, NULL, true);
	assert_int_equal(t.notes, 1);
	sqlite3_close(locked);
	verify(v, a);
	snprintf(there, sizeof(there), "%s", restore(v, a, new_id()));
	sql(text_of("%s/.openclaw/locked.sqlite", there), "SELECT * FROM t");
	assert_int_equal(access(text_of("%s/.openclaw/empty.sqlite", there), F_OK), 0);
}

static void twice(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_result_int(ctx, 2 * sqlite3_value_int(values[0]));
}

static int by_length(void *ctx, int a_len, const void *a, int b_len, const void *b)
{
	(void)ctx;
	(void)a;
	(void)b;
	return a_len - b_len;
}

static int drill(const struct vault *v, const char *id, struct err *e)
{
	struct engine_ref ref = { USER, INSTANCE, id };
	struct engine_proof proof;

	return engine_drill(v->engine, &ref, NULL, NULL, &proof, e);
}

/* Functions and orders that only its owner's program has are no damage; damage is. */
static void a_database_may_need_its_owners_program(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();
	struct err e = ERR_INIT;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(in(v, "workspace/own.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_create_function(db, "twice", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
	                                         NULL, twice, NULL, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_create_collation(db, "by_length", SQLITE_UTF8, NULL, by_length),
	                 SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db,
	                     "CREATE TABLE \"a \"\"t\"\"\"(x, y TEXT COLLATE by_length);"
	                     "CREATE INDEX i ON \"a \"\"t\"\"\"(twice(x));"
	                     "CREATE INDEX j ON \"a \"\"t\"\"\"(y);"
	                     "CREATE VIRTUAL TABLE words USING fts5(text);"
	                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
	                     " WHERE i < 3000) INSERT INTO \"a \"\"t\"\"\""
	                     " SELECT i, hex(randomblob(20)) FROM n",
	                     NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	snapshot(v, a, NULL, true);
	assert_ok(drill(v, a, &e), &e);

	/* The table's first leaf is overwritten: SQLite copies it as it is. */
	{
		OWN(fd) int fd = open(in(v, "workspace/own.db"), O_WRONLY | O_CLOEXEC);
		char bad[4096];

		memset(bad, 0xee, sizeof(bad));
		for (off_t page = 15; page < 25; page++)
			assert_int_equal(pwrite(fd, bad, sizeof(bad), page * 4096), sizeof(bad));
	}
	snapshot(v, b, NULL, true);
	assert_fails(drill(v, b, &e), &e, ERR_UPSTREAM);
	assert_non_null(strstr(e.msg, "own.db"));
}

static void a_path_of_4000_bytes(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id();
	OWN(fd) int at = open(in(v, "workspace"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[251];
	struct engine_totals t;

	memset(name, 'n', 250);
	name[250] = 0;
	for (size_t len = strlen("workspace"); len + 251 < 4090; len += 251) {
		int next;

		assert_int_equal(mkdirat(at, name, 0700), 0);
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(openat(at, "leaf", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	t = snapshot(v, a, NULL, true);
	assert_int_equal(t.files, 1);
	{
		struct engine_ref ref = { USER, INSTANCE, a };
		struct engine_proof proof;
		struct err e = ERR_INIT;

		assert_ok(engine_drill(v->engine, &ref, NULL, NULL, &proof, &e), &e);
	}
	restore(v, a, new_id());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, vault_setup, vault_teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_kind_of_thing_takes_anothers_place),
		TEST(what_is_in_the_way_is_named_and_stays),
		TEST(hard_links_special_bits_and_lists),
		TEST(pipes_are_left_out),
		TEST(times_of_any_year),
		TEST(databases_that_are_not_at_rest),
		TEST(a_database_may_need_its_owners_program),
		TEST(a_path_of_4000_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
