#include "vault.h"

#include "test.h"

#include <sodium.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER  "fedcba9876543210fedcba9876543210"
#define PLAIN  "7001:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"

static const struct vault_place place = { "user-1", "instance-1", "instances.bot_token" };

struct fixture {
	struct vault *v;
	struct arena a;
};

static int setup(void **state)
{
	const struct vault_key key = { 1, SECRET };
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = ERR_INIT;

	arena_init(&f->a, 4 * 1024 * 1024);
	*state = f;
	return vault_new(&key, 1, &f->v, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vault_free(f->v);
	arena_done(&f->a);
	free(f);
	return 0;
}

static const char *seal(struct fixture *f, const char *plain)
{
	const char *sealed = NULL;
	struct err e = ERR_INIT;

	assert_ok(vault_seal(f->v, &place, plain, &f->a, &sealed, &e), &e);
	return sealed;
}

static void value_opens_where_it_was_sealed(void **state)
{
	struct fixture *f = *state;
	char largest[VAULT_PLAIN_MAX + 1];
	const char *values[] = { PLAIN, "", "x", largest };

	memset(largest, 'a', VAULT_PLAIN_MAX);
	largest[VAULT_PLAIN_MAX] = 0;
	for (size_t i = 0; i < COUNT(values); i++) {
		const char *sealed = seal(f, values[i]), *plain = NULL;
		struct err e = ERR_INIT;

		assert_memory_equal(sealed, "v1:", 3);
		assert_true(strlen(sealed) <= VAULT_SEALED_MAX);
		assert_ok(vault_open(f->v, &place, sealed, &f->a, &plain, &e), &e);
		assert_string_equal(plain, values[i]);
	}
}

static void sealing_twice_gives_two_texts_without_the_value(void **state)
{
	struct fixture *f = *state;
	const char *one = seal(f, PLAIN), *two = seal(f, PLAIN);

	assert_string_not_equal(one, two);
	assert_null(strstr(one, "7001"));
}

static void value_of_another_place_does_not_open(void **state)
{
	static const struct {
		const char *what;
		struct vault_place where;
	} cases[] = {
		{ "another user", { "user-2", "instance-1", "instances.bot_token" } },
		{ "another instance", { "user-1", "instance-2", "instances.bot_token" } },
		{ "another column", { "user-1", "instance-1", "instances.gateway_token" } },
		{ "parts moved", { "user-1", "instance-1i", "nstances.bot_token" } },
	};
	struct fixture *f = *state;
	const char *sealed = seal(f, PLAIN);

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *plain = NULL;
		struct err e = ERR_INIT;

		print_message("  %s\n", cases[i].what);
		assert_fails(vault_open(f->v, &cases[i].where, sealed, &f->a, &plain, &e), &e,
		             ERR_INTERNAL);
		assert_null(plain);
		assert_non_null(strstr(e.msg, cases[i].where.column));
	}
}

static void changed_text_does_not_open(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";
	struct fixture *f = *state;
	const char *sealed = seal(f, PLAIN);
	size_t len = strlen(sealed);
	char *copy;

	/* Each character of the base64 by its neighbour: one bit at least. */
	for (size_t i = 3; i < len && sealed[i] != '='; i++) {
		const char *at = strchr(alphabet, sealed[i]), *plain = NULL;
		struct err e = ERR_INIT;

		copy = arena_strdup(&f->a, sealed);
		copy[i] = alphabet[((size_t)(at - alphabet) ^ 1) % 64];
		assert_fails(vault_open(f->v, &place, copy, &f->a, &plain, &e), &e, ERR_INTERNAL);
		assert_null(plain);
	}
	for (size_t cut = 0; cut < len; cut++) {
		const char *plain = NULL;
		struct err e = ERR_INIT;

		assert_fails(vault_open(f->v, &place, arena_strndup(&f->a, sealed, cut), &f->a,
		                        &plain, &e),
		             &e, ERR_INTERNAL);
	}
}

static void nonsense_does_not_open(void **state)
{
	static const char *const cases[] = {
		"",        "v",          "v1",     "v1:",     ":",       "v0:AAAA", "v01:AAAA",
		"v2:AAAA", "v1000:AAAA", "1:AAAA", "V1:AAAA", "v1:****", "v1:AAAA", "v1 :AAAA",
	};
	struct fixture *f = *state;
	char *longest = arena_alloc(&f->a, 20001);

	memset(longest, 'A', 20000);
	memcpy(longest, "v1:", 3);
	for (size_t i = 0; i <= COUNT(cases); i++) {
		const char *text = i < COUNT(cases) ? cases[i] : longest, *plain = NULL;
		struct err e = ERR_INIT;

		print_message("  '%.20s'\n", text);
		assert_fails(vault_open(f->v, &place, text, &f->a, &plain, &e), &e, ERR_INTERNAL);
		assert_null(plain);
	}
}

