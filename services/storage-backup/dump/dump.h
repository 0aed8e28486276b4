#ifndef DUMP_H
#define DUMP_H

#include "engine/engine.h"
#include "store/pg.h"

#include <stdint.h>

/*
 * The platform's own tables in the store: who has an account, which assistants there are, their tokens
 * and settings. Boxes below "platform/dumps/<dump id>/": parts, each some rows of one table as JSON,
 * and a head that is written last and names them all; a dump exists if and only if its head does.
 * docs/BACKUP_FORMAT.md, "Dumps". Ids begin with their time: sorted, the newest is the last.
 *
 * Nothing is kept in memory but one part (some 512 KiB, ENGINE_BLOB_MAX at most) and the head. Calls
 * block while the store does. Errors: those of engine.h's boxes.
 */
#define DUMP_ID_SIZE     34 /* 20261128T063000Z- and 16 hex digits */
#define DUMP_PART_BYTES  (512 << 10)
#define DUMP_PARTS_MAX   100000
#define DUMP_SCHEMAS_MAX 16
#define DUMP_NAME_SIZE   64

struct dump_schema {
	char service[DUMP_NAME_SIZE];
	long long version; /* the last migration that was applied */
};

struct dump_part {
	char table[DUMP_NAME_SIZE];
	uint64_t rows, len;
	unsigned char hash[32]; /* BLAKE2b-256 of its JSON */
};

struct dump_head {
	long long created_ms; /* unix: all rows are as they were then */
	struct dump_schema schemas[DUMP_SCHEMAS_MAX];
	size_t schema_count;
	struct dump_part *parts; /* owned */
	size_t part_count, part_size;
};

void dump_head_done(struct dump_head *h); /* a zeroed one is fine */
int dump_head_add(struct dump_head *h, const struct dump_part *part, struct err *e);
/* *ret is the caller's to free(). */
int dump_head_encode(const struct dump_head *h, unsigned char **ret, size_t *ret_len,
                     struct err *e);
/* ERR_UPSTREAM: is none, or of a format that is not known. */
int dump_head_decode(const void *data, size_t len, struct dump_head *ret, struct err *e);

void dump_id_make(long long unix_ms, char ret[DUMP_ID_SIZE]);
bool dump_id_is_valid(const char *id);

struct dump_watch {
	bool (*go_on)(void *ctx); /* false: stop, with ERR_CONFLICT. NULL: always */
	void *ctx;
};

struct dump_totals {
	long long rows, bytes; /* of the tables, as JSON */
};

/* One dump of one moment: a transaction that sees no later change. c: has none open. */
int dump_make(struct engine *en, struct pg_conn *c, const char *id, const struct dump_watch *w,
              struct dump_totals *ret, struct err *e);

/* Reads all of it back. The error names the object. */
int dump_check(struct engine *en, const char *id, const struct dump_watch *w,
               struct dump_totals *ret, struct err *e);

int dump_read_head(struct engine *en, const char *id, struct dump_head *ret, struct err *e);
/* A part's JSON: an array of rows, as PostgreSQL writes them; the caller's to free(). */
int dump_read_part(struct engine *en, const char *id, const struct dump_head *h, size_t number,
                   char **ret, struct err *e);

/* What lies in the store, oldest first. */
struct dump_found {
	char id[DUMP_ID_SIZE];
	bool is_whole; /* has a head; else being made, or left by a process that died */
	long long bytes_stored;
};
struct dump_list {
	struct dump_found *found; /* owned */
	size_t count, size;
};
int dump_list(struct engine *en, struct dump_list *ret, struct err *e);
void dump_list_done(struct dump_list *l); /* a zeroed one is fine */

/* The head first: what a crash leaves is no dump any more, and goes with the next clearing. */
int dump_delete(struct engine *en, const char *id, struct err *e);

/* Marks of accounts that were erased while dumps hold them: "platform/erased/<mark>". */
int dump_mark_erased(struct engine *en, const char *mark, const char *user_id, struct err *e);
int dump_unmark_erased(struct engine *en, const char *mark, struct err *e);
int dump_erased(struct engine *en,
                int (*on_user)(void *ctx, const char *user_id, const char *mark, struct err *e),
                void *ctx, struct err *e);

static inline void own_dump_head(struct dump_head *h)
{
	dump_head_done(h);
}

static inline void own_dump_list(struct dump_list *l)
{
	dump_list_done(l);
}

#endif
