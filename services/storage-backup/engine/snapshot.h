#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "engine/bases.h"
#include "engine/packer.h"
#include "engine/ring.h"
#include "engine/walk.h"

/*
 * A snapshot in the making. Three parts: the walk reads the directory and fills slots (snapshot_
 * read.c); workers name, compress and seal chunks; take puts chunks into packs and records into the
 * manifest (snapshot_take.c), in the order of the walk. Walk and take are one thread.
 */
#define SNAPSHOT_SLOTS     16
#define SNAPSHOT_WINDOW    (4 * CHUNK_MAX)
#define SNAPSHOT_PLAIN_MAX 64

enum slot_what {
	SLOT_RECORD, /* as it is: a directory, a link, a note */
	SLOT_FILE,   /* a file begins */
	SLOT_DATA,
	SLOT_HOLE,
	SLOT_KNOWN, /* a chunk of the base */
	SLOT_AGAIN, /* what came of the file is void: it is read once more */
	SLOT_FILE_END,
};

struct slot {
	enum slot_what what;
	struct record record; /* its views point to the two below, or to id */
	char path[ENGINE_PATH_MAX + 1], target[ENGINE_PATH_MAX + 1];
	unsigned char id[CHUNK_ID_LEN];
	size_t len;
	bool is_known;
	struct chunk_place known;
	size_t frame_len; /* 0: is_known */
	unsigned char data[CHUNK_MAX];
	unsigned char frame[CHUNK_FRAME_MAX];
	struct err failure;
};

struct extent {
	struct chunk_place place;
	uint64_t hole; /* its length; 0: a chunk */
	unsigned char id[CHUNK_ID_LEN];
	bool is_new;
};

/* Of the file that take is at. What does not fit the list lies in the scratch file before it. */
struct extents {
	struct extent *list;
	size_t count;
	int scratch;
	uint64_t spilled;
};

struct snapshot {
	const struct engine *en;
	const struct engine_snapshot_req *req;
	bool is_dry;       /* only names what is there: nothing is stored */
	const char *under; /* of a dry one: "" or a path */
	struct key_ring *ring_of_keys;
	const struct keys *keys;
	long long started_ms, started_mono_ms;
	struct pulse pulse;

	struct pack_table table;
	struct chunk_index *index;
	struct bases bases;
	struct packer *packer;
	struct chunk_codec *codecs[WORKERS_MAX + 1]; /* the last is take's */
	struct slot *slots[SNAPSHOT_SLOTS];
	struct ring *ring;

	/* the walk's */
	unsigned char *window;
	char *plain[SNAPSHOT_PLAIN_MAX]; /* databases that SQLite would not copy: paths */
	size_t plain_count;

	/* take's */
	struct record file;
	char file_path[ENGINE_PATH_MAX + 1];
	struct extents extents;
	struct manifest_writer *writer;
	struct manifest_head head;
	int scratch, out;
};

/*
 * What a backup of the directory would say, into a manifest of its own in a scratch file; stores
 * nothing. Chunks that are not in the store have a place that is none. The manifest's backup id is
 * the answer's; it names chunks by the keys of the backup that it is to be compared with.
 */
struct dry {
	int fd; /* the caller's to close */
	char backup_id[MANIFEST_ID_SIZE];
};
int snapshot_dry(const struct engine *en, const struct engine_snapshot_req *req, const char *under,
                 const struct keys *keys, struct dry *ret, struct err *e);

/* walk_to.on_item and .on_vanished: ctx is the snapshot. */
int snapshot_on_item(void *ctx, const struct walk_item *item, struct err *e);
int snapshot_on_vanished(void *ctx, const char *path, struct err *e);

/* ring_opt.work and .take */
void snapshot_work(void *ctx, void *slot, int worker);
int snapshot_take(void *ctx, void *slot, struct err *e);

#endif
