/* What is damaged, exchanged or missing is found and named; the store holds nothing to read. */

#include "vault.h"

#include <ftw.h>

static char objects[64][256];
static size_t object_count;

static int on_object(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F && object_count < COUNT(objects))
		snprintf(objects[object_count++], sizeof(objects[0]), "%s", path);
	return 0;
}

static void list_objects(const struct vault *v)
{
	object_count = 0;
	assert_int_equal(nftw(text_of("%s/store", v->root), on_object, 16, FTW_PHYS), 0);
}

static void a_flipped_bit_in_any_object_is_found_and_named(void **state)
{
	const struct vault *v = *state;
	struct engine_ref ref = { USER, INSTANCE, new_id() };
	size_t found = 0;

	put_noise(in(v, "workspace/a"), 1, 9 << 20);
	put_text(in(v, "workspace/b"), "small");
	snapshot(v, ref.backup_id, NULL, true);
	list_objects(v);
	assert_int_equal(object_count, 3);
	for (size_t i = 0; i < object_count; i++) {
		struct stat st;

		assert_int_equal(stat(objects[i], &st), 0);
		for (int k = 0; k <= 24; k++) {
			off_t at = k == 24 ? st.st_size - 1 : k < 8 ? k * 7 : st.st_size / 24 * k;
			struct engine_proof proof;
			struct err e = ERR_INIT;

			flip(objects[i], at);
			assert_int_equal(engine_verify(v->engine, &ref, NULL, &proof, &e), -1);
			if (e.code != ERR_UPSTREAM)
				fail_msg("%s at %ld: %s", objects[i], at, e.msg);
			if (!proof.bad_object[0] || !strstr(objects[i], proof.bad_object))
				fail_msg("%s is named instead of %s", proof.bad_object, objects[i]);
			if (!strstr(e.msg, strrchr(objects[i], '/') + 1))
				fail_msg("not named: %s: %s", objects[i], e.msg);
			flip(objects[i], at);
			found++;
		}
	}
	print_message("  %zu flips in %zu objects found\n", found, object_count);
	verify(v, ref.backup_id);
}

static void what_is_cut_off_or_gone_is_found(void **state)
{
	const struct vault *v = *state;
	struct engine_ref ref = { USER, INSTANCE, new_id() };

	put_noise(in(v, "workspace/a"), 1, 3 << 20);
	snapshot(v, ref.backup_id, NULL, true);
	list_objects(v);
	for (size_t i = 0; i < object_count; i++) {
		struct engine_proof proof;
		struct err e = ERR_INIT;
		const char *away = text_of("%s/away", v->root);

		assert_int_equal(rename(objects[i], away), 0);
		assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_NOT_FOUND);
		assert_true(strstr(objects[i], proof.bad_object) && proof.bad_object[0]);
		run((const char *[]){ "cp", away, objects[i], NULL });
		assert_int_equal(truncate(objects[i], 1000), 0);
		e = ERR_INIT;
		assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_UPSTREAM);
		run((const char *[]){ "sh", "-c",
		                      text_of("cp %s %s; echo >> %s", away, objects[i], objects[i]),
		                      NULL });
		e = ERR_INIT;
		assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_UPSTREAM);
		assert_int_equal(rename(away, objects[i]), 0);
	}
	verify(v, ref.backup_id);
}

static const char *object(const struct vault *v, const char *user, const char *rest)
{
	return text_of("%s/store/users/%s/%s", v->root, user, rest);
}

static void exchanged_manifests_are_refused(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();
	struct engine_ref ref = { USER, NULL, b }, other = { OTHER, NULL, a };
	struct engine_proof proof;
	struct err e = ERR_INIT;

	put_text(in(v, "workspace/a"), "one");
	snapshot(v, a, NULL, true);
	put_text(in(v, "workspace/a"), "two");
	snapshot(v, b, NULL, true);
	run((const char *[]){ "cp", object(v, USER, text_of("backups/%s.manifest", a)),
	                      object(v, USER, text_of("backups/%s.manifest", b)), NULL });
	assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_UPSTREAM);

	/* Another person's: its keys are not theirs. */
	run((const char *[]){ "cp", "-r", text_of("%s/store/users/" USER, v->root),
	                      text_of("%s/store/users/" OTHER, v->root), NULL });
	e = ERR_INIT;
	assert_fails(engine_verify(v->engine, &other, NULL, &proof, &e), &e, ERR_FORBIDDEN);
}

