/* Files that change under the backup: it ends well, and of each file it holds one version that was
 * there, or says that the file was changing. */

#include "vault.h"

#include "base/fault.h"

#include <sys/socket.h>
#include <sys/un.h>

#define SIZE (3 << 20)

/* What the hook does: at the nth pass of a point, or at every one. */
static const struct vault *place;
static const char *at_point;
static int passes, at_pass; /* at_pass 0: every */
static void (*change)(void);

static void on_point(const char *name)
{
	if (strcmp(name, at_point) != 0)
		return;
	passes++;
	if (at_pass == 0 || passes == at_pass)
		change();
}

static const char *subject(void)
{
	return in(place, "workspace/subject");
}

static void grow(void)
{
	put_bytes(subject(), "and some more", 13, O_APPEND);
}

static void shrink(void)
{
	assert_int_equal(truncate(subject(), 100000), 0);
}

static void overwrite(void)
{
	OWN(fd) int fd = open(subject(), O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "other", 5, 10), 5);
	assert_int_equal(pwrite(fd, "other", 5, SIZE - 10), 5);
}

static void replace(void)
{
	const char *other = in(place, "workspace/subject.new");

	put_noise(other, 9, SIZE / 2);
	assert_int_equal(rename(other, subject()), 0);
}

static void vanish(void)
{
	assert_int_equal(unlink(subject()), 0);
}

static void become_link(void)
{
	vanish();
	assert_int_equal(symlink("/etc/passwd", subject()), 0);
}

static void become_dir(void)
{
	vanish();
	assert_int_equal(mkdir(subject(), 0700), 0);
}

static void become_pipe(void)
{
	vanish();
	assert_int_equal(mkfifo(subject(), 0600), 0);
}

static void become_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	OWN(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	vanish();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", subject());
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void lose_dir(void)
{
	remove_all(in(place, "workspace/dir"));
}

static void on_note(void *ctx, enum engine_note_kind kind, const char *path)
{
	char *to = ctx;

	snprintf(to, 128, "%d %s", kind, path);
}

/* A small tree; the subject lies between others that stay as they are. */
static void make(const struct vault *v)
{
	remove_all(text_of("%s/store/users", v->root));
	remove_all(in(v, "workspace"));
	run((const char *[]){ "mkdir", "-p", in(v, "workspace/dir/below"), NULL });
	put_text(in(v, "workspace/before"), "stays");
	put_text(in(v, "workspace/dir/below/file"), "stays");
	put_noise(subject(), 1, SIZE);
	put_text(in(v, "workspace/z-after"), "stays");
}

/* The answer is where it was restored to. */
static const char *back_up(const struct vault *v, char note[128])
{
	struct engine_snapshot_req req = { .ref = { USER, INSTANCE, new_id() },
		                           .dir = dir_of_instance(v),
		                           .watch = { .on_note = on_note, .ctx = note } };
	static char restored[512];
	struct engine_totals t = { 0 };
	struct err e = ERR_INIT;

	passes = 0;
	fault_hook = on_point;
	if (engine_snapshot(v->engine, &req, &t, &e) < 0) {
		fault_hook = NULL;
		fail_msg("the backup failed: %s", e.msg);
	}
	fault_hook = NULL;
	assert_true(passes > 0);
	assert_int_equal(t.notes, note[0] ? 1 : 0);
	verify(v, req.ref.backup_id);
	snprintf(restored, sizeof(restored), "%s", restore(v, req.ref.backup_id, new_id()));
	return restored;
}

static void others_are_there(const char *restored, bool with_dir)
{
	same_bytes(in(place, "workspace/before"), text_of("%s/workspace/before", restored));
	same_bytes(in(place, "workspace/z-after"), text_of("%s/workspace/z-after", restored));
	if (with_dir)
		same_bytes(in(place, "workspace/dir/below/file"),
		           text_of("%s/workspace/dir/below/file", restored));
}

/* The engine reads it again: what is kept is the file as it is now, or as it was before. */
static void what_changes_once_is_kept_as_it_was_or_is(void **state)
{
	static const struct {
		const char *what;
		void (*change)(void);
		bool is_old;
	} cases[] = {
		{ "it grows", grow, false },
		{ "it shrinks", shrink, false },
		{ "it is written over", overwrite, false },
		{ "another takes its name", replace, true },
		{ "it is removed", vanish, true },
	};
	const struct vault *v = *state;

	place = v;
	put_noise(text_of("%s/as-it-was", v->root), 1, SIZE);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char note[128] = "";
		const char *restored;

		make(v);
		at_point = "snapshot.chunk";
		at_pass = 5;
		change = cases[i].change;
		restored = back_up(v, note);
		assert_string_equal(note, "");
		same_bytes(cases[i].is_old ? text_of("%s/as-it-was", v->root) : subject(),
		           text_of("%s/workspace/subject", restored));
		others_are_there(restored, true);
		print_message("  %-24s while it is read: one whole version\n", cases[i].what);
	}
}

