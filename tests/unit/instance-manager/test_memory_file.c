#include "memory/tree.h"

#include "scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

struct fixture {
	struct scratch s;
	struct memory_place place;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = ERR_INIT;

	*state = f;
	if (!f || scratch_open(&f->s) < 0)
		return -1;
	f->place = MEMORY_PLACE_INIT;
	return memory_place_lock(f->s.files, USER, ID, &f->place, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	memory_place_done(&f->place);
	scratch_close(&f->s);
	free(f);
	return 0;
}

static const char *at(const struct fixture *f, const char *path)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s/" USER "/" ID "/workspace/%s", f->s.dir, path);
	return text;
}

static int put(const struct fixture *f, const char *path, const char *text, const char *if_match,
               struct err *e)
{
	const struct memory_put p = { text, strlen(text), if_match, false };
	struct memory_info info;

	*e = ERR_INIT;
	return memory_write(&f->place, path, &p, &info, e);
}

static void assert_holds(const struct fixture *f, const char *path, const char *want, char *ret_tag)
{
	OWN(mem) char *data = NULL;
	struct memory_info info;
	struct err e = ERR_INIT;

	assert_ok(memory_read(&f->place, path, &data, &info, &e), &e);
	assert_string_equal(data, want);
	assert_int_equal(info.size, strlen(want));
	if (ret_tag)
		memcpy(ret_tag, info.tag, MEMORY_TAG_SIZE);
}

