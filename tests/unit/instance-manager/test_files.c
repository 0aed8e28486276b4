#include "scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FIRST  ID
#define SECOND "22222222-2222-4333-8444-555555555555"

static int setup(void **state)
{
	struct scratch *f = calloc(1, sizeof(*f));

	*state = f;
	return f ? scratch_open(f) : -1;
}

static int teardown(void **state)
{
	scratch_close(*state);
	free(*state);
	return 0;
}

/* DATA_DIR/USER/FIRST/<part> */
static const char *at(const struct scratch *f, const char *part)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/" USER "/" FIRST "%s%s", f->dir, part[0] ? "/" : "", part);
	return path;
}

static void expect(const char *path, mode_t mode, int uid)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, mode);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, uid);
}

static void make(struct scratch *f)
{
	struct err e = ERR_INIT;

	assert_ok(files_make(f->files, USER, FIRST, &e), &e);
}

static bool write_config(struct scratch *f, const char *text)
{
	struct err e = ERR_INIT;
	bool is_changed = false;

	assert_ok(files_write_config(f->files, USER, FIRST, text, &is_changed, &e), &e);
	return is_changed;
}

static void expect_config(const struct scratch *f, const char *want)
{
	char text[256] = "";
	FILE *file = fopen(at(f, ".openclaw/openclaw.json"), "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	assert_string_equal(text, want);
	expect(at(f, ".openclaw/openclaw.json"), S_IFREG | 0600, UID);
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static void directories_are_made_and_mended(void **state)
{
	struct scratch *f = *state;

	for (int i = 0; i < 2; i++) {
		make(f);
		expect(at(f, ""), S_IFDIR | 0700, 0);
		expect(at(f, ".openclaw"), S_IFDIR | 0700, UID);
		expect(at(f, "workspace"), S_IFDIR | 0700, UID);
		/* As a crash, or someone's hand, might have left it. */
		assert_int_equal(chown(at(f, "workspace"), 0, 0), 0);
		assert_int_equal(chmod(at(f, ".openclaw"), 0755), 0);
		put(at(f, "workspace/kept"), "x");
	}
	assert_int_equal(access(at(f, "workspace/kept"), F_OK), 0);
}

static void link_in_the_place_of_a_directory_is_not_followed(void **state)
{
	struct scratch *f = *state;
	char outside[128];
	struct err e = ERR_INIT;

	make(f);
	snprintf(outside, sizeof(outside), "%s/outside", f->dir);
	assert_int_equal(mkdir(outside, 0755), 0);
	assert_int_equal(rmdir(at(f, ".openclaw")), 0);
	assert_int_equal(symlink(outside, at(f, ".openclaw")), 0);
	assert_fails(files_make(f->files, USER, FIRST, &e), &e, ERR_INTERNAL);
	assert_fails(files_write_config(f->files, USER, FIRST, "{}", NULL, &e), &e, ERR_INTERNAL);
	expect(outside, S_IFDIR | 0755, 0);
}

static void config_is_written_when_it_differs(void **state)
{
	struct scratch *f = *state;
	struct stat before, after;

	make(f);
	assert_true(write_config(f, "{\"a\":1}"));
	expect_config(f, "{\"a\":1}");
	assert_int_equal(lstat(at(f, ".openclaw/openclaw.json"), &before), 0);
	assert_false(write_config(f, "{\"a\":1}"));
	assert_int_equal(lstat(at(f, ".openclaw/openclaw.json"), &after), 0);
	assert_true(before.st_ino == after.st_ino);
	assert_true(write_config(f, "{\"a\":2}"));
	expect_config(f, "{\"a\":2}");
	assert_int_equal(chmod(at(f, ".openclaw/openclaw.json"), 0644), 0);
	assert_true(write_config(f, "{\"a\":2}"));
	expect_config(f, "{\"a\":2}");
	assert_int_not_equal(access(at(f, "openclaw.json.new"), F_OK), 0);
}

/* What the assistant may have put where its config was. */
static void config_takes_the_place_of_anything(void **state)
{
	struct scratch *f = *state;
	char path[256], victim[128];

	make(f);
	snprintf(path, sizeof(path), "%s", at(f, ".openclaw/openclaw.json"));
	snprintf(victim, sizeof(victim), "%s/victim", f->dir);
	put(victim, "{}");
	assert_int_equal(chmod(victim, 0600), 0);
	assert_int_equal(chown(victim, UID, UID), 0);

	/* The right text of the right owner, but reached by a link. */
	assert_int_equal(symlink(victim, path), 0);
	assert_true(write_config(f, "{}"));
	expect_config(f, "{}");
	unlink(path);
	assert_int_equal(link(victim, path), 0);
	assert_true(write_config(f, "{}"));
	expect_config(f, "{}");
	unlink(path);

	assert_int_equal(mkfifo(path, 0666), 0);
	assert_true(write_config(f, "{}"));
	expect_config(f, "{}");
	unlink(path);

	assert_int_equal(mkdir(path, 0777), 0);
	put(at(f, ".openclaw/openclaw.json/x"), "x");
	assert_true(write_config(f, "{}"));
	expect_config(f, "{}");
}

static void half_a_config_of_a_crash_is_replaced(void **state)
{
	struct scratch *f = *state;

	make(f);
	put(at(f, "openclaw.json.new"), "{\"half");
	assert_true(write_config(f, "{}"));
	expect_config(f, "{}");
	assert_int_not_equal(access(at(f, "openclaw.json.new"), F_OK), 0);
}

static void config_needs_the_directories(void **state)
{
	struct scratch *f = *state;
	char *large = malloc(FILES_CONFIG_MAX + 2);
	struct err e = ERR_INIT;

	assert_fails(files_write_config(f->files, USER, FIRST, "{}", NULL, &e), &e, ERR_INTERNAL);
	make(f);
	memset(large, 'x', FILES_CONFIG_MAX + 1);
	large[FILES_CONFIG_MAX + 1] = 0;
	assert_fails(files_write_config(f->files, USER, FIRST, large, NULL, &e), &e, ERR_INTERNAL);
	free(large);
}

static void delete_takes_the_user_with_the_last_instance(void **state)
{
	struct scratch *f = *state;
	struct err e = ERR_INIT;
	bool exists;
	char user[128];

	snprintf(user, sizeof(user), "%s/" USER, f->dir);
	make(f);
	assert_ok(files_make(f->files, USER, SECOND, &e), &e);
	write_config(f, "{}");
	for (int i = 0; i < 2; i++) {
		assert_ok(files_delete(f->files, USER, FIRST, &e), &e);
		assert_ok(files_exists(f->files, USER, FIRST, &exists, &e), &e);
		assert_false(exists);
		assert_ok(files_exists(f->files, USER, SECOND, &exists, &e), &e);
		assert_true(exists);
	}
	for (int i = 0; i < 2; i++) {
		assert_ok(files_delete(f->files, USER, SECOND, &e), &e);
		assert_int_not_equal(access(user, F_OK), 0);
	}
}

static void delete_follows_no_link(void **state)
{
	struct scratch *f = *state;
	char outside[128], file[160];
	struct err e = ERR_INIT;

	make(f);
	snprintf(outside, sizeof(outside), "%s/outside", f->dir);
	snprintf(file, sizeof(file), "%s/file", outside);
	assert_int_equal(mkdir(outside, 0700), 0);
	put(file, "x");
	assert_int_equal(symlink(outside, at(f, "workspace/dir")), 0);
	assert_int_equal(symlink(file, at(f, "workspace/file")), 0);
	assert_int_equal(symlink("/nonexistent", at(f, "workspace/dangling")), 0);
	assert_int_equal(mkfifo(at(f, "workspace/pipe"), 0666), 0);
	assert_int_equal(mkdir(at(f, "workspace/closed"), 0700), 0);
	put(at(f, "workspace/closed/x"), "x");
	assert_int_equal(chmod(at(f, "workspace/closed"), 0), 0);
	assert_ok(files_delete(f->files, USER, FIRST, &e), &e);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_not_equal(access(at(f, ""), F_OK), 0);
}

/* Directories in each other, deeper than any path can name. */
static void dig(const char *from, int depth)
{
	int fd = open(from, O_RDONLY | O_DIRECTORY), next;

	for (int i = 0; i < depth; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
}

static void delete_reaches_any_depth(void **state)
{
	struct rlimit usual, few = { .rlim_cur = 128 };
	struct scratch *f = *state;
	struct err e = ERR_INIT;

	make(f);
	dig(at(f, "workspace"), 3000);
	dig(at(f, ".openclaw"), 65);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few.rlim_max = usual.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_ok(files_delete(f->files, USER, FIRST, &e), &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	assert_int_not_equal(access(at(f, ""), F_OK), 0);
}

/* Killed at some point, again and again, until it is done. */
static void delete_goes_on_where_it_was_killed(void **state)
{
	struct scratch *f = *state;
	struct err e = ERR_INIT;
	bool exists = true;

	make(f);
	dig(at(f, "workspace"), 500);
	for (int i = 0; i < 2000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "workspace/file-%d", i);
		put(at(f, name), "x");
	}
	for (useconds_t us = 200; exists; us += us / 2) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(files_delete(f->files, USER, FIRST, &e) < 0);
		usleep(us);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_ok(files_exists(f->files, USER, FIRST, &exists, &e), &e);
	}
	assert_ok(files_delete(f->files, USER, FIRST, &e), &e);
}

static void full_disk_is_told_and_leaves_the_old_config(void **state)
{
	struct scratch *f = *state;
	char *large = malloc(FILES_CONFIG_MAX + 1);
	struct files *files = NULL;
	struct err e = ERR_INIT;
	char dir[128], user[256];

	snprintf(dir, sizeof(dir), "%s/small", f->dir);
	snprintf(user, sizeof(user), "%s/" USER "/" FIRST "/.openclaw/openclaw.json", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("tmpfs", dir, "tmpfs", 0, "size=64k") < 0) {
		free(large);
		print_message("  no file system can be mounted here\n");
		skip();
	}
	memset(large, 'x', FILES_CONFIG_MAX);
	large[FILES_CONFIG_MAX] = 0;
	assert_ok(files_open(dir, &files, &e), &e);
	assert_ok(files_make(files, USER, FIRST, &e), &e);
	assert_ok(files_write_config(files, USER, FIRST, "{}", NULL, &e), &e);
	assert_fails(files_write_config(files, USER, FIRST, large, NULL, &e), &e, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "no space left"));
	expect(user, S_IFREG | 0600, UID);
	assert_ok(files_write_config(files, USER, FIRST, "{\"room\":1}", NULL, &e), &e);
	assert_ok(files_delete(files, USER, FIRST, &e), &e);
	files_close(files);
	umount(dir);
	free(large);
}

struct found {
	int count, enough;
};

static bool on_instance(const char *user_id, const char *instance_id, void *ctx)
{
	struct found *found = ctx;

	assert_string_equal(user_id, USER);
	assert_true(strcmp(instance_id, FIRST) == 0 || strcmp(instance_id, SECOND) == 0);
	return ++found->count < found->enough;
}

static void instances_on_disk_are_listed(void **state)
{
	struct found all = { .enough = 99 }, one = { .enough = 1 }, none = { .enough = 99 };
	struct scratch *f = *state;
	struct err e = ERR_INIT;
	char path[128];

	assert_ok(files_each(f->files, on_instance, &none, &e), &e);
	assert_int_equal(none.count, 0);
	make(f);
	assert_ok(files_make(f->files, USER, SECOND, &e), &e);
	snprintf(path, sizeof(path), "%s/lost+found", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/" FIRST, f->dir); /* a file where a user would be */
	put(path, "x");
	snprintf(path, sizeof(path), "%s/" USER "/notes", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_ok(files_each(f->files, on_instance, &all, &e), &e);
	assert_int_equal(all.count, 2);
	assert_ok(files_each(f->files, on_instance, &one, &e), &e);
	assert_int_equal(one.count, 1);
}

static void data_dir_is_checked(void **state)
{
	static const char *const cases[] = { "", "data", "/dev/null", "/nonexistent/data",
		                             "/proc/data" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct files *files = NULL;
		struct err e = ERR_INIT;

		print_message("  '%s'\n", cases[i]);
		assert_fails(files_open(cases[i], &files, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "DATA_DIR");
	}
}

/* As someone who may not give files away. */
static void data_dir_of_an_ordinary_user_is_refused(void **state)
{
	struct scratch *f = *state;
	char path[128];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/own", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		struct files *files = NULL;
		struct err e = ERR_INIT;

		if (setgid(12345) < 0 || setuid(12345) < 0)
			_exit(2);
		_exit(files_open(path, &files, &e) == -1 && strcmp(e.field, "DATA_DIR") == 0 ? 0
		                                                                             : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(rmdir(path), 0); /* nothing is left in it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(directories_are_made_and_mended, setup, teardown),
		cmocka_unit_test_setup_teardown(link_in_the_place_of_a_directory_is_not_followed,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(config_is_written_when_it_differs, setup, teardown),
		cmocka_unit_test_setup_teardown(config_takes_the_place_of_anything, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(half_a_config_of_a_crash_is_replaced, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(config_needs_the_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(delete_takes_the_user_with_the_last_instance, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(delete_follows_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(delete_reaches_any_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(delete_goes_on_where_it_was_killed, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(full_disk_is_told_and_leaves_the_old_config, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(instances_on_disk_are_listed, setup, teardown),
		cmocka_unit_test(data_dir_is_checked),
		cmocka_unit_test_setup_teardown(data_dir_of_an_ordinary_user_is_refused, setup,
		                                teardown),
	};

	/* Giving files away takes root. */
	if (geteuid() != 0) {
		printf("1..0 # SKIP not root\n");
		return 0;
	}
	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
