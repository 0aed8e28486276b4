#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store/pg.h"

/*
 * The schema's versions. Each service's sql/NNNN_name.sql files are rows of a table which the build
 * makes (tools/sqlgen.py → migrations.c). What was applied is in the table schema_migrations
 * (service, version, name, checksum, applied_at).
 */
struct migration {
	const char *service; /* "auth" */
	int version;         /* 1, 2, … without a hole, per service */
	const char *name;    /* "0001_users" */
	const char *sha256;  /* hex, of sql */
	const char *sql;
};

extern const struct migration migrations[];
extern const size_t migration_count;

/*
 * Applies what is missing, in the table's order, each in a transaction of its own, under an
 * advisory lock, as the owner's role; a crash leaves whole migrations only. ERR_CONFLICT: one that
 * was applied has another checksum now, or the database has one that this build does not know.
 * told is called for each one applied.
 */
int migrate_apply(const char *url, void (*told)(const struct migration *m, void *ctx), void *ctx,
                  struct err *e);

/* Those alone that wants() says yes to: a schema as it was at some time. */
int migrate_apply_some(const char *url, bool (*wants)(const struct migration *m, void *ctx),
                       void (*told)(const struct migration *m, void *ctx), void *ctx,
                       struct err *e);

/* Fails with ERR_CONFLICT unless the database has exactly this build's migrations of service. */
int migrate_check(struct pg_conn *c, const char *service, struct err *e);

#endif