static void what_is_written_is_read_and_is_the_assistants(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	struct stat st;

	assert_ok(put(f, "notes/2026/a.md", "one", NULL, &e), &e);
	assert_holds(f, "notes/2026/a.md", "one", NULL);
	assert_int_equal(stat(at(f, "notes/2026/a.md"), &st), 0);
	assert_int_equal(st.st_uid, UID);
	assert_int_equal(st.st_gid, UID);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(stat(at(f, "notes"), &st), 0);
	assert_int_equal(st.st_uid, UID);
	assert_int_equal(chmod(at(f, "notes/2026/a.md"), 0600), 0);
	assert_ok(put(f, "notes/2026/a.md", "two", NULL, &e), &e);
	assert_int_equal(stat(at(f, "notes/2026/a.md"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ok(memory_remove(&f->place, "notes/2026/a.md", NULL, &e), &e);
	assert_fails(memory_remove(&f->place, "notes/2026/a.md", NULL, &e), &e, ERR_NOT_FOUND);
}

static void a_lost_update_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	const struct memory_put new = { "x", 1, NULL, true };
	struct memory_info info;
	char tag[MEMORY_TAG_SIZE], later[MEMORY_TAG_SIZE];

	assert_fails(put(f, "a", "1", MEMORY_ANY, &e), &e, ERR_CONFLICT);
	e = ERR_INIT;
	assert_ok(memory_write(&f->place, "a", &new, &info, &e), &e);
	assert_fails(memory_write(&f->place, "a", &new, &info, &e), &e, ERR_CONFLICT);
	assert_holds(f, "a", "x", tag);
	assert_string_equal(tag, info.tag);
	assert_ok(put(f, "a", "2", tag, &e), &e);
	assert_fails(put(f, "a", "3", tag, &e), &e, ERR_CONFLICT);
	assert_holds(f, "a", "2", later);
	e = ERR_INIT;
	assert_fails(memory_remove(&f->place, "a", tag, &e), &e, ERR_CONFLICT);
	e = ERR_INIT;
	assert_ok(put(f, "a", "4", MEMORY_ANY, &e), &e);
	assert_holds(f, "a", "4", later);
	assert_ok(memory_remove(&f->place, "a", later, &e), &e);
}

static void no_link_leads_out(void **state)
{
	struct fixture *f = *state;
	OWN(mem) char *data = NULL;
	struct memory_info info;
	struct err e = ERR_INIT;
	char secret[128];
	int fd;

	snprintf(secret, sizeof(secret), "%s/secret", f->s.dir);
	fd = open(secret, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
	assert_int_equal(symlink(secret, at(f, "link.md")), 0);
	assert_int_equal(symlink(f->s.dir, at(f, "out")), 0);
	assert_int_equal(symlink("..", at(f, "up")), 0);
	assert_int_equal(mkfifo(at(f, "pipe"), 0600), 0);
	assert_int_equal(mkdir(at(f, "folder"), 0700), 0);

	for (const char *const *p =
	             (const char *const[]){ "link.md", "out/secret", "up/memory.aside", "pipe",
	                                    "folder", "folder/x", NULL };
	     *p; p++) {
		print_message("  %s\n", *p);
		e = ERR_INIT;
		assert_fails(memory_read(&f->place, *p, &data, &info, &e), &e, ERR_NOT_FOUND);
		e = ERR_INIT;
		assert_fails(memory_remove(&f->place, *p, NULL, &e), &e, ERR_NOT_FOUND);
	}
	for (const char *const *p = (const char *const[]){ "link.md", "out/secret", "up/x", "pipe",
	                                                   "folder", NULL };
	     *p; p++) {
		print_message("  %s\n", *p);
		assert_fails(put(f, *p, "changed", NULL, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "path");
	}
	fd = open(secret, O_RDONLY);
	assert_int_equal(read(fd, secret, sizeof(secret)), 6);
	close(fd);
	assert_memory_equal(secret, "secret", 6);
}

static void a_long_file_is_shown_but_not_read(void **state)
{
	struct fixture *f = *state;
	OWN(mem) char *big = calloc(1, MEMORY_FILE_MAX);
	OWN(mem) char *data = NULL;
	const struct memory_put p = { big, MEMORY_FILE_MAX, NULL, false };
	struct memory_info info;
	struct err e = ERR_INIT;
	struct memory_page *page = calloc(1, sizeof(*page));
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_ok(memory_write(&f->place, "big", &p, &info, &e), &e);
	assert_ok(memory_read(&f->place, "big", &data, &info, &e), &e);
	assert_int_equal(info.size, MEMORY_FILE_MAX);
	assert_int_equal(truncate(at(f, "big"), MEMORY_FILE_MAX + 1), 0);
	free(TAKE(data));
	assert_fails(memory_read(&f->place, "big", &data, &info, &e), &e, ERR_TOO_LARGE);
	page->limit = 10;
	assert_ok(memory_list(&f->place, &a, page, &e), &e);
	assert_int_equal(page->count, 1);
	assert_string_equal(page->items[0].path, "big");
	assert_string_equal(page->items[0].info.tag, "");
	arena_done(&a);
	free(page);
}

static void pages_show_every_file_once(void **state)
{
	static const char *const paths[] = { "A.md", "a/b/c.md", "a/b/d", "a/z",
		                             "a.md", "b/1",      "b/2" };
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(paths); i++)
		assert_ok(put(f, paths[i], "x", NULL, &e), &e);
	assert_int_equal(mkdir(at(f, ".git"), 0700), 0);
	assert_int_equal(symlink("A.md", at(f, "b/link")), 0);
	assert_int_equal(mkdir(at(f, "empty"), 0700), 0);
	for (size_t limit = 1; limit <= COUNT(paths) + 1; limit++) {
		struct memory_page *page = calloc(1, sizeof(*page));
		char after[MEMORY_PATH_MAX + 1];
		size_t seen = 0;
		struct arena a;

		arena_init(&a, 1 << 20);
		do {
			page->limit = limit;
			assert_ok(memory_list(&f->place, &a, page, &e), &e);
			for (size_t i = 0; i < page->count; i++) {
				assert_true(seen < COUNT(paths));
				assert_string_equal(page->items[i].path, paths[seen++]);
				assert_int_equal(strlen(page->items[i].info.tag), 64);
			}
			memcpy(after, page->last, sizeof(after));
			page->after = after;
		} while (page->has_more);
		assert_int_equal(seen, COUNT(paths));
		arena_done(&a);
		free(page);
	}
}

#define WRITERS 8
#define ROUNDS  20

/* Reads a number, writes it one greater, and again where somebody else was faster. */
static void *count_up(void *ctx)
{
	struct fixture *f = ctx;

	for (int done = 0; done < ROUNDS;) {
		OWN(memory_place) struct memory_place place = MEMORY_PLACE_INIT;
		OWN(mem) char *data = NULL;
		struct memory_info info;
		struct memory_put p = { 0 };
		struct err e = ERR_INIT;
		char text[24];

		if (memory_place_open(f->s.files, USER, ID, &place, &e) < 0 ||
		    memory_read(&place, "n", &data, &info, &e) < 0)
			continue;
		memory_place_done(&place);
		if (memory_place_lock(f->s.files, USER, ID, &place, &e) < 0)
			continue;
		snprintf(text, sizeof(text), "%ld", strtol(data, NULL, 10) + 1);
		p = (struct memory_put){ text, strlen(text), info.tag, false };
		done += memory_write(&place, "n", &p, &info, &e) == 0;
	}
	return NULL;
}

static void of_many_writers_none_loses_an_update(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[WRITERS];
	struct err e = ERR_INIT;
	char want[24];

	assert_ok(put(f, "n", "0", NULL, &e), &e);
	memory_place_done(&f->place);
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, f), 0);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_ok(memory_place_open(f->s.files, USER, ID, &f->place, &e), &e);
	snprintf(want, sizeof(want), "%d", WRITERS * ROUNDS);
	assert_holds(f, "n", want, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_and_is_the_assistants,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_update_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(no_link_leads_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_file_is_shown_but_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_show_every_file_once, setup, teardown),
		cmocka_unit_test_setup_teardown(of_many_writers_none_loses_an_update, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
