#ifndef DISASTER_H
#define DISASTER_H

#include "dump/dump.h"
#include "engine/engine.h"
#include "store/pg.h"

/*
 * The return of a whole platform from its store, in steps that are written down in the database
 * (disaster_restore, disaster_assistants), so that one that was killed goes on where it was:
 *
 * load:   the tables, from a dump, in one transaction. Every assistant is held: none is started
 *         without its files. A crash before its commit leaves an empty platform.
 * choose: what the store has of each person's backups, and the newest good one of each assistant; its
 *         restore is asked of storage-backup. A transaction a person.
 * follow: until all of them have ended; where one cannot be restored, the one before it is tried.
 */
struct disaster {
	struct engine *engine;
	struct pg_conn *c;
	const char *identity_key; /* "": not given */
	bool is_dry;              /* all in the caller's transaction, which is rolled back */
	bool drops_factors;
};

/* What a dump is for people. */
struct disaster_dump {
	char id[DUMP_ID_SIZE];
	struct dump_head head;
};

/* disaster_dump.c: the newest dump that reads back whole, or that of the id; says which are not
 * good. ERR_NOT_FOUND: there is none. ERR_FORBIDDEN: another ENCRYPTION_KEY made it. */
int disaster_find(struct engine *en, const char *id, struct disaster_dump *ret, struct err *e);

/* disaster_load.c, in a transaction of the caller's. ERR_CONFLICT: the platform is not empty, or its
 * schema is another than the dump's. ERR_INVALID: IDENTITY_KEY is wrong or missing. */
int disaster_load(const struct disaster *d, const struct disaster_dump *dump, struct err *e);

/* disaster_files.c */
int disaster_choose(const struct disaster *d, struct err *e);
int disaster_follow(const struct disaster *d, struct err *e);
/* *ret_failed: assistants that have backups and could not be given one. */
int disaster_end(const struct disaster *d, long long *ret_failed, struct err *e);

#endif
