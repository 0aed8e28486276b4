/* Settings from the environment, by a table. */

#include "test.h"

#include "svc/conf.h"

#include <fcntl.h>
#include <unistd.h>

struct settings {
	const char *name, *secret;
	long long count, grace_s;
};

/* clang-format off */
static const struct conf_key keys[] = {
	{ "T_NAME",   CONF_STR, offsetof(struct settings, name),    "dflt", 1, 8,  false, "A name" },
	{ "T_SECRET", CONF_STR, offsetof(struct settings, secret),  NULL,   4, 40, true,  "A secret" },
	{ "T_COUNT",  CONF_INT, offsetof(struct settings, count),   "3",    1, 10, false, "A count" },
	{ "T_GRACE",  CONF_SEC, offsetof(struct settings, grace_s), "5",    0, 60, false, "A time" },
};

static const struct {
	const char *what, *env, *value, *field;
} cases[] = {
	{ "text",             "T_NAME",   "abc",        NULL },
	{ "text too long",    "T_NAME",   "123456789",  "T_NAME" },
	{ "text empty",       "T_NAME",   "",           "T_NAME" },
	{ "number",           "T_COUNT",  "10",         NULL },
	{ "number too large", "T_COUNT",  "11",         "T_COUNT" },
	{ "number too small", "T_COUNT",  "0",          "T_COUNT" },
	{ "number empty",     "T_COUNT",  "",           "T_COUNT" },
	{ "no number",        "T_COUNT",  "three",      "T_COUNT" },
	{ "number and more",  "T_COUNT",  "3x",         "T_COUNT" },
	{ "number too long",  "T_COUNT",  "99999999999999999999", "T_COUNT" },
	{ "fraction",         "T_COUNT",  "1.5",        "T_COUNT" },
	{ "seconds",          "T_GRACE",  "0",          NULL },
	{ "seconds negative", "T_GRACE",  "-1",         "T_GRACE" },
	{ "secret too short", "T_SECRET", "abc",        "T_SECRET" },
};
/* clang-format on */

static char file[] = "/tmp/conf-test-XXXXXX";

static int clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++)
		unsetenv(keys[i].env);
	unsetenv("T_SECRET_FILE");
	unsetenv("T_NAME_FILE");
	return setenv("T_SECRET", "hunter22", 1);
}

static void write_file(const char *text, size_t len)
{
	OWN(fd) int fd = open(file, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, text, len), len);
}

static void what_is_not_set_has_its_default(void **state)
{
	struct settings s = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(conf_load(keys, COUNT(keys), &s, &e), &e);
	assert_string_equal(s.name, "dflt");
	assert_true(s.count == 3 && s.grace_s == 5);
	assert_string_equal(s.secret, "hunter22");
}

static void a_bad_value_is_named(void **state)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct settings s = { 0 };
		struct err e = ERR_INIT;

		print_message("  %s\n", cases[i].what);
		clean(state);
		setenv(cases[i].env, cases[i].value, 1);
		assert_int_equal(conf_load(keys, COUNT(keys), &s, &e), cases[i].field ? -1 : 0);
		assert_string_equal(e.field, cases[i].field ? cases[i].field : "");
		assert_true(!cases[i].field || !cases[i].value[0] || strlen(cases[i].value) < 3 ||
		            !strstr(e.msg, cases[i].value));
	}
}

static void a_required_one_is_missed(void **state)
{
	struct settings s = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	unsetenv("T_SECRET");
	assert_fails(conf_load(keys, COUNT(keys), &s, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "T_SECRET");
}

static void a_secret_may_come_from_a_file(void **state)
{
	struct settings s = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	write_file("from-a-file\n", 12);
	setenv("T_SECRET_FILE", file, 1);
	assert_fails(conf_load(keys, COUNT(keys), &s, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "T_SECRET"); /* both */

	/* Compose files set what they do not know to nothing. */
	setenv("T_SECRET", "", 1);
	assert_ok(conf_load(keys, COUNT(keys), &s, &e), &e);
	assert_string_equal(s.secret, "from-a-file");
	unsetenv("T_SECRET");
	assert_ok(conf_load(keys, COUNT(keys), &s, &e), &e);
	assert_string_equal(s.secret, "from-a-file");
}

static void a_file_that_will_not_do_is_named(void **state)
{
	static char big[8192];
	struct settings s = { 0 };
	struct err e;

	(void)state;
	unsetenv("T_SECRET");
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 5; i++) {
		e = ERR_INIT;
		if (i == 0)
			write_file("", 0);
		else if (i == 1)
			write_file("a\0bcdefgh", 9);
		else if (i == 2)
			write_file(big, sizeof(big));
		setenv("T_SECRET_FILE", i == 3 ? "/nonexistent" : i == 4 ? "/tmp" : file, 1);
		assert_fails(conf_load(keys, COUNT(keys), &s, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, i == 0 ? "T_SECRET" : "T_SECRET_FILE");
	}
}

static void only_a_secret_may(void **state)
{
	struct settings s = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	setenv("T_NAME_FILE", "/nonexistent", 1);
	assert_ok(conf_load(keys, COUNT(keys), &s, &e), &e);
	assert_string_equal(s.name, "dflt");
}

static int make_file(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_not_set_has_its_default, clean),
		cmocka_unit_test_setup(a_bad_value_is_named, clean),
		cmocka_unit_test_setup(a_required_one_is_missed, clean),
		cmocka_unit_test_setup(a_secret_may_come_from_a_file, clean),
		cmocka_unit_test_setup(a_file_that_will_not_do_is_named, clean),
		cmocka_unit_test_setup(only_a_secret_may, clean),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
