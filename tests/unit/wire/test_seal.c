/* Secrets on the bus: what opens a sealed value, and what does not. */

#include "test.h"

#include "wire/seal.h"

#include <sodium.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static struct seal seal;

static int open_text(const char *where, const char *sealed, char *out, size_t size)
{
	OWN(arena) struct arena a = { 0 };
	struct err e = ERR_INIT;
	char *text = NULL;
	int r;

	arena_init(&a, 65536);
	r = seal_open(&seal, where, sealed, &a, &text, &e);
	assert_int_equal(e.code, r < 0 ? ERR_INVALID : ERR_NONE);
	if (r == 0 && out)
		snprintf(out, size, "%s", text);
	return r;
}

static void make(const char *where, const char *plain, char *out, size_t size)
{
	OWN(arena) struct arena a = { 0 };
	struct err e = ERR_INIT;
	char *sealed = NULL;

	arena_init(&a, 65536);
	assert_ok(seal_close(&seal, where, plain, &a, &sealed, &e), &e);
	assert_true(strlen(sealed) < size);
	snprintf(out, size, "%s", sealed);
}

static void what_was_closed_opens(void **state)
{
	static const char *const plains[] = { "", "x", "a secret", "\xf0\x9f\x98\x80" };
	char sealed[512], out[128], again[512];

	(void)state;
	for (size_t i = 0; i < COUNT(plains); i++) {
		make("m.f", plains[i], sealed, sizeof(sealed));
		assert_int_equal(open_text("m.f", sealed, out, sizeof(out)), 0);
		assert_string_equal(out, plains[i]);
		/* The same text twice cannot be seen to be the same. */
		make("m.f", plains[i], again, sizeof(again));
		assert_string_not_equal(sealed, again);
	}
}

static void another_place_does_not_open_it(void **state)
{
	static const char *const places[] = { "m.g", "m.", "m.ff", "", "x.f" };
	char sealed[512];

	(void)state;
	make("m.f", "a secret", sealed, sizeof(sealed));
	for (size_t i = 0; i < COUNT(places); i++)
		assert_int_equal(open_text(places[i], sealed, NULL, 0), -1);
}

static void no_bit_may_be_turned(void **state)
{
	char sealed[1024];

	(void)state;
	/* Long enough that every letter of its text form occurs. */
	make("m.f",
	     "a secret of some length, so that its sealed form is long: 0123456789 0123456789 "
	     "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789",
	     sealed, sizeof(sealed));
	for (size_t i = 0; i < strlen(sealed); i++) {
		for (int bit = 0; bit < 8; bit++) {
			char turned[1024];

			memcpy(turned, sealed, sizeof(turned));
			turned[i] = (char)(turned[i] ^ (1 << bit));
			assert_int_equal(open_text("m.f", turned, NULL, 0), -1);
		}
	}
}

static void nothing_may_be_cut_off_or_added(void **state)
{
	char sealed[512], longer[600];

	(void)state;
	make("m.f", "a secret", sealed, sizeof(sealed));
	for (size_t len = strlen(sealed); len-- > 0;) {
		char cut[512];

		snprintf(cut, sizeof(cut), "%.*s", (int)len, sealed);
		assert_int_equal(open_text("m.f", cut, NULL, 0), -1);
	}
	for (const char *add = "A=. \n"; *add; add++) {
		snprintf(longer, sizeof(longer), "%s%c", sealed, *add);
		assert_int_equal(open_text("m.f", longer, NULL, 0), -1);
	}
}

/* What has none is handed on unread, so none may be overlooked; one too many costs a moment. */
static void a_sealed_field_is_found_in_json(void **state)
{
	static const struct {
		const char *what, *json;
		bool want;
	} cases[] = {
		{ "nothing", "", false },
		{ "none", "{\"success\":true,\"data\":{\"name\":\"x\"}}", false },
		{ "words about it", "{\"name\":\"it is sealed:1: they say\"}", false },
		{ "cut off", "{\"a\":\"sealed:1", false },
		{ "a text that looks like one", "{\"name\":\"sealed:1:x\"}", true },
		{ "in a list", "{\"items\":[{\"a\":\"\"},{\"a\":\"sealed:1:\"}]}", true },
	};
	char sealed[512], json[600];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		print_message("  %s\n", cases[i].what);
		assert_int_equal(seal_is_in(cases[i].json, strlen(cases[i].json)), cases[i].want);
	}
	make("m.f", "a secret", sealed, sizeof(sealed));
	snprintf(json, sizeof(json), "{\"f\":\"%s\"}", sealed);
	assert_true(seal_is_in(json, strlen(json)));
	assert_false(seal_is_in(json, strlen("{\"f\":\"sealed:1")));
}

static void a_short_key_is_refused_by_name(void **state)
{
	struct err e = ERR_INIT;
	struct seal s;

	(void)state;
	assert_fails(seal_init(&s, "0123456789abcdef0123456789abcde", &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "BUS_KEY");
	assert_null(strstr(e.msg, "0123"));
}

static void a_full_arena_is_told(void **state)
{
	char sealed[512], *out = NULL;

	(void)state;
	make("m.f", "a secret", sealed, sizeof(sealed));
	for (size_t limit = 0; limit < 100; limit += 10) {
		OWN(arena) struct arena a = { 0 };
		struct err e = ERR_INIT;

		arena_init(&a, limit);
		assert_fails(seal_open(&seal, "m.f", sealed, &a, &out, &e), &e, ERR_TOO_LARGE);
		if (limit < 60)
			assert_fails(seal_close(&seal, "m.f", "a secret", &a, &out, &e), &e,
			             ERR_TOO_LARGE);
	}
}

static void hashes_tell_texts_apart_and_need_the_key(void **state)
{
	char a[SEAL_HASH_SIZE], b[SEAL_HASH_SIZE], c[SEAL_HASH_SIZE];
	struct err e = ERR_INIT;
	struct seal other;

	(void)state;
	assert_ok(seal_init(&other, SECRET "x", &e), &e);
	seal_hash(&seal, "text", 4, a);
	seal_hash(&seal, "text", 4, b);
	assert_string_equal(a, b);
	seal_hash(&seal, "texu", 4, b);
	assert_string_not_equal(a, b);
	seal_hash(&other, "text", 4, c);
	assert_string_not_equal(a, c);
	assert_int_equal(strspn(a, "0123456789abcdef"), SEAL_HASH_SIZE - 1);
}

static int key(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return sodium_init() < 0 ? -1 : seal_init(&seal, SECRET, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_closed_opens),
		cmocka_unit_test(another_place_does_not_open_it),
		cmocka_unit_test(no_bit_may_be_turned),
		cmocka_unit_test(nothing_may_be_cut_off_or_added),
		cmocka_unit_test(a_sealed_field_is_found_in_json),
		cmocka_unit_test(a_short_key_is_refused_by_name),
		cmocka_unit_test(a_full_arena_is_told),
		cmocka_unit_test(hashes_tell_texts_apart_and_need_the_key),
	};

	return cmocka_run_group_tests(tests, key, NULL);
}