static void what_never_rests_is_named(void **state)
{
	const struct vault *v = *state;
	OWN(mem) char *now = malloc(SIZE + 4096), *kept = malloc(SIZE + 4096);
	char note[128] = "";
	const char *restored;
	struct stat st;

	place = v;
	make(v);
	at_point = "snapshot.read";
	at_pass = 0;
	change = grow;
	restored = back_up(v, note);
	/* The small ones beside it are read in the meantime, and stay. */
	assert_string_equal(note, text_of("%d workspace/subject", ENGINE_NOTE_CHANGED));
	assert_int_equal(stat(text_of("%s/workspace/subject", restored), &st), 0);
	assert_true(st.st_size >= SIZE && st.st_size < SIZE + 4096);
	{
		OWN(fd) int a = open(subject(), O_RDONLY | O_CLOEXEC);
		OWN(fd)
		int b = open(text_of("%s/workspace/subject", restored), O_RDONLY | O_CLOEXEC);

		assert_int_equal(read(a, now, (size_t)st.st_size), st.st_size);
		assert_int_equal(read(b, kept, (size_t)st.st_size), st.st_size);
		assert_memory_equal(now, kept,
		                    (size_t)st.st_size); /* what had been written by then */
	}
	others_are_there(restored, true);
}

static void what_is_gone_or_another_thing_is_named(void **state)
{
	static const struct {
		const char *what, *point;
		int pass;
		void (*change)(void);
		const char *path; /* that is named, and is not in the backup */
	} cases[] = {
		{ "removed", "snapshot.open", 3, vanish, "workspace/subject" },
		{ "a link", "snapshot.open", 3, become_link, "workspace/subject" },
		{ "a directory", "snapshot.open", 3, become_dir, "workspace/subject" },
		{ "a pipe", "snapshot.open", 3, become_pipe, "workspace/subject" },
		{ "a socket", "snapshot.open", 3, become_socket, "workspace/subject" },
		{ "its directory removed", "snapshot.open", 1, lose_dir, "workspace/dir" },
	};
	const struct vault *v = *state;

	place = v;
	for (size_t i = 0; i < COUNT(cases); i++) {
		bool is_dir = strcmp(cases[i].path, "workspace/dir") == 0;
		char note[128] = "";
		const char *restored;
		struct stat st;

		make(v);
		at_point = cases[i].point;
		at_pass = cases[i].pass;
		change = cases[i].change;
		restored = back_up(v, note);
		assert_string_equal(note, text_of("%d %s", ENGINE_NOTE_VANISHED, cases[i].path));
		assert_int_equal(lstat(text_of("%s/%s", restored, cases[i].path), &st), -1);
		others_are_there(restored, !is_dir);
		print_message("  %-24s before it is opened: named\n", cases[i].what);
	}
}

/* Opened already: what was in it is gone, the directory itself is kept. */
static void a_directory_may_go_while_it_is_read(void **state)
{
	const struct vault *v = *state;
	char note[128] = "";
	const char *restored;
	struct stat st;

	place = v;
	make(v);
	at_point = "snapshot.entry"; /* .openclaw, workspace, workspace/dir */
	at_pass = 3;
	change = lose_dir;
	restored = back_up(v, note);
	assert_string_equal(note, "");
	assert_int_equal(stat(text_of("%s/workspace/dir", restored), &st), 0);
	others_are_there(restored, false);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, vault_setup, vault_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_changes_once_is_kept_as_it_was_or_is),
		TEST(what_never_rests_is_named),
		TEST(what_is_gone_or_another_thing_is_named),
		TEST(a_directory_may_go_while_it_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
