/* Structs written as messages, and read back; secrets sealed on the way. */

#include "sample_tables.h"
#include "test.h"

#include "base/json.h"

#include <sodium.h>

#define ID "123e4567-e89b-42d3-a456-426614174000"

static struct seal seal, other_seal;
static const char *tags[] = { "a", "b" };
static struct part parts[] = { { "p", "secret-key" }, { "q", NULL } };

static struct sample full(void)
{
	return (struct sample){ .id = ID,
		                .color = "green",
		                .note = "n",
		                .pin = "123456",
		                .size = -5,
		                .age = 0,
		                .has_age = true,
		                .rank = 9,
		                .has_rank = true,
		                .on = false,
		                .maybe = true,
		                .has_maybe = true,
		                .part = &parts[0],
		                .tags = tags,
		                .tags_count = 2,
		                .parts = parts,
		                .parts_count = 2,
		                .extra = "[1,{\"x\":null}]" };
}

static char *encode(const struct sample *s, const struct seal *with, struct err *e)
{
	OWN(json) cJSON *doc = NULL;

	*e = ERR_INIT;
	return wire_encode(&wire_sample, s, with, &doc, e) < 0 ? NULL : cJSON_PrintUnformatted(doc);
}

static int decode(const char *text, const struct seal *with, struct arena *a, struct sample *out,
                  struct err *e)
{
	OWN(json) cJSON *doc = NULL;

	*e = ERR_INIT;
	assert_ok(json_parse(text, strlen(text), &doc, e), e);
	arena_init(a, 1 << 20);
	return wire_decode(&wire_sample, doc, with, a, out, e);
}

static void it_is_written_as_declared(void **state)
{
	struct sample s = full();
	struct err e;
	OWN(json_text) char *text = encode(&s, NULL, &e);

	(void)state;
	assert_string_equal(
		text, "{\"id\":\"" ID "\",\"color\":\"green\",\"note\":\"n\",\"pin\":\"123456\","
		      "\"size\":-5,\"age\":0,\"rank\":9,\"on\":false,\"maybe\":true,"
		      "\"part\":{\"name\":\"p\",\"key\":\"secret-key\"},\"tags\":[\"a\",\"b\"],"
		      "\"parts\":[{\"name\":\"p\",\"key\":\"secret-key\"},{\"name\":\"q\"}],"
		      "\"extra\":[1,{\"x\":null}]}");
}

static void what_is_absent_is_left_out_or_null(void **state)
{
	struct sample s = { .id = ID, .size = 1, .on = true };
	struct err e;
	OWN(json_text) char *text = encode(&s, NULL, &e);

	(void)state;
	assert_string_equal(text, "{\"id\":\"" ID
	                          "\",\"note\":null,\"size\":1,\"rank\":null,\"on\":true}");
}

static void a_required_field_left_empty_is_our_fault(void **state)
{
	struct sample s = { .size = 1, .on = true };
	struct err e;

	(void)state;
	assert_null(encode(&s, NULL, &e));
	assert_int_equal(e.code, ERR_INTERNAL);
	assert_non_null(strstr(e.msg, "sample.id"));
}

static void what_is_written_is_read_back(void **state)
{
	struct sample s = full(), out;
	const struct seal *seals[] = { NULL, &seal };
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(seals); i++) {
		OWN(json_text) char *text = encode(&s, seals[i], &e);
		OWN(json_text) char *again = NULL, *plain = encode(&s, NULL, &e);
		OWN(arena) struct arena a = { 0 };

		assert_ok(decode(text, seals[i], &a, &out, &e), &e);
		again = encode(&out, NULL, &e);
		assert_string_equal(again, plain);
	}
}

static void sealed_fields_cannot_be_read_by_those_who_watch(void **state)
{
	struct sample s = full();
	struct err e;
	OWN(json_text) char *text = encode(&s, &seal, &e);

	(void)state;
	assert_null(strstr(text, "123456"));
	assert_null(strstr(text, "secret-key"));
	assert_non_null(strstr(text, "\"pin\":\"sealed:1:"));
	assert_non_null(strstr(text, "green"));
}

static void a_secret_that_is_not_sealed_is_refused(void **state)
{
	struct sample s = full(), out;
	OWN(arena) struct arena a = { 0 };
	struct err e;
	OWN(json_text) char *plain = encode(&s, NULL, &e);

	(void)state;
	assert_fails(decode(plain, &seal, &a, &out, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "pin");
}

static void another_key_does_not_open_it(void **state)
{
	struct sample s = full(), out;
	OWN(arena) struct arena a = { 0 };
	struct err e;
	OWN(json_text) char *text = encode(&s, &other_seal, &e);

	(void)state;
	assert_fails(decode(text, &seal, &a, &out, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "pin");
}

/* The sealed value of part.key, put where sample.pin is read. */
static void a_sealed_value_opens_only_in_its_place(void **state)
{
	struct sample s = full(), out;
	OWN(arena) struct arena a = { 0 };
	OWN(arena) struct arena b = { 0 };
	char *key = NULL, *text;
	struct err e = ERR_INIT;

	(void)state;
	arena_init(&b, 65536);
	assert_ok(seal_close(&seal, "part.key", "123456", &b, &key, &e), &e);
	s.pin = key;
	s.part = NULL;
	s.parts = NULL;
	text = encode(&s, NULL, &e);
	assert_fails(decode(text, &seal, &a, &out, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "pin");
	cJSON_free(text);
}

static void a_sealed_value_is_checked_as_a_plain_one(void **state)
{
	struct sample s = full(), out;
	OWN(arena) struct arena a = { 0 };
	struct err e;
	char *text;

	(void)state;
	s.pin = "123456789";
	text = encode(&s, &seal, &e);
	assert_fails(decode(text, &seal, &a, &out, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "pin");
	assert_null(strstr(e.msg, "123456789"));
	cJSON_free(text);
}

static int keys(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	if (sodium_init() < 0)
		return -1;
	return seal_init(&seal, "0123456789abcdef0123456789abcdef", &e) |
	       seal_init(&other_seal, "0123456789abcdef0123456789abcdeF", &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_written_as_declared),
		cmocka_unit_test(what_is_absent_is_left_out_or_null),
		cmocka_unit_test(a_required_field_left_empty_is_our_fault),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(sealed_fields_cannot_be_read_by_those_who_watch),
		cmocka_unit_test(a_secret_that_is_not_sealed_is_refused),
		cmocka_unit_test(another_key_does_not_open_it),
		cmocka_unit_test(a_sealed_value_opens_only_in_its_place),
		cmocka_unit_test(a_sealed_value_is_checked_as_a_plain_one),
	};

	return cmocka_run_group_tests(tests, keys, NULL);
}
