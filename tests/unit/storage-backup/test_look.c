/* What is in a backup, one file of it, and what differs. */

#include "vault.h"

struct heard {
	char text[4096];
	size_t count, enough;
};

static bool on_entry(void *ctx, const struct engine_entry *entry)
{
	struct heard *h = ctx;
	size_t len = strlen(h->text);

	snprintf(h->text + len, sizeof(h->text) - len, "%c %s\n", entry->type, entry->path);
	return ++h->count != h->enough;
}

static bool on_change(void *ctx, const struct engine_change *c)
{
	struct heard *h = ctx;
	size_t len = strlen(h->text);

	assert_true((c->before != NULL) == (c->kind != '+'));
	assert_true((c->after != NULL) == (c->kind != '-'));
	snprintf(h->text + len, sizeof(h->text) - len, "%c%s %s\n", c->kind,
	         c->is_content ? "" : "m", (c->after ? c->after : c->before)->path);
	return ++h->count != h->enough;
}

static void a_tree(const struct vault *v)
{
	put_text(in(v, ".openclaw/openclaw.json"), "{}");
	put_text(in(v, "workspace/MEMORY.md"), "likes tea\n");
	assert_int_equal(mkdir(in(v, "workspace/memory"), 0700), 0);
	put_text(in(v, "workspace/memory/a.md"), "a");
	put_text(in(v, "workspace/memory.md"), "m");
	put_noise(in(v, "workspace/photo"), 3, 3 << 20);
	assert_int_equal(symlink("MEMORY.md", in(v, "workspace/link")), 0);
	assert_int_equal(mkdir(in(v, ".openclaw/cache"), 0700), 0);
	put_text(in(v, ".openclaw/cache/ui.js"), "can be made again");
}

static void entries_come_in_order(void **state)
{
	const struct vault *v = *state;
	struct engine_ref ref = { USER, INSTANCE, new_id() };
	struct heard all = { .text = "" }, some = { .text = "" }, first = { .enough = 2 };
	struct err e = ERR_INIT;

	a_tree(v);
	snapshot(v, ref.backup_id, NULL, true);
	assert_ok(engine_list(v->engine, &ref, "", on_entry, &all, &e), &e);
	assert_string_equal(all.text, "d .openclaw\nf .openclaw/openclaw.json\nd workspace\n"
	                              "f workspace/MEMORY.md\nl workspace/link\n"
	                              "d workspace/memory\nf workspace/memory/a.md\n"
	                              "f workspace/memory.md\nf workspace/photo\n");
	assert_ok(engine_list(v->engine, &ref, "workspace/memory", on_entry, &some, &e), &e);
	assert_string_equal(some.text, "d workspace/memory\nf workspace/memory/a.md\n");
	assert_ok(engine_list(v->engine, &ref, "", on_entry, &first, &e), &e);
	assert_int_equal(first.count, 2);
	ref.instance_id = OTHER;
	assert_fails(engine_list(v->engine, &ref, "", on_entry, &all, &e), &e, ERR_NOT_FOUND);
}

static void a_file_is_read_within_its_limit(void **state)
{
	const struct vault *v = *state;
	struct engine_ref ref = { USER, NULL, new_id() };
	struct err e = ERR_INIT;
	OWN(mem) char *text = NULL;
	OWN(mem) char *photo = NULL;
	OWN(mem) char *want = malloc(3 << 20);
	size_t len = 0;

	a_tree(v);
	snapshot(v, ref.backup_id, NULL, true);
	assert_ok(engine_read(v->engine, &ref, "workspace/MEMORY.md", 100, &text, &len, &e), &e);
	assert_string_equal(text, "likes tea\n");
	assert_ok(engine_read(v->engine, &ref, "workspace/photo", 3 << 20, &photo, &len, &e), &e);
	noise(3, want, 3 << 20);
	assert_int_equal(len, 3 << 20);
	assert_memory_equal(photo, want, len);
	assert_fails(
		engine_read(v->engine, &ref, "workspace/photo", (3 << 20) - 1, &photo, &len, &e),
		&e, ERR_TOO_LARGE);
	assert_fails(engine_read(v->engine, &ref, "workspace/none", 9, &photo, &len, &e), &e,
	             ERR_NOT_FOUND);
	assert_fails(engine_read(v->engine, &ref, "workspace/memory", 9, &photo, &len, &e), &e,
	             ERR_NOT_FOUND);
	assert_fails(
		engine_read(v->engine, &ref, "workspace/../../etc/passwd", 9, &photo, &len, &e), &e,
		ERR_INVALID);
}