static const char *pack_of(const struct vault *v, const char *user, size_t nth)
{
	list_objects(v);
	for (size_t i = 0; i < object_count; i++)
		if (strstr(objects[i], user) && strstr(objects[i], "/chunks/") && nth-- == 0)
			return text_of("%s", objects[i]);
	fail_msg("no such pack of %s", user);
	return NULL;
}

/* Each is whole, and sealed: but another's, or another backup's. */
static void packs_of_other_people_and_backups_are_refused(void **state)
{
	const struct vault *v = *state;
	struct engine_ref ref = { USER, NULL, new_id() };
	struct engine_snapshot_req other = { .ref = { OTHER, INSTANCE, new_id() },
		                             .is_full = true };
	struct engine_proof proof;
	struct engine_totals t;
	struct err e = ERR_INIT;
	char own[512], away[512];

	put_noise(in(v, "workspace/a"), 1, 1 << 20);
	snapshot(v, ref.backup_id, NULL, true);
	other.dir = dir_of_instance(v);
	assert_ok(engine_snapshot(v->engine, &other, &t, &e), &e);
	snprintf(own, sizeof(own), "%s", pack_of(v, USER, 0));
	snprintf(away, sizeof(away), "%s/away", v->root);
	run((const char *[]){ "cp", own, away, NULL });
	run((const char *[]){ "cp", pack_of(v, OTHER, 0), own, NULL });
	assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_UPSTREAM);
	assert_non_null(strstr(own, proof.bad_object));

	run((const char *[]){ "cp", away, own, NULL });
	verify(v, ref.backup_id);
	put_noise(in(v, "workspace/a"), 2, 1 << 20); /* the same size, in a pack of its own */
	snapshot(v, new_id(), NULL, true);
	run((const char *[]){ "cp", pack_of(v, USER, strcmp(pack_of(v, USER, 0), own) == 0 ? 1 : 0),
	                      own, NULL });
	e = ERR_INIT;
	assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_UPSTREAM);
	assert_non_null(strstr(own, proof.bad_object));
}

static void exchanged_packs_are_refused(void **state)
{
	const struct vault *v = *state;
	struct engine_ref ref = { USER, NULL, new_id() };
	struct engine_proof proof;
	struct err e = ERR_INIT;

	put_noise(in(v, "workspace/a"), 1, 12 << 20);
	snapshot(v, ref.backup_id, NULL, true);
	list_objects(v);
	for (size_t i = 0, first = 64; i < object_count; i++) {
		if (!strstr(objects[i], "/chunks/"))
			continue;
		if (first == 64)
			first = i;
		else
			assert_int_equal(renameat2(AT_FDCWD, objects[first], AT_FDCWD, objects[i],
			                           RENAME_EXCHANGE),
			                 0);
	}
	assert_fails(engine_verify(v->engine, &ref, NULL, &proof, &e), &e, ERR_UPSTREAM);
	assert_non_null(strstr(proof.bad_object, "/chunks/"));
}

static void the_store_shows_nothing_of_what_is_in_it(void **state)
{
	static const char *const known[] = { "likes tea with Grandma", "SECRET-NAME",
		                             "SQLite format", "MEMORY.md", "CREATE TABLE" };
	const struct vault *v = *state;
	struct engine_snapshot_req other = { .ref = { OTHER, INSTANCE, new_id() },
		                             .is_full = true };
	struct engine_totals t;
	struct err e = ERR_INIT;

	put_text(in(v, "workspace/MEMORY.md"), "likes tea with Grandma");
	put_text(in(v, "workspace/SECRET-NAME"), "SECRET-NAME");
	put_noise(in(v, "workspace/photo"), 5, 2 << 20);
	sql(in(v, ".openclaw/a.sqlite"),
	    "CREATE TABLE t(x); INSERT INTO t VALUES('likes tea with Grandma')");
	snapshot(v, new_id(), NULL, true);
	other.dir = dir_of_instance(v);
	assert_ok(engine_snapshot(v->engine, &other, &t, &e), &e);
	assert_int_equal(t.chunks_new, t.chunks);

	list_objects(v);
	for (size_t i = 0; i < object_count; i++) {
		for (size_t k = 0; k < COUNT(known); k++) {
			int status = -1;
			pid_t pid = fork();

			if (pid == 0) {
				execlp("grep", "grep", "-qaF", known[k], objects[i], NULL);
				_exit(2);
			}
			waitpid(pid, &status, 0);
			assert_int_equal(WEXITSTATUS(status), 1);
		}
		/* Nor does any object of one person equal one of the other. */
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(strrchr(objects[i], '/'), strrchr(objects[k], '/'));
	}
}

