#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "base/fault.h"
#include "engine/engine.h"
#include "format/manifest.h"

#include <sys/stat.h>

/* What the parts of the engine share. */

#define SECRETS_MAX 8
#define WORKERS_MAX 4

struct engine {
	struct storage *storage;
	size_t secret_count;
	char *secrets[SECRETS_MAX];
	char *scratch_dir;
	int workers;
	long long (*now_ms)(void);
};

/* A user's keys, one per secret; [0] seals. */
struct key_ring {
	size_t count;
	struct keys keys[];
};

int key_ring_new(const struct engine *en, const char *user_id, struct key_ring **ret,
                 struct err *e);
void key_ring_free(struct key_ring *k);
OWN_DEFINE(key_ring, struct key_ring *, key_ring_free)

/* UUIDs all; instance_id may be NULL. */
int ref_check(const struct engine_ref *ref, struct err *e);

struct key_text {
	char text[STORAGE_KEY_MAX + 1];
};
struct key_text key_of_manifest(const char *user_id, const char *backup_id);
struct key_text key_of_pack(const char *user_id, const unsigned char id[PACK_ID_LEN]);
struct key_text key_of_packs(const char *user_id);
struct key_text key_of_manifests(const char *user_id);
struct key_text key_of_condemned(const char *user_id);
struct key_text key_of_user(const char *user_id);

/* A manifest in the store, open. Names the object in its errors. */
struct stored_manifest {
	struct key_ring *ring;
	struct storage *storage;
	struct key_text key;
	struct manifest_reader *reader;
};
int stored_manifest_open(const struct engine *en, const struct engine_ref *ref,
                         struct stored_manifest *ret, struct err *e);
int stored_manifest_head(const struct engine *en, const struct engine_ref *ref,
                         struct manifest_head *ret, struct err *e);
void stored_manifest_done(struct stored_manifest *m); /* a zeroed one is fine */
static inline void own_stored_manifest(struct stored_manifest *m)
{
	stored_manifest_done(m);
}
/* manifest_next(), naming the object. */
int stored_manifest_next(struct stored_manifest *m, struct record *ret, bool *ret_is_end,
                         struct err *e);

void totals_of_head(const struct manifest_head *h, struct engine_totals *ret);

/* The scratch directory, made where it is missing; leftovers of processes that died are removed. */
int scratch_make(const char *path, struct err *e);
/* An empty file without a name, in the scratch directory. -1 with *e. */
int scratch_file(const struct engine *en, struct err *e);
/* Puts the object's key before the message, whole: who reads it must find the object. Returns -1. */
int object_error(struct err *e, const char *key);
/* errno as an error of ours; what: the path or thing. */
int file_error(struct err *e, const char *what);

/* Tells the watcher, at most every 50 ms unless it is forced; ERR_CONFLICT where it says stop. */
struct pulse {
	const struct engine_watch *watch;
	struct engine_progress progress;
	long long last_ms;
};
int pulse_tell(struct pulse *p, bool is_forced, struct err *e);

#endif
