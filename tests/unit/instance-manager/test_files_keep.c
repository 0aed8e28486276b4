#include "files_keep.h"

#include "scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

/* An assistant's files kept aside and put back: as they were, whatever they are, and after a crash
 * between any two calls. */

#define HOLE ((off_t)64 << 20)

static const char *at(const struct scratch *f, const char *part)
{
	static char path[4][512];
	static unsigned int next;
	char *out = path[next++ % 4];

	snprintf(out, sizeof(path[0]), "%s/" USER "/%s", f->dir, part);
	return out;
}

static void put(const struct scratch *f, const char *part, const char *text)
{
	FILE *file = fopen(at(f, part), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static bool has(const struct scratch *f, const char *part, const char *text)
{
	char buf[64] = "";
	OWN(fd) int fd = open(at(f, part), O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, buf, sizeof(buf) - 1) == (ssize_t)strlen(text) &&
	       strcmp(buf, text) == 0;
}

static bool is_there(const struct scratch *f, const char *part)
{
	struct stat st;

	return lstat(at(f, part), &st) == 0;
}

static int setup(void **state)
{
	struct scratch *f = calloc(1, sizeof(*f));
	struct err e = ERR_INIT;

	*state = f;
	if (!f || scratch_open(f) < 0 || files_make(f->files, USER, ID, &e) < 0)
		return -1;
	put(f, ID "/workspace/a.md", "as it was");
	return 0;
}

static int teardown(void **state)
{
	scratch_close(*state);
	free(*state);
	return 0;
}

static void keep(const struct scratch *f)
{
	struct err e = ERR_INIT;

	if (files_keep(f->files, USER, ID, &e) < 0)
		fail_msg("%s", e.msg);
}

static void back(const struct scratch *f)
{
	struct err e = ERR_INIT;

	assert_int_equal(files_move_aside(f->files, USER, ID, &e), 0);
	assert_int_equal(files_put_back(f->files, USER, ID, &e), 0);
	assert_int_equal(files_drop_kept(f->files, USER, ID, &e), 0);
}

static void all_kinds_of_things_come_back(void **state)
{
	const struct timespec then[] = { { 1000000000, 123 }, { 1100000000, 456 } };
	struct scratch *f = *state;
	struct stat st, second;
	char target[64] = "";

	assert_int_equal(chmod(at(f, ID "/workspace/a.md"), 0640), 0);
	assert_int_equal(utimensat(AT_FDCWD, at(f, ID "/workspace/a.md"), then, 0), 0);
	assert_int_equal(link(at(f, ID "/workspace/a.md"), at(f, ID "/workspace/b.md")), 0);
	assert_int_equal(symlink("/etc/passwd", at(f, ID "/workspace/link")), 0);
	assert_int_equal(mkdir(at(f, ID "/workspace/shut"), 0500), 0);
	assert_int_equal(mkfifo(at(f, ID "/workspace/pipe"), 0600), 0);
	put(f, ID "/workspace/big", "x");
	assert_int_equal(truncate(at(f, ID "/workspace/big"), HOLE), 0);
	keep(f);

	put(f, ID "/workspace/a.md", "as the new one has it");
	put(f, ID "/workspace/new.md", "of the new one");
	assert_int_equal(unlink(at(f, ID "/workspace/link")), 0);
	back(f);
	assert_true(has(f, ID "/workspace/a.md", "as it was"));
	assert_false(is_there(f, ID "/workspace/new.md"));
	assert_int_equal(stat(at(f, ID "/workspace/a.md"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_mtim.tv_sec, then[1].tv_sec);
	assert_int_equal(st.st_mtim.tv_nsec, then[1].tv_nsec);
	assert_int_equal(stat(at(f, ID "/workspace/b.md"), &second), 0);
	assert_int_equal(st.st_ino, second.st_ino);
	assert_int_equal(readlink(at(f, ID "/workspace/link"), target, sizeof(target) - 1), 11);
	assert_string_equal(target, "/etc/passwd");
	assert_int_equal(lstat(at(f, ID "/workspace/shut"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0500);
	assert_int_equal(lstat(at(f, ID "/workspace/pipe"), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(stat(at(f, ID "/workspace/big"), &st), 0);
	assert_int_equal(st.st_size, HOLE);
	assert_true(st.st_blocks < 1024);
	assert_int_equal(stat(at(f, ID "/workspace"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	if (geteuid() == 0)
		assert_int_equal(st.st_uid, UID);
}

static void what_is_kept_is_not_kept_again(void **state)
{
	struct scratch *f = *state;

	keep(f);
	put(f, ID "/workspace/a.md", "changed since");
	keep(f);
	back(f);
	assert_true(has(f, ID "/workspace/a.md", "as it was"));
}

static void a_half_made_copy_is_begun_anew(void **state)
{
	struct scratch *f = *state;

	assert_int_equal(mkdir(at(f, ".kept-" ID ".new"), 0700), 0);
	put(f, ".kept-" ID ".new/half", "x");
	keep(f);
	assert_false(is_there(f, ".kept-" ID "/half"));
	assert_true(has(f, ".kept-" ID "/workspace/a.md", "as it was"));
}

/* What a crash leaves after each call is what the same calls go on from. */
static void each_call_may_be_repeated(void **state)
{
	struct scratch *f = *state;
	struct err e = ERR_INIT;

	keep(f);
	put(f, ID "/workspace/a.md", "new");
	assert_int_equal(files_move_aside(f->files, USER, ID, &e), 0);
	assert_false(is_there(f, ID));
	assert_int_equal(files_move_aside(f->files, USER, ID, &e), 0);
	assert_int_equal(files_put_back(f->files, USER, ID, &e), 0);
	assert_true(has(f, ID "/workspace/a.md", "as it was"));
	/* The row does not know it yet. */
	assert_int_equal(files_move_aside(f->files, USER, ID, &e), 0);
	assert_true(has(f, ID "/workspace/a.md", "as it was"));
	assert_int_equal(files_put_back(f->files, USER, ID, &e), 0);
	assert_int_equal(files_drop_kept(f->files, USER, ID, &e), 0);
	assert_int_equal(files_drop_kept(f->files, USER, ID, &e), 0);
	assert_true(has(f, ID "/workspace/a.md", "as it was"));
	assert_false(is_there(f, ".kept-" ID));
	assert_false(is_there(f, ".tried-" ID));
}

static void a_deletion_takes_what_is_kept_along(void **state)
{
	struct scratch *f = *state;
	struct err e = ERR_INIT;

	keep(f);
	assert_int_equal(files_delete(f->files, USER, ID, &e), 0);
	assert_false(is_there(f, ""));
}

static void too_deep_is_said(void **state)
{
	struct scratch *f = *state;
	struct err e = ERR_INIT;
	int fd = open(at(f, ID "/workspace"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < FILES_KEEP_DEPTH + 2; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(files_keep(f->files, USER, ID, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_false(is_there(f, ".kept-" ID));
	assert_int_equal(files_drop_kept(f->files, USER, ID, &e), 0);
	assert_int_equal(files_delete(f->files, USER, ID, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_kinds_of_things_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_kept_is_not_kept_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_half_made_copy_is_begun_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(each_call_may_be_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deletion_takes_what_is_kept_along, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(too_deep_is_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