static void a_wrong_key_is_told_from_damage(void **state)
{
	static const char *const wrong[] = { "ffffffffffffffffffffffffffffffff", NULL };
	static const char *const both[] = { "ffffffffffffffffffffffffffffffff", SECRET, NULL };
	const struct vault *v = *state;
	struct engine_ref ref = { USER, INSTANCE, new_id() };
	struct engine_opt opt = { .storage = v->storage, .secrets = wrong };
	struct engine *en = NULL;
	struct engine_proof proof;
	struct err e = ERR_INIT;

	put_text(in(v, "workspace/a"), "one");
	snapshot(v, ref.backup_id, NULL, true);
	opt.scratch_dir = text_of("%s/scratch", v->root);
	assert_ok(engine_open(&opt, &en, &e), &e);
	assert_fails(engine_verify(en, &ref, NULL, &proof, &e), &e, ERR_FORBIDDEN);
	engine_close(en);
	/* After a change of keys, what was made with the old one still opens. */
	opt.secrets = both;
	e = ERR_INIT;
	assert_ok(engine_open(&opt, &en, &e), &e);
	assert_ok(engine_verify(en, &ref, NULL, &proof, &e), &e);
	engine_close(en);
}

/* ---- prune ---------------------------------------------------------------------------------- */

static struct engine_pruned prune(const struct vault *v)
{
	struct engine_pruned p = { 0 };
	struct err e = ERR_INIT;

	assert_ok(engine_prune(v->engine, USER, ENGINE_GRACE_S, NULL, &p, &e), &e);
	return p;
}

static void chunks_go_only_after_their_grace(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id(), *c = new_id();
	struct engine_pruned p;
	struct engine_totals t;
	struct err e = ERR_INIT;

	put_noise(in(v, "workspace/a"), 1, 3 << 20);
	snapshot(v, a, NULL, true);
	put_noise(in(v, "workspace/a"), 2, 3 << 20);
	snapshot(v, b, NULL, true);
	p = prune(v);
	assert_true(p.packs_live == 2 && p.packs_condemned == 0 && p.packs_deleted == 0);

	assert_ok(engine_delete(v->engine, USER, a, &e), &e);
	p = prune(v);
	assert_true(p.packs_live == 1 && p.packs_condemned == 1 && p.packs_deleted == 0);
	vault_shift_ms = (ENGINE_GRACE_S - 60) * 1000LL;
	p = prune(v);
	assert_true(p.packs_condemned == 1 && p.packs_deleted == 0);

	/* What is old on the list is not relied on any more; yet it is not lost either. */
	put_noise(in(v, "workspace/a"), 1, 3 << 20);
	t = snapshot(v, c, b, false);
	assert_true(t.chunks_new > 0);
	vault_shift_ms = (ENGINE_GRACE_S + 60) * 1000LL;
	p = prune(v);
	assert_true(p.packs_live == 2 && p.packs_deleted == 1 && p.bytes_deleted > 3 << 20);
	verify(v, b);
	verify(v, c);
	p = prune(v);
	assert_true(p.packs_live == 2 && p.packs_condemned == 0 && p.packs_deleted == 0);
}

static void a_pack_that_is_named_again_is_pardoned(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();
	struct engine_pruned p;
	struct engine_totals t;
	struct err e = ERR_INIT;

	put_noise(in(v, "workspace/a"), 1, 3 << 20);
	snapshot(v, a, NULL, true);
	assert_ok(engine_delete(v->engine, USER, a, &e), &e);
	p = prune(v);
	assert_int_equal(p.packs_condemned, 1);
	/* Just condemned: a new backup finds the chunks, and its manifest comes in time. */
	t = snapshot(v, b, NULL, true);
	assert_int_equal(t.chunks_new, 0);
	vault_shift_ms = (ENGINE_GRACE_S + 60) * 1000LL;
	p = prune(v);
	assert_true(p.packs_live == 1 && p.packs_condemned == 0 && p.packs_deleted == 0);
	verify(v, b);
}

