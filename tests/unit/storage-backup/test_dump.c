/* Dumps of the platform as they lie in the store: heads, parts, what is left of those that were cut off. */

#include "vault.h"

#include "dump/dump.h"

#include <sodium.h>

#define ID    "20261128T063000Z-0123456789abcdef"
#define LATER "20261129T063000Z-0123456789abcdef"

static void fill(struct dump_head *h)
{
	struct dump_part part = { .table = "users", .rows = 2, .len = 300, .hash = { 1, 2 } };
	struct err e = ERR_INIT;

	*h = (struct dump_head){ .created_ms = 1795847400123,
		                 .schemas = { { "auth", 5 }, { "storage-backup", 2 } },
		                 .schema_count = 2 };
	for (int i = 0; i < 70; i++) {
		part.rows = (uint64_t)i;
		assert_int_equal(dump_head_add(h, &part, &e), 0);
	}
}

static void a_head_is_read_as_it_was_written(void **state)
{
	OWN(dump_head) struct dump_head h = { 0 }, again = { 0 };
	OWN(mem) unsigned char *text = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;

	(void)state;
	fill(&h);
	assert_int_equal(dump_head_encode(&h, &text, &len, &e), 0);
	assert_int_equal(dump_head_decode(text, len, &again, &e), 0);
	assert_true(again.created_ms == h.created_ms);
	assert_int_equal(again.schema_count, 2);
	assert_string_equal(again.schemas[1].service, "storage-backup");
	assert_int_equal(again.schemas[1].version, 2);
	assert_int_equal(again.part_count, 70);
	assert_memory_equal(again.parts, h.parts, 70 * sizeof(*h.parts));
}

/* As docs/BACKUP_FORMAT.md has it. */
static void the_vector_of_the_page(void **state)
{
	static const char vector[] =
		"01bbd5e286a2340104617574680501057573657273010a0dfa347072b7f0a4bc"
		"9057ebdf9944578c61d469d98950d326329f75e3e4b133";
	struct dump_head h = { .created_ms = 1795847400123,
		               .schemas = { { "auth", 5 } },
		               .schema_count = 1 };
	struct dump_part part = { .table = "users", .rows = 1, .len = 10 };
	OWN(mem) unsigned char *text = NULL;
	struct err e = ERR_INIT;
	char hex[sizeof(vector)];
	size_t len = 0;

	(void)state;
	crypto_generichash(part.hash, 32, (const unsigned char *)"[{\"id\":1}]", 10, NULL, 0);
	assert_int_equal(dump_head_add(&h, &part, &e), 0);
	assert_int_equal(dump_head_encode(&h, &text, &len, &e), 0);
	dump_head_done(&h);
	assert_int_equal(2 * len, strlen(vector));
	assert_string_equal(sodium_bin2hex(hex, sizeof(hex), text, len), vector);
}

static void a_head_that_is_cut_off_or_longer_is_refused(void **state)
{
	OWN(dump_head) struct dump_head h = { 0 };
	OWN(mem) unsigned char *text = NULL;
	size_t len = 0;
	struct err e = ERR_INIT;

	(void)state;
	fill(&h);
	assert_int_equal(dump_head_encode(&h, &text, &len, &e), 0);
	for (size_t i = 0; i < len; i++) {
		struct dump_head none = { 0 };

		assert_int_equal(dump_head_decode(text, i, &none, &e), -1);
		assert_int_equal(e.code, ERR_UPSTREAM);
		assert_null(none.parts);
	}
	text[0] = 2;
	assert_int_equal(dump_head_decode(text, len, &h, &e), -1);
	assert_non_null(strstr(e.msg, "format is 2"));
}

/* version 1, time 0, no schema, one part of the name. */
static int decode_named(const char *name, size_t name_len)
{
	unsigned char text[128] = { 1, 0, 0, 1, (unsigned char)name_len };
	OWN(dump_head) struct dump_head h = { 0 };
	struct err e = ERR_INIT;

	memcpy(text + 5, name, name_len);
	return dump_head_decode(text, 5 + name_len + 2 + 32, &h, &e);
}

