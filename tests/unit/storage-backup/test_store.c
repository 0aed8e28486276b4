/* Keys of the store, and what a directory makes of them. What an S3 makes of them: tests/vault. */

#include "vault.h"

#include "store/key.h"
#include "store/s3_percent.h"
#include "store/s3_xml.h"

static char root[] = "/tmp/zaki-store-XXXXXX";
static struct storage *store;

static const char *const natural[] = {
	"users/1/workspace/Tagebuch/Frühling & Sommer.md",
	"users/1/workspace/with space/and \"quotes\" 'too'",
	"users/1/workspace/100% + more?#[x]<y>;=@,~!$*().txt",
	"users/1/workspace/日本語/🐈.png",
	"users/1/workspace/back\\slash",
	"users/1/workspace/ leading and trailing ",
	"users/1/workspace/...",
	"users/1/workspace/%41%2F+",
	"users/1/.openclaw/openclaw.sqlite",
};

static int set_up(void **state)
{
	char url[64];
	struct storage_opt opt = { .url = url };
	struct err e = ERR_INIT;

	(void)state;
	if (!mkdtemp(root))
		return -1;
	snprintf(url, sizeof(url), "file://%s", root);
	return storage_open(&opt, &store, &e);
}

static int tear_down(void **state)
{
	(void)state;
	storage_close(store);
	remove_all(root);
	return 0;
}

static void repeat(char *to, const char *what, size_t times, const char *end)
{
	for (size_t i = 0; i < times; i++)
		to = stpcpy(to, what);
	stpcpy(to, end);
}

static void keys_are_told_from_what_is_none(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"a/",
		"/a",
		"a//b",
		".",
		"..",
		"./a",
		"a/.",
		"a/../b",
		"a/..",
		"a\nb",
		"a\x7f",
		"a\x1f/b",
		"\xc2\x85",
		"\xff\xfe",
		"a\xc3",
		"\xc0\xaf",
		"\xed\xa0\x80",
		"\xef\xbf\xbe",
		"\xef\xbf\xbf",
	};
	char text[2000];

	(void)state;
	for (size_t i = 0; i < COUNT(natural); i++)
		assert_true(key_is_valid(natural[i], STORAGE_KEY_MAX));
	for (size_t i = 0; i < COUNT(bad); i++)
		if (key_is_valid(bad[i], STORAGE_KEY_MAX))
			fail_msg("'%s' is taken for a key", bad[i]);

	repeat(text, "x", 255, "");
	assert_true(key_is_valid(text, STORAGE_KEY_MAX));
	repeat(text, "x", 256, "");
	assert_false(key_is_valid(text, STORAGE_KEY_MAX));
	repeat(text, "ab/", 127, "c");
	assert_true(key_is_valid(text, STORAGE_KEY_MAX));
	repeat(text, "ab/", 128, "c");
	assert_false(key_is_valid(text, STORAGE_KEY_MAX));
	repeat(text, "0123456789abcde/", 63, "0123456789abcdef");
	assert_int_equal(strlen(text), 1024);
	assert_true(key_is_valid(text, STORAGE_KEY_MAX));
	assert_false(key_is_valid(text, STORAGE_KEY_MAX - 1));
}

static void prefixes_are_beginnings_of_keys(void **state)
{
	static const char *const good[] = { "", "a", "a/", "a/b", "a/.", "a/..", "ü", "users/1/" };
	static const char *const bad[] = { "/", "a//", "./", "a/../", "\xc3", "a\n" };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(key_is_prefix(good[i], STORAGE_KEY_MAX));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(key_is_prefix(bad[i], STORAGE_KEY_MAX));
}

static void percent_goes_and_comes(void **state)
{
	char text[] = "a+b%2Bc%20%C3%BC%2f", bad[][8] = { "%", "%4", "%zz", "%00", "a%1g" };
	char to[3 * STORAGE_KEY_MAX + 4];

	(void)state;
	s3_encode("a/b c+ü~", to, sizeof(to));
	assert_string_equal(to, "a%2Fb%20c%2B%C3%BC~");
	s3_encode_path("a/b c%?#", to, sizeof(to));
	assert_string_equal(to, "a/b%20c%25%3F%23");
	assert_true(s3_decode(text));
	assert_string_equal(text, "a b+c ü/");
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(s3_decode(bad[i]));
	for (size_t i = 0; i < COUNT(natural); i++) {
		s3_encode_path(natural[i], to, sizeof(to));
		assert_true(s3_decode(to));
		assert_string_equal(to, natural[i]);
	}
}

