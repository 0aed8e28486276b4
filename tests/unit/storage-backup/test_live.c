#include "test.h"

#include "base/own.h"
#include "live.h"

#include <fcntl.h>
#include <sys/stat.h>

static char dir[] = "/tmp/zaki-live-XXXXXX";

static void put(const char *name, const char *data, size_t len)
{
	char path[256];
	OWN(fd) int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
}

static int set_up(void **state)
{
	char path[256];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/sub", dir);
	mkdir(path, 0700);
	put("sub/text", "hello\n", 6);
	put("binary", "a\0b", 3);
	put("long", "0123456789", 10);
	snprintf(path, sizeof(path), "%s/link", dir);
	if (symlink("/etc/passwd", path) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/out", dir);
	if (symlink("/etc", path) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/pipe", dir);
	return mkfifo(path, 0600);
}

static int tear_down(void **state)
{
	static const char *const names[] = { "sub/text", "binary", "long", "link", "out", "pipe" };
	char path[256];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/sub", dir);
	rmdir(path);
	return rmdir(dir);
}

static int ask(const char *name, char **ret)
{
	struct err e = ERR_INIT;

	return live_text(dir, name, 8, ret, &e);
}

static void test_a_text(void **state)
{
	OWN(mem) char *text = NULL;
	OWN(mem) char *none = NULL;

	(void)state;
	assert_int_equal(ask("sub/text", &text), 1);
	assert_string_equal(text, "hello\n");
	assert_int_equal(ask("sub/none", &none), 1);
	assert_string_equal(none, "");
}

static void test_nothing_else(void **state)
{
	static const char *const names[] = {
		"binary", "long", "link", "out/passwd", "pipe", "sub"
	};
	OWN(mem) char *text = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(ask(names[i], &text), 0);
	/* A way out is no way: the kernel says so. */
	assert_int_not_equal(ask("../../etc/passwd", &text), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_text),
		cmocka_unit_test(test_nothing_else),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
