/*
 * Every message against its examples, proto/examples/MESSAGE/: ok-WHY.json is taken and comes back
 * the same, bad-FIELD-WHY.json is refused at FIELD. Run in the project's root. test_schemas.py runs
 * the same files through a JSON Schema validator.
 */

#include "test.h"

#include "base/json.h"
#include "wire/subject.h"

#include <dirent.h>

#define EXAMPLES    "proto/examples"
#define EXAMPLE_MAX 262144 /* bytes */

OWN_DEFINE(dir, DIR *, closedir)
OWN_DEFINE(file, FILE *, fclose)

static cJSON *load(const char *path)
{
	OWN(mem) char *text = malloc(EXAMPLE_MAX);
	OWN(file) FILE *f = fopen(path, "re");
	struct err e = ERR_INIT;
	cJSON *doc = NULL;

	assert_non_null(text);
	assert_non_null(f);
	assert_ok(json_parse(text, fread(text, 1, EXAMPLE_MAX, f), &doc, &e), &e);
	return doc;
}

/* What is sent is what was read: nothing of it is lost or made up. An absent field that may be null
 * is the one thing that may be added. */
static void check_round_trip(const struct wire_msg *m, const void *msg, cJSON *doc)
{
	OWN(json) cJSON *written = NULL, *again = NULL;
	OWN(json_text) char *text = NULL;
	struct err e = ERR_INIT;
	const cJSON *v;

	assert_ok(wire_encode(m, msg, NULL, &written, &e), &e);
	text = cJSON_PrintUnformatted(written);
	assert_ok(json_parse(text, strlen(text), &again, &e), &e);
	cJSON_ArrayForEach(v, again)
		if (cJSON_IsNull(v) && !cJSON_GetObjectItemCaseSensitive(doc, v->string))
			cJSON_AddNullToObject(doc, v->string);
	assert_true(cJSON_Compare(doc, again, true));
}

static void check_one(const struct wire_msg *m, const char *path, const char *name)
{
	OWN(json) cJSON *doc = load(path);
	OWN(arena) struct arena a = { 0 };
	struct err e = ERR_INIT;
	char want[80] = "";
	void *out;
	int r;

	arena_init(&a, (size_t)1 << 20);
	out = arena_alloc(&a, m->size);
	r = wire_decode(m, doc, NULL, &a, out, &e);
	if (strncmp(name, "ok-", 3) == 0) {
		assert_ok(r, &e);
		check_round_trip(m, out, doc);
		return;
	}
	assert_int_equal(strncmp(name, "bad-", 4), 0);
	snprintf(want, sizeof(want), "%.*s", (int)strcspn(name + 4, "-"), name + 4);
	if (r == 0 || strcmp(e.field, want) != 0)
		fail_msg("%s: %s at '%s' (%s)", path, r ? "refused" : "taken", e.field, e.msg);
	assert_int_equal(e.code, ERR_INVALID);
}

static void every_message_does_as_its_examples_say(void **state)
{
	size_t total = 0;

	(void)state;
	for (size_t i = 0; i < wire_message_count; i++) {
		const struct wire_msg *m = wire_messages[i];
		size_t good = 0, bad = 0;
		struct dirent *entry;
		char path[512];

		snprintf(path, sizeof(path), EXAMPLES "/%s", m->name);
		OWN(dir) DIR *dir = opendir(path);
		if (!dir)
			fail_msg("%s has no examples in %s", m->name, path);
		while ((entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), EXAMPLES "/%s/%s", m->name, entry->d_name);
			check_one(m, path, entry->d_name);
			good += entry->d_name[0] == 'o';
			bad += entry->d_name[0] == 'b';
		}
		if (!good || !bad)
			fail_msg("%s has %zu good and %zu bad examples", m->name, good, bad);
		total += good + bad;
	}
	print_message("  %zu examples of %zu messages\n", total, wire_message_count);
}

static bool has_bad_example_at(const struct wire_msg *m, const char *field)
{
	char path[512], start[80];
	struct dirent *entry;

	snprintf(path, sizeof(path), EXAMPLES "/%s", m->name);
	snprintf(start, sizeof(start), "bad-%s-", field);
	OWN(dir) DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, start, strlen(start)) == 0)
			return true;
	return false;
}

/* A field that takes anything (any JSON) cannot be wrong but for its length. */
static void every_field_is_refused_somewhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < wire_message_count; i++) {
		const struct wire_msg *m = wire_messages[i];

		for (size_t k = 0; k < m->field_count; k++)
			if (m->fields[k].type != WIRE_JSON &&
			    !has_bad_example_at(m, m->fields[k].name))
				fail_msg("%s has no bad example at %s", m->name, m->fields[k].name);
	}
}

static void every_directory_is_a_message(void **state)
{
	OWN(dir) DIR *dir = opendir(EXAMPLES);
	struct dirent *entry;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		bool is_known = entry->d_name[0] == '.';

		for (size_t i = 0; i < wire_message_count; i++)
			is_known |= strcmp(wire_messages[i]->name, entry->d_name) == 0;
		if (!is_known)
			fail_msg("%s/%s is no message", EXAMPLES, entry->d_name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_does_as_its_examples_say),
		cmocka_unit_test(every_field_is_refused_somewhere),
		cmocka_unit_test(every_directory_is_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