static void a_difference_is_named(void **state)
{
	static const char want[] = "- workspace/MEMORY.md\n~ workspace/link\n"
				   "~m workspace/memory/a.md\n+ workspace/new\n~ workspace/photo\n";
	const struct vault *v = *state;
	struct engine_ref ref = { USER, INSTANCE, new_id() };
	struct engine_diff_req req = { .ref = ref, .under = "", .on_change = on_change };
	struct heard live = { .text = "" }, backups = { .text = "" }, same = { .text = "" },
		     one = { .text = "" };
	struct err e = ERR_INIT;
	const char *later = new_id();

	a_tree(v);
	snapshot(v, ref.backup_id, NULL, true);
	assert_int_equal(unlink(in(v, "workspace/MEMORY.md")), 0);
	assert_int_equal(chmod(in(v, "workspace/memory/a.md"), 0600), 0);
	put_text(in(v, "workspace/new"), "new");
	put_bytes(in(v, "workspace/photo"), "x", 1, 0); /* the same length */
	assert_int_equal(unlink(in(v, "workspace/link")), 0);
	put_text(in(v, "workspace/link"), "now a file");
	put_text(in(v, "workspace/memory.md"), "m"); /* only its time */

	req.with_dir = dir_of_instance(v);
	req.ctx = &live;
	assert_ok(engine_diff(v->engine, &req, &e), &e);
	assert_string_equal(live.text, want);

	snapshot(v, later, ref.backup_id, false);
	req.with_dir = NULL;
	req.with_backup_id = later;
	req.ctx = &backups;
	assert_ok(engine_diff(v->engine, &req, &e), &e);
	assert_string_equal(backups.text, want);

	req.with_backup_id = ref.backup_id;
	req.ctx = &same;
	assert_ok(engine_diff(v->engine, &req, &e), &e);
	assert_string_equal(same.text, "");

	req.with_backup_id = NULL;
	req.with_dir = dir_of_instance(v);
	req.under = "workspace/new";
	req.ctx = &one;
	assert_ok(engine_diff(v->engine, &req, &e), &e);
	assert_string_equal(one.text, "+ workspace/new\n");
}

static bool on_user(void *ctx, const char *user_id)
{
	struct heard *h = ctx;

	h->count++;
	assert_string_equal(user_id, USER);
	return true;
}

static bool on_backup(void *ctx, const struct engine_backup *b)
{
	struct heard *h = ctx;

	h->count++;
	assert_string_equal(b->instance_id, INSTANCE);
	assert_true(b->totals.files == 5 && b->created_ms > 0);
	return true;
}

static void the_store_says_who_has_what(void **state)
{
	const struct vault *v = *state;
	struct heard users = { .text = "" }, backups = { .text = "" };
	struct engine_usage usage;
	const char *id = new_id();
	struct err e = ERR_INIT;

	a_tree(v);
	snapshot(v, new_id(), NULL, true);
	snapshot(v, id, NULL, false);
	assert_ok(engine_users(v->engine, on_user, &users, &e), &e);
	assert_int_equal(users.count, 1);
	assert_ok(engine_backups(v->engine, USER, on_backup, &backups, &e), &e);
	assert_int_equal(backups.count, 2);
	assert_ok(engine_usage(v->engine, USER, &usage, &e), &e);
	assert_true(usage.backups == 2 && usage.objects == 3 && usage.bytes > 3 << 20);
	assert_ok(engine_delete(v->engine, USER, id, &e), &e);
	assert_ok(engine_delete(v->engine, USER, id, &e), &e);
	assert_ok(engine_erase_user(v->engine, USER, &e), &e);
	assert_ok(engine_usage(v->engine, USER, &usage, &e), &e);
	assert_int_equal(usage.objects, 0);
}

static void a_blob_is_bound_to_its_name(void **state)
{
	const struct vault *v = *state;
	struct err e = ERR_INIT;
	OWN(mem) char *text = NULL;
	size_t len = 0;

	assert_ok(engine_blob_put(v->engine, "dump-1", "rows", 4, &e), &e);
	assert_ok(engine_blob_put(v->engine, "dump-2", "", 0, &e), &e);
	assert_ok(engine_blob_get(v->engine, "dump-1", &text, &len, &e), &e);
	assert_string_equal(text, "rows");
	assert_int_equal(rename(text_of("%s/store/platform/dump-1", v->root),
	                        text_of("%s/store/platform/dump-2", v->root)),
	                 0);
	assert_fails(engine_blob_get(v->engine, "dump-2", &text, &len, &e), &e, ERR_UPSTREAM);
	assert_fails(engine_blob_get(v->engine, "dump-1", &text, &len, &e), &e, ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, vault_setup, vault_teardown)
	const struct CMUnitTest tests[] = {
		TEST(entries_come_in_order),       TEST(a_file_is_read_within_its_limit),
		TEST(a_difference_is_named),       TEST(the_store_says_who_has_what),
		TEST(a_blob_is_bound_to_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
