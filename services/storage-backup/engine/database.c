#include "engine/database.h"

#include "base/uuid.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>

#define BUSY_MS     5000
#define STEP_PAGES  2048
#define CACHE_KIB   "-1024"
#define NAME_MAX_AT 320

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_vfs at_vfs;
static bool has_vfs;

static void own_sqlite(sqlite3 **db)
{
	sqlite3_close_v2(*db);
}

/*
 * The names we give begin with /proc/self/fd/N/, N an open directory. SQLite's own version of this
 * resolves links and uses what they point to at that moment; here the name stays as it is, so that
 * the kernel goes through the descriptor each time. SQLite opens the last part with O_NOFOLLOW.
 */
static int full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static void vfs_make(void)
{
	sqlite3_vfs *system_vfs;

	if (sqlite3_initialize() != SQLITE_OK)
		return;
	system_vfs = sqlite3_vfs_find(NULL);
	if (!system_vfs)
		return;
	at_vfs = *system_vfs;
	at_vfs.zName = "zaki-at";
	at_vfs.pNext = NULL;
	at_vfs.xFullPathname = full_pathname;
	has_vfs = sqlite3_vfs_register(&at_vfs, 0) == SQLITE_OK;
}

static int failed(struct err *e, const char *name, sqlite3 *db, int code)
{
	return err_set(e, code == SQLITE_FULL ? ERR_QUOTA : ERR_UPSTREAM, "database %.60s: %s",
	               name, db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

bool database_is(const unsigned char head[DATABASE_MAGIC_LEN])
{
	return memcmp(head, "SQLite format 3", DATABASE_MAGIC_LEN) == 0;
}

size_t database_journal_of(const char *name)
{
	static const char *const ends[] = { "-wal", "-shm", "-journal" };
	size_t len = strlen(name);

	for (size_t i = 0; i < COUNT(ends); i++) {
		size_t end_len = strlen(ends[i]);

		if (len > end_len && strcmp(name + len - end_len, ends[i]) == 0)
			return len - end_len;
	}
	return 0;
}

static int open_at(int parent, const char *name, int flags, sqlite3 **ret, struct err *e)
{
	char path[NAME_MAX_AT];
	int code;

	pthread_once(&once, vfs_make);
	if (!has_vfs)
		return err_set(e, ERR_INTERNAL, "SQLite does not start");
	if (snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, name) >= (int)sizeof(path))
		return err_set(e, ERR_UPSTREAM, "a database's name is too long");
	code = sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, at_vfs.zName);
	if (code != SQLITE_OK)
		return failed(e, name, *ret, code);
	sqlite3_busy_timeout(*ret, BUSY_MS);
	return 0;
}

static int run(sqlite3 *db, const char *name, const char *sql, struct err *e)
{
	int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failed(e, name, db, code);
}

static int copy_pages(const struct database_copy_req *req, sqlite3 *from, sqlite3 *to,
                      struct err *e)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	int code = SQLITE_OK;

	if (!b)
		return failed(e, req->name, to, sqlite3_errcode(to));
	while (code == SQLITE_OK && req->keep_going(req->ctx))
		code = sqlite3_backup_step(b, STEP_PAGES);
	sqlite3_backup_finish(b);
	if (code == SQLITE_DONE)
		return 0;
	if (code == SQLITE_OK)
		return err_set(e, ERR_CONFLICT, "told to stop");
	return failed(e, req->name, NULL, code);
}

/* Within one read transaction, else a writer's commit between two steps begins the copy anew. */
static int copy_into(const struct database_copy_req *req, int scratch, const char *tmp,
                     struct err *e)
{
	__attribute__((cleanup(own_sqlite))) sqlite3 *from = NULL;
	__attribute__((cleanup(own_sqlite))) sqlite3 *to = NULL;

