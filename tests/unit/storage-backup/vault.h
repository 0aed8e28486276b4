#ifndef VAULT_TEST_H
#define VAULT_TEST_H

#include "test.h"

#include "base/uuid.h"
#include "engine/engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * What the tests of backups share: a directory of their own with a store, an engine and an
 * instance's tree, and ways to say that two trees are the same to the byte, mode and time.
 */
#define USER     "11111111-1111-4111-8111-111111111111"
#define OTHER    "22222222-2222-4222-8222-222222222222"
#define INSTANCE "33333333-3333-4333-8333-333333333333"
#define SECRET   "0123456789abcdef0123456789abcdef"
#define UNUSED   __attribute__((unused))

struct vault {
	char root[64];
	struct storage *storage;
	struct engine *engine;
};

/* The clock that engines of the tests go by: moved by the tests. */
static long long vault_shift_ms;

UNUSED static long long vault_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000 + vault_shift_ms;
}

UNUSED static char *text_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
UNUSED static char *text_of(const char *fmt, ...)
{
	static char texts[8][5000];
	static size_t next;
	char *to = texts[next++ % 8];
	va_list args;

	va_start(args, fmt);
	vsnprintf(to, sizeof(texts[0]), fmt, args);
	va_end(args);
	return to;
}

UNUSED static void run(const char *const *argv)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (status != 0)
		fail_msg("%s ended with %d", argv[0], status);
}

UNUSED static void remove_all(const char *path)
{
	run((const char *[]){ "rm", "-rf", path, NULL });
}

UNUSED static void vault_open(struct vault *v)
{
	static const char *const secrets[] = { SECRET, NULL };
	struct storage_opt store = { 0 };
	struct engine_opt opt = { .secrets = secrets, .workers = 2, .now_ms = vault_now };
	struct err e = ERR_INIT;

	store.url = text_of("file://%s/store", v->root);
	assert_ok(storage_open(&store, &v->storage, &e), &e);
	opt.storage = v->storage;
	opt.scratch_dir = text_of("%s/scratch", v->root);
	assert_ok(engine_open(&opt, &v->engine, &e), &e);
}

UNUSED static void vault_close(struct vault *v)
{
	engine_close(TAKE(v->engine));
	storage_close(TAKE(v->storage));
}

UNUSED static const char *dir_of_instance(const struct vault *v)
{
	return text_of("%s/data/" USER "/" INSTANCE, v->root);
}

UNUSED static const char *in(const struct vault *v, const char *path)
{
	return text_of("%s/data/" USER "/" INSTANCE "/%s", v->root, path);
}

UNUSED static int vault_setup(void **state)
{
	struct vault *v = calloc(1, sizeof(*v));

	vault_shift_ms = 0;
	snprintf(v->root, sizeof(v->root), "/var/tmp/zaki-vault-XXXXXX");
	assert_non_null(mkdtemp(v->root));
	assert_int_equal(mkdir(text_of("%s/data", v->root), 0700), 0);
	assert_int_equal(mkdir(text_of("%s/data/" USER, v->root), 0700), 0);
	assert_int_equal(mkdir(dir_of_instance(v), 0700), 0);
	assert_int_equal(mkdir(in(v, ".openclaw"), 0750), 0);
	assert_int_equal(mkdir(in(v, "workspace"), 0700), 0);
	vault_open(v);
	*state = v;
	return 0;
}

UNUSED static int vault_teardown(void **state)
{
	struct vault *v = *state;

	vault_close(v);
	remove_all(v->root);
	free(v);
	return 0;
}

/* ---- making files ---------------------------------------------------------------------------- */

/* Bytes that do not compress and are the same for the same seed. */
UNUSED static void noise(uint64_t seed, void *to, size_t len)
{
	unsigned char *at = to;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		at[i] = (unsigned char)(seed >> 56);
	}
}

UNUSED static void put_bytes(const char *path, const void *data, size_t len, int flags)
{
	OWN(fd) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640);

	if (fd < 0)
		fail_msg("%s: %m", path);
	assert_int_equal(write(fd, data, len), len);
}

UNUSED static void put_text(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text), O_TRUNC);
}

UNUSED static void put_noise(const char *path, uint64_t seed, size_t len)
{
	OWN(mem) char *data = malloc(len + 1);

	noise(seed, data, len);
	put_bytes(path, data, len, O_TRUNC);
}