static void names_of_tables_are_names(void **state)
{
	static const char *const bad[] = { "",     "Users", "users;",  "us ers",
		                           "../x", "a\"b",  "\xc3\xa4" };

	(void)state;
	assert_int_equal(decode_named("users", 5), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(decode_named(bad[i], strlen(bad[i])), -1);
	assert_int_equal(decode_named("us\0rs", 5), -1);
}

static void ids_begin_with_their_time(void **state)
{
	static const char *const bad[] = { "",
		                           "20261128T063000Z",
		                           "20261128T063000Z-0123456789abcdeF",
		                           "20261128T063000Z-0123456789abcdef0",
		                           "20261128 063000Z-0123456789abcdef",
		                           "../61128T063000Z-0123456789abcdef" };
	char id[DUMP_ID_SIZE], other[DUMP_ID_SIZE];

	(void)state;
	dump_id_make(1795847400123, id);
	assert_int_equal(strncmp(id, "20261128T063000Z-", 17), 0);
	assert_true(dump_id_is_valid(id));
	dump_id_make(1795847400123, other);
	assert_string_not_equal(id, other);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(dump_id_is_valid(bad[i]));
}

/* A dump of two parts, as dump_make() leaves it. */
static void put_dump(const struct vault *v, const char *id, bool is_whole)
{
	static const char *const texts[] = { "[{\"id\":1}]", "[{\"id\":2},{\"id\":3}]" };
	OWN(dump_head) struct dump_head h = { .created_ms = 1 };
	OWN(mem) unsigned char *text = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct dump_part part = { .table = "users",
			                  .rows = i + 1,
			                  .len = strlen(texts[i]) };

		crypto_generichash(part.hash, 32, (const unsigned char *)texts[i], part.len, NULL,
		                   0);
		assert_int_equal(engine_blob_put(v->engine, text_of("dumps/%s/%06zu", id, i),
		                                 texts[i], part.len, &e),
		                 0);
		assert_int_equal(dump_head_add(&h, &part, &e), 0);
	}
	assert_int_equal(dump_head_encode(&h, &text, &len, &e), 0);
	if (is_whole)
		assert_int_equal(
			engine_blob_put(v->engine, text_of("dumps/%s/head", id), text, len, &e), 0);
}