static void value_too_long_is_refused(void **state)
{
	struct fixture *f = *state;
	char *plain = arena_alloc(&f->a, VAULT_PLAIN_MAX + 2);
	const char *sealed = NULL;
	struct err e = ERR_INIT;

	memset(plain, 'a', VAULT_PLAIN_MAX + 1);
	assert_fails(vault_seal(f->v, &place, plain, &f->a, &sealed, &e), &e, ERR_TOO_LARGE);
	assert_null(sealed);
}

static void keys_are_checked(void **state)
{
	static const struct {
		const char *what;
		struct vault_key keys[2];
		size_t count;
		bool fits;
	} cases[] = {
		{ "one", { { 1, SECRET } }, 1, true },
		{ "two", { { 2, OTHER }, { 1, SECRET } }, 2, true },
		{ "the largest version", { { 999, SECRET } }, 1, true },
		{ "none", { { 0, NULL } }, 0, false },
		{ "too short", { { 1, "0123456789abcdef0123456789abcde" } }, 1, false },
		{ "the second too short", { { 2, SECRET }, { 1, "short" } }, 2, false },
		{ "version 0", { { 0, SECRET } }, 1, false },
		{ "version 1000", { { 1000, SECRET } }, 1, false },
		{ "one version twice", { { 1, SECRET }, { 1, OTHER } }, 2, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vault *v = NULL;
		struct err e = ERR_INIT;
		int r = vault_new(cases[i].keys, cases[i].count, &v, &e);

		print_message("  %s\n", cases[i].what);
		assert_int_equal(r, cases[i].fits ? 0 : -1);
		assert_string_equal(e.field, cases[i].fits ? "" : "ENCRYPTION_KEY");
		assert_null(strstr(e.msg, "0123"));
		vault_free(v);
	}
}

static void old_keys_open_and_are_told(void **state)
{
	const struct vault_key keys[] = { { 2, OTHER }, { 1, SECRET } }, gone = { 2, OTHER };
	struct fixture *f = *state;
	const char *old = seal(f, PLAIN), *plain = NULL, *renewed = NULL;
	struct vault *both = NULL, *later = NULL;
	struct err e = ERR_INIT;

	assert_ok(vault_new(keys, 2, &both, &e), &e);
	assert_ok(vault_new(&gone, 1, &later, &e), &e);
	assert_ok(vault_open(both, &place, old, &f->a, &plain, &e), &e);
	assert_string_equal(plain, PLAIN);
	assert_true(vault_is_old(both, old));
	assert_false(vault_is_old(f->v, old));
	assert_true(vault_is_old(f->v, "nonsense"));

	assert_ok(vault_seal(both, &place, plain, &f->a, &renewed, &e), &e);
	assert_memory_equal(renewed, "v2:", 3);
	assert_false(vault_is_old(both, renewed));
	assert_ok(vault_open(later, &place, renewed, &f->a, &plain, &e), &e);
	assert_fails(vault_open(later, &place, old, &f->a, &plain, &e), &e, ERR_INTERNAL);

	vault_free(both);
	vault_free(later);
}

static void bot_claims_are_equal_only_for_one_bot(void **state)
{
	const struct vault_key other = { 1, OTHER };
	char one[VAULT_MAC_SIZE], two[VAULT_MAC_SIZE], next[VAULT_MAC_SIZE], far[VAULT_MAC_SIZE];
	struct fixture *f = *state;
	struct vault *v = NULL;
	struct err e = ERR_INIT;

	assert_ok(vault_new(&other, 1, &v, &e), &e);
	vault_bot_mac(f->v, 7001, one);
	vault_bot_mac(f->v, 7001, two);
	vault_bot_mac(f->v, 7002, next);
	vault_bot_mac(v, 7001, far);
	assert_string_equal(one, two);
	assert_string_not_equal(one, next);
	assert_string_not_equal(one, far);
	assert_memory_equal(one, "v1:", 3);
	assert_int_equal(strlen(one), 3 + 62);
	vault_free(v);
}

static void wiped_text_is_gone(void **state)
{
	char text[] = "secret";
	static const char zeroes[sizeof(text)];

	(void)state;
	vault_wipe(text);
	vault_wipe(NULL);
	assert_memory_equal(text, zeroes, sizeof(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(value_opens_where_it_was_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(sealing_twice_gives_two_texts_without_the_value,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(value_of_another_place_does_not_open, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(changed_text_does_not_open, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_does_not_open, setup, teardown),
		cmocka_unit_test_setup_teardown(value_too_long_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(old_keys_open_and_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(bot_claims_are_equal_only_for_one_bot, setup,
		                                teardown),
		cmocka_unit_test(keys_are_checked),
		cmocka_unit_test(wiped_text_is_gone),
	};

	return cmocka_run_group_tests_name("vault", tests, NULL, NULL);
}