UNUSED static void old_times(const char *path, long long unix_s)
{
	struct timespec times[2] = { { unix_s, 123456789 }, { unix_s, 987654321 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

UNUSED static void sql(const char *path, const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* ---- comparing ------------------------------------------------------------------------------- */

UNUSED static void same_bytes(const char *a, const char *b)
{
	OWN(fd) int fa = open(a, O_RDONLY | O_CLOEXEC);
	OWN(fd) int fb = open(b, O_RDONLY | O_CLOEXEC);
	static char da[1 << 16], db[1 << 16];
	ssize_t na, nb;

	assert_true(fa >= 0 && fb >= 0);
	do {
		na = read(fa, da, sizeof(da));
		nb = read(fb, db, sizeof(db));
		if (na != nb || memcmp(da, db, (size_t)na) != 0)
			fail_msg("%s and %s differ", a, b);
	} while (na > 0);
}

UNUSED static void same_stat(const char *a, const struct stat *sa, const struct stat *sb)
{
	if (sa->st_mode != sb->st_mode || sa->st_uid != sb->st_uid || sa->st_gid != sb->st_gid)
		fail_msg("%s: mode or owner differ: %o %o", a, sa->st_mode, sb->st_mode);
	if (sa->st_mtim.tv_sec != sb->st_mtim.tv_sec || sa->st_mtim.tv_nsec != sb->st_mtim.tv_nsec)
		fail_msg("%s: times differ", a);
	if (!S_ISDIR(sa->st_mode) && sa->st_size != sb->st_size)
		fail_msg("%s: sizes differ: %ld %ld", a, sa->st_size, sb->st_size);
}

/* Everything in a is in b and the same; counts what it saw. */
UNUSED static size_t same_one_way(const char *a, const char *b, bool with_bytes)
{
	DIR *list = opendir(a);
	const struct dirent *entry;
	size_t count = 0;

	if (!list)
		fail_msg("%s: %m", a);
	while ((entry = readdir(list))) {
		char pa[4400], pb[4400], la[4096] = "", lb[4096] = "";
		struct stat sa, sb;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(pa, sizeof(pa), "%s/%s", a, entry->d_name);
		snprintf(pb, sizeof(pb), "%s/%s", b, entry->d_name);
		count++;
		if (lstat(pa, &sa) < 0 || lstat(pb, &sb) < 0)
			fail_msg("%s is not there: %m", pb);
		same_stat(pa, &sa, &sb);
		if (S_ISDIR(sa.st_mode))
			count += same_one_way(pa, pb, with_bytes);
		if (S_ISREG(sa.st_mode) && with_bytes)
			same_bytes(pa, pb);
		if (S_ISLNK(sa.st_mode)) {
			assert_true(readlink(pa, la, sizeof(la)) == readlink(pb, lb, sizeof(lb)));
			assert_memory_equal(la, lb, sizeof(la));
		}
	}
	closedir(list);
	return count;
}

UNUSED static void same_tree(const char *a, const char *b)
{
	assert_int_equal(same_one_way(a, b, true), same_one_way(b, a, false));
}

/* ---- the engine, with less to write ----------------------------------------------------------- */

UNUSED static const char *new_id(void)
{
	static char ids[16][UUID_SIZE];
	static size_t next;

	next = (next + 1) % 16;
	uuid_make(ids[next]);
	return ids[next];
}

UNUSED static struct engine_totals snapshot(const struct vault *v, const char *id, const char *base,
                                            bool is_full)
{
	struct engine_snapshot_req req = { .ref = { USER, INSTANCE, id },
		                           .dir = dir_of_instance(v),
		                           .is_full = is_full,
		                           .base_ids = { base } };
	struct engine_totals t = { 0 };
	struct err e = ERR_INIT;

	assert_ok(engine_snapshot(v->engine, &req, &t, &e), &e);
	return t;
}

/* Restores into an instance of another id; the answer is its directory. */
UNUSED static const char *restore(const struct vault *v, const char *backup_id, const char *to)
{
	char data[128];
	struct engine_restore_req req = { .ref = { USER, NULL, backup_id },
		                          .data_dir = data,
		                          .instance_id = to,
		                          .restore_id = new_id() };
	struct engine_totals t;
	struct err e = ERR_INIT;
	bool is_done = false;

	snprintf(data, sizeof(data), "%s/data", v->root);
	assert_ok(engine_restore_fetch(v->engine, &req, &t, &e), &e);
	assert_ok(engine_restore_swap(v->engine, &req, &is_done, &e), &e);
	assert_true(is_done);
	assert_ok(engine_restore_clean(v->engine, &req, &e), &e);
	return text_of("%s/%s/%s", data, USER, to);
}

UNUSED static void verify(const struct vault *v, const char *id)
{
	struct engine_ref ref = { USER, INSTANCE, id };
	struct engine_proof proof;
	struct err e = ERR_INIT;

	assert_ok(engine_verify(v->engine, &ref, NULL, &proof, &e), &e);
}

/* One bit of a file. */
UNUSED static void flip(const char *path, off_t at)
{
	OWN(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

#endif
