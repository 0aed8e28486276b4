#include "store/migrate.h"

#include "test.h"

#include <sodium.h>

/* The table that tools/sqlgen.py makes of the services' sql/. */

static void versions_have_no_hole(void **state)
{
	(void)state;
	assert_true(migration_count > 0);
	for (size_t i = 0; i < migration_count; i++) {
		const struct migration *m = &migrations[i], *before = i ? m - 1 : NULL;
		bool goes_on = before && strcmp(before->service, m->service) == 0;

		print_message("  %s %s\n", m->service, m->name);
		assert_int_equal(m->version, goes_on ? before->version + 1 : 1);
		assert_int_equal(strtol(m->name, NULL, 10), m->version);
	}
}

static void auth_comes_first_and_the_rest_in_order(void **state)
{
	(void)state;
	assert_string_equal(migrations[0].service, "auth");
	for (size_t i = 1; i < migration_count; i++) {
		const char *before = migrations[i - 1].service, *here = migrations[i].service;

		assert_true(strcmp(before, "auth") == 0 || strcmp(before, here) <= 0);
	}
}

/* So the text in the program is the file's, byte for byte: the checksum was made from the file. */
static void every_text_has_its_checksum(void **state)
{
	(void)state;
	for (size_t i = 0; i < migration_count; i++) {
		unsigned char hash[crypto_hash_sha256_BYTES];
		char hex[2 * sizeof(hash) + 1];

		crypto_hash_sha256(hash, (const unsigned char *)migrations[i].sql,
		                   strlen(migrations[i].sql));
		sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
		assert_string_equal(hex, migrations[i].sha256);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_have_no_hole),
		cmocka_unit_test(auth_comes_first_and_the_rest_in_order),
		cmocka_unit_test(every_text_has_its_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