/* ---- a directory ----------------------------------------------------------------------------- */

static void put(const char *key, const char *text)
{
	struct err e = ERR_INIT;

	assert_ok(storage_put(store, key, text, strlen(text), &e), &e);
}

static void delete_key(const char *key)
{
	struct err e = ERR_INIT;

	assert_ok(storage_delete(store, key, &e), &e);
}

static bool on_counted(void *ctx, const struct storage_object *object)
{
	size_t *count = ctx;

	for (size_t i = 0; i < COUNT(natural); i++)
		*count += strcmp(object->key, natural[i]) == 0;
	return true;
}

static size_t listed(const char *prefix)
{
	size_t count = 0;
	struct storage_list_to to = { .on_object = on_counted, .ctx = &count };
	struct err e = ERR_INIT;

	assert_ok(storage_list(store, prefix, &to, &e), &e);
	return count;
}

static bool there(const char *path)
{
	char whole[1200];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	return access(whole, F_OK) == 0;
}

static void natural_names_are_kept(void **state)
{
	struct err e = ERR_INIT;
	char text[32] = "";
	size_t got = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(natural); i++) {
		assert_true(storage_is_key(store, natural[i]));
		put(natural[i], "text");
		assert_ok(storage_get(store, natural[i], 0, text, sizeof(text), &got, &e), &e);
		assert_int_equal(got, 4);
	}
	assert_int_equal(listed("users/1/"), COUNT(natural));
	assert_int_equal(listed("users/1/workspace/日"), 1);
	for (size_t i = 0; i < COUNT(natural); i++)
		delete_key(natural[i]);
	assert_int_equal(listed(""), 0);
	assert_false(there("users"));
}

static void what_is_no_key_is_refused_and_not_named(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(storage_put(store, "users/../secret-name", "x", 1, &e), &e, ERR_INTERNAL);
	assert_null(strstr(e.msg, "secret-name"));
}

/* What others put into the directory under names that no key has is not ours: not listed. */
static void names_of_others_are_passed_over(void **state)
{
	char path[128];
	OWN(fd) int fd = -1;

	(void)state;
	put(natural[0], "x");
	snprintf(path, sizeof(path), "%s/users/1/new\nline", root);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(listed("users/"), 1);
	unlink(path);
	delete_key(natural[0]);
}

/* A directory's name is gone with the last object below it, and gives way to an object. */
static void directories_go_with_what_is_in_them(void **state)
{
	char path[128];

	(void)state;
	put("a/b/c/d", "x");
	put("a/e", "x");
	delete_key("a/b/c/d");
	assert_false(there("a/b"));
	assert_true(there("a/e"));
	delete_key("a/e");
	assert_false(there("a"));
	delete_key("a/e");

	snprintf(path, sizeof(path), "%s/f", root); /* what a crash left */
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/f/g", root);
	assert_int_equal(mkdir(path, 0700), 0);
	put("f", "now a file");
	delete_key("f");
	put("f/g", "now a directory");
	delete_key("f"); /* there is no such object */
	assert_true(there("f/g"));
	delete_key("f/g");
	assert_false(there("f"));
}

static bool on_value(void *ctx, const char *parent, const char *name, const char *value)
{
	(void)parent;
	if (strcmp(name, "Key") == 0)
		snprintf(ctx, STORAGE_KEY_MAX * 3, "%s", value);
	return true;
}

static void a_key_s_full_length_comes_out_of_xml(void **state)
{
	char key[3 * STORAGE_KEY_MAX + 1], got[3 * STORAGE_KEY_MAX + 1] = "", text[4000];
	struct err e = ERR_INIT;
	int len;

	(void)state;
	repeat(key, "%20", STORAGE_KEY_MAX - 1, "");
	len = snprintf(text, sizeof(text), "<L><C><Key>%s</Key><Size>1</Size></C></L>", key);
	assert_ok(s3_xml_read(text, (size_t)len, on_value, got, &e), &e);
	assert_string_equal(got, key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_told_from_what_is_none),
		cmocka_unit_test(prefixes_are_beginnings_of_keys),
		cmocka_unit_test(percent_goes_and_comes),
		cmocka_unit_test(a_key_s_full_length_comes_out_of_xml),
		cmocka_unit_test(natural_names_are_kept),
		cmocka_unit_test(what_is_no_key_is_refused_and_not_named),
		cmocka_unit_test(names_of_others_are_passed_over),
		cmocka_unit_test(directories_go_with_what_is_in_them),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
