#ifndef DATABASE_H
#define DATABASE_H

#include "engine/internal.h"

/*
 * SQLite databases. A live one is copied through SQLite's backup API, in one read transaction: the
 * copy is whole, and holds what lies in the write-ahead log, while its owner goes on writing. The
 * file is opened below a directory that is held open, and no link is followed, so that whoever may
 * write there cannot lead us to another's database. Any thread.
 */
#define DATABASE_MAGIC_LEN 16

bool database_is(const unsigned char head[DATABASE_MAGIC_LEN]);

/* Is this the name of a journal, and which length has its database's name? 0: no. */
size_t database_journal_of(const char *name);

/*
 * A copy of parent/name, in a scratch file that has no name any more. ERR_UPSTREAM: SQLite cannot
 * copy it (damaged, locked for longer than some seconds, in need of a recovery by its owner).
 * keep_going is asked now and then; false is ERR_CONFLICT.
 */
struct database_copy_req {
	const struct engine *en;
	int parent;
	const char *name;
	bool (*keep_going)(void *ctx);
	void *ctx;
};
int database_copy(const struct database_copy_req *req, struct err *e);

/* PRAGMA integrity_check of a file that nobody else uses; of one that needs functions of its owner's
 * program, a walk through every table. ERR_UPSTREAM with what it found; ERR_INTERNAL, ERR_QUOTA: it is
 * this machine that cannot. */
int database_check(int parent, const char *name, struct err *e);

#endif
