#ifndef BASES_H
#define BASES_H

#include "engine/chunk_index.h"
#include "engine/pack_table.h"

/*
 * What a new backup may rely on: the chunks of its base backups, and those of packs that lie in the
 * store without a manifest (of a try that was killed, or of backups that are no base), as long as they
 * are there, whole in size, and not condemned. A full backup reads them back, too.
 *
 * The first base is also walked beside the directory, in the same order, so that files which did
 * not change need not be read.
 */
struct bases {
	const struct engine *en;
	const struct key_ring *ring;
	const struct keys *keys; /* of what is made */
	const struct engine_snapshot_req *req;
	long long started_ms; /* of the snapshot */
	struct pulse *pulse;  /* of the snapshot: asked whether to go on */
	struct pack_table *table;
	struct chunk_index *index;

	bool is_list_lost; /* which packs are condemned cannot be read */
	bool has_first;
	struct stored_manifest first;
	uint32_t *first_packs; /* its pack numbers → the table's */
	uint64_t first_created_ms;
	struct record at; /* where the walk of it is */
	bool is_at_end;
	char plain[RECORD_PATH_MAX]; /* the last database that it notes as kept byte by byte */
	size_t plain_len;
};

/* Loads all. A base that cannot be read is noted and left out. */
int bases_load(struct bases *b, struct err *e);
void bases_done(struct bases *b); /* a zeroed one is fine */

/* The first base's file of this path, NULL if none, or if it is a database that SQLite would not copy;
 * paths must ascend. Its extents are then bases_extent(), as many as it says, before the next call. */
int bases_find(struct bases *b, const char *path, size_t len, const struct record **ret,
               struct err *e);
/* A chunk's place is in the table's numbers. */
int bases_extent(struct bases *b, struct record *ret, struct err *e);

/* May something new rely on this pack? */
bool bases_may_use(const struct bases *b, uint32_t pack);

#endif
