#ifndef BACKUP_H
#define BACKUP_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "engine/engine.h"
#include "messages.h"
#include "store/cursor.h"
#include "store/pg.h"

/*
 * The table `backups`. A backup is `done` once it lies in the store and was read back; before that
 * it is pending, running or failed, and never shown as done. `damaged`: it was, and a later proof
 * has failed. What people ask has their id in the statement: what is not theirs is not there.
 */
enum backup_kind {
	BACKUP_FULL,
	BACKUP_INCREMENTAL,
	BACKUP_MANUAL,
	BACKUP_CHECKPOINT,
	BACKUP_KIND_COUNT
};

const char *backup_kind_name(enum backup_kind k);
bool backup_kind_from(const char *name, enum backup_kind *ret);

struct backup {
	char id[UUID_SIZE], instance_id[UUID_SIZE], user_id[UUID_SIZE];
	enum backup_kind kind;
	char status[12];
	bool is_stored;
	long long created_us;
};

/* ERR_NOT_FOUND when the user has no such backup; user_id NULL: whoever's. */
int backup_load(struct pg_conn *c, const char *user_id, const char *id, struct backup *ret,
                struct err *e);
int backup_view_load(struct pg_conn *c, const char *user_id, const char *id, struct arena *a,
                     struct backup_view *ret, struct err *e);

/* A page of an instance's, newest first. instance_id NULL: of all; user_id NULL: whoever's. */
struct backup_page {
	const char *user_id, *instance_id;
	const struct cursor *after; /* NULL: from the start */
	long long limit;
};
int backup_list_load(struct pg_conn *c, const struct backup_page *page, struct arena *a,
                     struct backup_list *ret, struct err *e);

/* The new row's id. */
int backup_insert(struct pg_conn *c, const char *user_id, const char *instance_id,
                  enum backup_kind kind, char ret_id[UUID_SIZE], struct err *e);

int backup_started(struct pg_conn *c, const char *id, struct err *e);
int backup_stored(struct pg_conn *c, const char *id, const struct engine_totals *t, struct err *e);
/* It is good, and kept for retention_days from now. */
int backup_done(struct pg_conn *c, const char *id, long long retention_days, struct err *e);
/* text: for people. is_again: it will be tried again by itself. */
int backup_failed(struct pg_conn *c, const char *id, const char *text, bool is_again,
                  struct err *e);
int backup_verified(struct pg_conn *c, const char *id, struct err *e);
int backup_proven(struct pg_conn *c, const char *id, struct err *e);

/* What came of starting the assistant from it. */
struct backup_trial {
	long long ms;
	const char *error; /* NULL: it started */
};
int backup_tried(struct pg_conn *c, const char *id, const struct backup_trial *t, struct err *e);
int backup_damaged(struct pg_conn *c, const char *id, const char *text, struct err *e);

/* A file's time as a text: it may claim any, and what the text cannot say is 1970. NULL: out of memory. */
const char *backup_time(struct arena *a, long long unix_ms);

/* Good ones of the instance, newest first, to lean the next one on. */
struct backup_bases {
	char ids[ENGINE_BASES_MAX][UUID_SIZE];
	size_t count;
};
int backup_bases(struct pg_conn *c, const char *user_id, const char *instance_id,
                 struct backup_bases *ret, struct err *e);

#endif