static void a_dump_is_there_once_its_head_is(void **state)
{
	const struct vault *v = *state;
	OWN(dump_list) struct dump_list l = { 0 };
	struct dump_totals t = { 0 };
	struct err e = ERR_INIT;

	put_dump(v, LATER, false);
	put_dump(v, ID, true);
	assert_int_equal(engine_blob_put(v->engine, "dumps/odd", "x", 1, &e), 0);
	assert_int_equal(dump_list(v->engine, &l, &e), 0);
	assert_int_equal(l.count, 2);
	assert_string_equal(l.found[0].id, ID);
	assert_true(l.found[0].is_whole);
	assert_true(l.found[0].bytes_stored > 100);
	assert_false(l.found[1].is_whole);
	assert_int_equal(dump_check(v->engine, ID, NULL, &t, &e), 0);
	assert_int_equal(t.rows, 3);
	assert_int_equal(dump_check(v->engine, LATER, NULL, &t, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void whatever_is_damaged_is_named(void **state)
{
	static const char *const objects[] = { "head", "000000", "000001" };
	const struct vault *v = *state;
	struct dump_totals t = { 0 };

	for (size_t i = 0; i < COUNT(objects); i++) {
		char path[512];
		struct err e = ERR_INIT;
		struct stat st;

		snprintf(path, sizeof(path), "%s/store/platform/dumps/" ID "/%s", v->root,
		         objects[i]);
		put_dump(v, ID, true);
		assert_int_equal(stat(path, &st), 0);
		for (off_t at = 16; at < st.st_size; at += 7) {
			OWN(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
			unsigned char byte = 0, good;

			assert_int_equal(pread(fd, &good, 1, at), 1);
			byte = good ^ 1;
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
			assert_int_equal(dump_check(v->engine, ID, NULL, &t, &e), -1);
			assert_int_equal(e.code, ERR_UPSTREAM);
			assert_non_null(strstr(e.msg, text_of("dumps/" ID "/%s", objects[i])));
			assert_int_equal(pwrite(fd, &good, 1, at), 1);
		}
	}
}

/* A part of one dump is none of another's, nor at another place in it. */
static void parts_stay_where_they_were_put(void **state)
{
	const struct vault *v = *state;
	struct dump_totals t = { 0 };
	struct err e = ERR_INIT;

	put_dump(v, ID, true);
	put_dump(v, LATER, true);
	run((const char *[]){ "cp", text_of("%s/store/platform/dumps/" LATER "/000000", v->root),
	                      text_of("%s/store/platform/dumps/" ID "/000000", v->root), NULL });
	assert_int_equal(dump_check(v->engine, ID, NULL, &t, &e), -1);
	assert_int_equal(e.code, ERR_UPSTREAM);
	/* Well sealed, but not what the head names. */
	assert_int_equal(engine_blob_put(v->engine, "dumps/" LATER "/000001", "[]", 2, &e), 0);
	assert_int_equal(dump_check(v->engine, LATER, NULL, &t, &e), -1);
	assert_non_null(strstr(e.msg, "is not what the dump's head says"));
}

static void one_that_is_deleted_leaves_nothing(void **state)
{
	const struct vault *v = *state;
	OWN(dump_list) struct dump_list l = { 0 };
	struct err e = ERR_INIT;

	put_dump(v, ID, true);
	put_dump(v, LATER, true);
	assert_int_equal(dump_delete(v->engine, ID, &e), 0);
	assert_int_equal(dump_delete(v->engine, ID, &e), 0);
	assert_int_equal(dump_list(v->engine, &l, &e), 0);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.found[0].id, LATER);
	assert_int_equal(access(text_of("%s/store/platform/dumps/" ID "/000001", v->root), F_OK),
	                 -1);
}

static int on_erased(void *ctx, const char *user_id, const char *mark, struct err *e)
{
	size_t *count = ctx;

	(void)e;
	assert_string_equal(user_id, USER);
	assert_string_equal(mark, OTHER);
	++*count;
	return 0;
}

static void marks_of_erased_accounts(void **state)
{
	const struct vault *v = *state;
	struct err e = ERR_INIT;
	size_t count = 0;

	assert_int_equal(dump_erased(v->engine, on_erased, &count, &e), 0);
	assert_int_equal(count, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(dump_mark_erased(v->engine, OTHER, USER, &e), 0);
	assert_int_equal(dump_erased(v->engine, on_erased, &count, &e), 0);
	assert_int_equal(count, 1);
	assert_int_equal(engine_blob_put(v->engine, "erased/" USER, "no id", 5, &e), 0);
	assert_int_equal(dump_erased(v->engine, on_erased, &count, &e), -1);
	assert_int_equal(e.code, ERR_UPSTREAM);
	assert_int_equal(dump_unmark_erased(v->engine, USER, &e), 0);
	assert_int_equal(dump_unmark_erased(v->engine, OTHER, &e), 0);
	assert_int_equal(dump_erased(v->engine, on_erased, &count, &e), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, vault_setup, vault_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_read_as_it_was_written),
		TEST(the_vector_of_the_page),
		cmocka_unit_test(a_head_that_is_cut_off_or_longer_is_refused),
		cmocka_unit_test(names_of_tables_are_names),
		TEST(ids_begin_with_their_time),
		TEST(a_dump_is_there_once_its_head_is),
		TEST(whatever_is_damaged_is_named),
		TEST(parts_stay_where_they_were_put),
		TEST(one_that_is_deleted_leaves_nothing),
		TEST(marks_of_erased_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