	if (open_at(req->parent, req->name, SQLITE_OPEN_READONLY, &from, e) < 0 ||
	    run(from, req->name,
	        "PRAGMA cache_size = " CACHE_KIB "; BEGIN; SELECT 1 FROM sqlite_master LIMIT 1",
	        e) < 0)
		return -1;
	if (open_at(scratch, tmp, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &to, e) < 0 ||
	    run(to, tmp,
	        "PRAGMA cache_size = " CACHE_KIB
	        "; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
	        "PRAGMA locking_mode = EXCLUSIVE",
	        e) < 0)
		return -1;
	return copy_pages(req, from, to, e);
}

int database_copy(const struct database_copy_req *req, struct err *e)
{
	OWN(fd) int scratch = open(req->en->scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static const char *const ends[] = { "", "-journal", "-wal", "-shm" };
	char tmp[64] = "db-", name[80];
	int r, fd = -1;

	if (scratch < 0)
		return file_error(e, "scratch directory");
	random_hex(16, tmp + 3);
	r = copy_into(req, scratch, tmp, e);
	if (r == 0) {
		fd = openat(scratch, tmp, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			file_error(e, "scratch file");
	}
	for (size_t i = 0; i < COUNT(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", tmp, ends[i]);
		unlinkat(scratch, name, 0);
	}
	return fd;
}

/* SQLite 3.40 lacks it, and indexes and checks of newer databases use it. */
static void octet_length(sqlite3_context *ctx, int count, sqlite3_value **values)
{
	(void)count;
	if (sqlite3_value_type(values[0]) != SQLITE_NULL)
		sqlite3_result_int(ctx, sqlite3_value_bytes(values[0]));
}

/* What is wrong may be the file, or this machine: a disk that is full, no memory. */
static int check_failed(struct err *e, const char *name, sqlite3 *db, int code)
{
	int kind = code & 0xff;

	failed(e, name, db, code);
	if (e->code == ERR_UPSTREAM && kind != SQLITE_CORRUPT && kind != SQLITE_NOTADB)
		e->code = ERR_INTERNAL;
	return -1;
}

static int check_tree(sqlite3 *db, const char *name, const char *table, struct err *e)
{
	char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\" NOT INDEXED", table);
	int code = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return code == SQLITE_OK ? 0 : check_failed(e, name, db, code);
}

/* Of a database whose indexes or checks need a function or an order of its owner's program: what can be
 * seen without them is that every table can be walked from end to end. */
static int check_trees(sqlite3 *db, const char *name, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int code = sqlite3_prepare_v2(db,
	                              "SELECT name FROM sqlite_schema WHERE type = 'table'"
	                              " AND sql NOT LIKE 'create virtual %'",
	                              -1, &q, NULL);
	int r = 0;

	while (code == SQLITE_OK && r == 0 && (code = sqlite3_step(q)) == SQLITE_ROW) {
		r = check_tree(db, name, (const char *)sqlite3_column_text(q, 0), e);
		code = SQLITE_OK;
	}
	if (r == 0 && code != SQLITE_DONE)
		r = check_failed(e, name, db, code);
	sqlite3_finalize(q);
	return r;
}

static int check_rows(sqlite3 *db, const char *name, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int code = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &q, NULL);
	const char *found;
	int r = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(q);
	if (code == SQLITE_ERROR) {
		r = check_trees(db, name, e);
	} else if (code != SQLITE_ROW) {
		r = check_failed(e, name, db, code);
	} else {
		found = (const char *)sqlite3_column_text(q, 0);
		if (!found || strcmp(found, "ok") != 0)
			r = err_set(e, ERR_UPSTREAM, "database %.60s is damaged: %.80s", name,
			            found ? found : "no answer");
	}
	sqlite3_finalize(q);
	return r;
}

int database_check(int parent, const char *name, struct err *e)
{
	__attribute__((cleanup(own_sqlite))) sqlite3 *db = NULL;

	if (open_at(parent, name, SQLITE_OPEN_READWRITE, &db, e) < 0 ||
	    run(db, name, "PRAGMA cache_size = " CACHE_KIB, e) < 0)
		return -1;
	if (sqlite3_create_function(db, "octet_length", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
	                            octet_length, NULL, NULL) != SQLITE_OK)
		return err_set(e, ERR_INTERNAL, "SQLite: out of memory");
	return check_rows(db, name, e);
}