static void a_manifest_that_cannot_be_read_stops_prune(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();
	struct engine_pruned p;
	struct err e = ERR_INIT;

	put_noise(in(v, "workspace/a"), 1, 1 << 20);
	snapshot(v, a, NULL, true);
	snapshot(v, b, NULL, true);
	flip(object(v, USER, text_of("backups/%s.manifest", a)), 200);
	assert_fails(engine_prune(v->engine, USER, ENGINE_GRACE_S, NULL, &p, &e), &e, ERR_UPSTREAM);
	e = ERR_INIT;
	assert_fails(engine_prune(v->engine, USER, 60, NULL, &p, &e), &e, ERR_INVALID);
	verify(v, b);
}

static char noted[256];

static void on_note(void *ctx, enum engine_note_kind kind, const char *path)
{
	(void)ctx;
	snprintf(noted, sizeof(noted), "%s", kind == ENGINE_NOTE_BAD_OBJECT ? path : "?");
}

/* Prune begins the list anew, and says which object it was. */
static void a_flipped_list_is_named(const struct vault *v)
{
	const struct engine_watch watch = { .on_note = on_note };
	struct engine_pruned p = { 0 };
	struct err e = ERR_INIT;

	noted[0] = 0;
	assert_ok(engine_prune(v->engine, USER, ENGINE_GRACE_S, &watch, &p, &e), &e);
	assert_string_equal(noted, "users/" USER "/condemned");
	assert_int_equal(p.packs_condemned, 1);
	noted[0] = 0;
	assert_ok(engine_prune(v->engine, USER, ENGINE_GRACE_S, &watch, &p, &e), &e);
	assert_string_equal(noted, "");
}

/* The other kinds of objects: the list of condemned packs, and what is sealed beside backups. */
static void a_flipped_bit_in_a_small_sealed_object_is_found_and_named(void **state)
{
	const struct vault *v = *state;
	const char *a = new_id(), *b = new_id();
	struct err e = ERR_INIT;
	OWN(mem) char *text = NULL;
	size_t found = 0;

	put_noise(in(v, "workspace/a"), 1, 1 << 20);
	snapshot(v, a, NULL, true);
	put_noise(in(v, "workspace/a"), 2, 1 << 20);
	snapshot(v, b, NULL, true);
	assert_ok(engine_delete(v->engine, USER, a, &e), &e);
	assert_int_equal(prune(v).packs_condemned, 1);
	assert_ok(engine_blob_put(v->engine, "tables", "of the platform", 15, &e), &e);
	list_objects(v);
	for (size_t i = 0; i < object_count; i++) {
		bool is_list = strstr(objects[i], "/condemned"),
		     is_blob = strstr(objects[i], "platform/tables");
		struct stat st;

		if (!is_list && !is_blob)
			continue;
		assert_int_equal(stat(objects[i], &st), 0);
		for (off_t at = 0; at < st.st_size; at++, found++) {
			size_t len;

			flip(objects[i], at);
			if (is_list) {
				a_flipped_list_is_named(v);
				continue;
			}
			e = ERR_INIT;
			assert_fails(engine_blob_get(v->engine, "tables", &text, &len, &e), &e,
			             ERR_UPSTREAM);
			assert_non_null(strstr(e.msg, "platform/tables"));
			flip(objects[i], at);
		}
	}
	assert_true(found > 100);
	assert_int_equal(prune(v).packs_condemned, 1);
	verify(v, b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, vault_setup, vault_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_flipped_bit_in_any_object_is_found_and_named),
		TEST(what_is_cut_off_or_gone_is_found),
		TEST(exchanged_manifests_are_refused),
		TEST(exchanged_packs_are_refused),
		TEST(packs_of_other_people_and_backups_are_refused),
		TEST(a_flipped_bit_in_a_small_sealed_object_is_found_and_named),
		TEST(the_store_shows_nothing_of_what_is_in_it),
		TEST(a_wrong_key_is_told_from_damage),
		TEST(chunks_go_only_after_their_grace),
		TEST(a_pack_that_is_named_again_is_pardoned),
		TEST(a_manifest_that_cannot_be_read_stops_prune),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
