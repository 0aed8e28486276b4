/* The zip of an account: what is in it, how its files are named, and that it can be broken off. */

#include "export/name.h"
#include "export/page.h"
#include "export/walk.h"
#include "export/zip.h"
#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <sodium.h>

static const struct {
	const char *what, *pattern, *fields, *want; /* want NULL: refused */
} names[] = {
	{ "a plain one", "account.json", "{}", "account.json" },
	{ "a field", "a/{id}/x.json", "{\"id\":\"i-1\"}", "a/i-1/x.json" },
	{ "two fields", "{id}/{key}", "{\"id\":\"i\",\"key\":\"k\"}", "i/k" },
	{ "a slash in a field is no folder", "a/{key}.json", "{\"key\":\"x/../y\"}",
	  "a/x%2F..%2Fy.json" },
	{ "a path keeps its folders", "w/{path}", "{\"path\":\"notes/a.md\"}", "w/notes/a.md" },
	{ "a path that leads out", "w/{path}", "{\"path\":\"../a.md\"}", NULL },
	{ "a path that stays", "w/{path}", "{\"path\":\"./a.md\"}", NULL },
	{ "a path from the root", "w/{path}", "{\"path\":\"/etc\"}", NULL },
	{ "an empty part", "w/{path}", "{\"path\":\"a//b\"}", NULL },
	{ "another system's separator", "w/{path}", "{\"path\":\"..\\\\a\"}", "w/..%5Ca" },
	{ "another system's drive", "w/{path}", "{\"path\":\"c:a\"}", "w/c%3Aa" },
	{ "a line break", "w/{path}", "{\"path\":\"a\\nb\"}", "w/a%0Ab" },
	{ "what was encoded stays apart", "w/{path}", "{\"path\":\"a%0Ab\"}", "w/a%250Ab" },
	{ "letters of any language", "w/{path}", "{\"path\":\"käse\"}", "w/käse" },
	{ "no such field", "w/{path}", "{}", NULL },
	{ "an empty field", "w/{path}", "{\"path\":\"\"}", NULL },
};

static void a_name_can_be_unpacked_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		OWN(json) cJSON *fields = cJSON_Parse(names[i].fields);
		char name[NAME_SIZE];
		struct err e = ERR_INIT;

		print_message("  %s\n", names[i].what);
		assert_int_equal(name_make(names[i].pattern, fields, name, &e),
		                 names[i].want ? 0 : -1);
		if (names[i].want)
			assert_string_equal(name, names[i].want);
		else
			assert_int_equal(e.code, ERR_INVALID);
	}
}

static void make_long(const char *last, char ret[NAME_SIZE])
{
	OWN(json) cJSON *fields = cJSON_CreateObject();
	struct err e = ERR_INIT;
	char key[300];

	memset(key, 'k', sizeof(key));
	snprintf(key + 250, sizeof(key) - 250, "%s", last);
	cJSON_AddStringToObject(fields, "key", key);
	assert_int_equal(name_make("a/{key}.json", fields, ret, &e), 0);
}

/* Two that begin alike stay two. */
static void a_part_that_is_too_long_is_cut(void **state)
{
	char one[NAME_SIZE], two[NAME_SIZE];

	(void)state;
	make_long("one", one);
	make_long("two", two);
	assert_int_equal(strlen(one), 2 + NAME_PART_MAX);
	assert_string_not_equal(one, two);
	assert_memory_equal(one, two, 200);
}

struct sink {
	char *data;
	size_t len, max;
};

static int put(void *ctx, const void *data, size_t len)
{
	struct sink *s = ctx;

	if (s->len + len > s->max)
		return -1;
	memcpy(s->data + s->len, data, len);
	s->len += len;
	return 0;
}

static void check_next(struct archive *a, const char *name, const char *content)
{
	struct archive_entry *entry;
	char text[64] = "";

	assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_OK);
	assert_string_equal(archive_entry_pathname(entry), name);
	assert_int_equal(archive_read_data(a, text, sizeof(text)), strlen(content));
	assert_string_equal(text, content);
}

static void what_was_written_is_read(void **state)
{
	static char room[65536];
	struct sink s = { room, 0, sizeof(room) };
	struct archive *a = archive_read_new();
	OWN(zip) struct zip *z = NULL;
	struct archive_entry *entry;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(zip_open(put, &s, &z, &e), 0);
	assert_int_equal(zip_begin(z, "a/one.json", &e), 0);
	assert_int_equal(zip_write(z, "on", 2, &e), 0);
	assert_int_equal(zip_write(z, "e", 1, &e), 0);
	assert_int_equal(zip_begin(z, "empty", &e), 0);
	assert_int_equal(zip_write(z, "", 0, &e), 0);
	assert_int_equal(zip_begin(z, "last", &e), 0);
	assert_int_equal(zip_write(z, "two", 3, &e), 0);
	assert_int_equal(zip_finish(z, &e), 0);

	archive_read_support_format_zip_seekable(a);
	assert_int_equal(archive_read_open_memory(a, s.data, s.len), ARCHIVE_OK);
	check_next(a, "a/one.json", "one");
	check_next(a, "empty", "");
	check_next(a, "last", "two");
	assert_int_equal(archive_read_next_header(a, &entry), ARCHIVE_EOF);
	archive_read_free(a);
}

/* As LeakSanitizer sees it, too: nothing is left of a file that was half written. */
static void one_whose_reader_is_gone_ends(void **state)
{
	static char noise[4 * ZIP_BLOCK], room[ZIP_BLOCK];
	struct sink s = { room, 0, sizeof(room) };
	OWN(zip) struct zip *z = NULL;
	struct err e = ERR_INIT;

	(void)state;
	randombytes_buf(noise, sizeof(noise));
	assert_int_equal(zip_open(put, &s, &z, &e), 0);
	assert_int_equal(zip_begin(z, "noise", &e), 0);
	assert_int_equal(zip_write(z, noise, sizeof(noise), &e), -1);
	assert_int_equal(e.code, ERR_INTERNAL);
	assert_int_equal(zip_begin(z, "another", &e), -1);
	assert_int_equal(zip_write(z, "x", 1, &e), -1);
	assert_int_equal(zip_finish(z, &e), -1);
	assert_int_equal(s.len, ZIP_BLOCK);
}

static void one_that_is_given_up_has_no_end(void **state)
{
	static char room[65536];
	struct sink s = { room, 0, sizeof(room) };
	struct zip *z = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(zip_open(put, &s, &z, &e), 0);
	assert_int_equal(zip_begin(z, "one", &e), 0);
	assert_int_equal(zip_write(z, "one", 3, &e), 0);
	zip_free(z);
	assert_int_equal(s.len, 0);
}

/* Also within lists. */
static void secrets_stay_out(void **state)
{
	cJSON *json = cJSON_Parse(
		"{\"items\": [{\"id\": \"1\", \"owner_link\": \"https://t.me/b?start=n\"},"
		"{\"id\": \"2\"}], \"next_cursor\": null}");
	char *text;

	(void)state;
	assert_non_null(json);
	page_leave_out_secrets(&wire_instance_list, json);
	text = cJSON_PrintUnformatted(json);
	assert_string_equal(text,
	                    "{\"items\":[{\"id\":\"1\"},{\"id\":\"2\"}],\"next_cursor\":null}");
	cJSON_free(text);
	cJSON_Delete(json);
}

/* Names in a file's pattern are fields of its request, and only a list can be gone through. */
static void each_row_fits_its_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < walk_part_count; i++) {
		const struct walk_part *p = &walk_parts[i];
		const struct subject *s = &subjects[p->subject];

		assert_int_equal(strncmp(s->name, "zaki.rpc.", 9), 0);
		assert_int_equal(s->kind, SUBJECT_CALL);
		assert_int_equal(p->how == HOW_PAGES,
		                 wire_field_find(s->out, "next_cursor") != NULL);
		assert_int_equal(p->how == HOW_BYTES, s->out == &wire_memory_file);
		for (const char *at = strchr(p->file, '{'); at; at = strchr(at + 1, '{')) {
			char field[64];

			snprintf(field, sizeof(field), "%.*s", (int)strcspn(at + 1, "}"), at + 1);
			assert_non_null(wire_field_find(s->in, field));
		}
	}
	for (size_t i = 0; i < walk_each_count; i++) {
		const struct walk_each *w = &walk_eaches[i];
		const struct wire_field *items = wire_field_find(subjects[w->subject].out, "items");

		assert_true(w->each > w->of);
		assert_non_null(items);
		assert_non_null(wire_field_find(items->item, w->item));
		assert_non_null(wire_field_find(items->item, w->if_has));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_can_be_unpacked_anywhere),
		cmocka_unit_test(a_part_that_is_too_long_is_cut),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(one_whose_reader_is_gone_ends),
		cmocka_unit_test(one_that_is_given_up_has_no_end),
		cmocka_unit_test(secrets_stay_out),
		cmocka_unit_test(each_row_fits_its_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
