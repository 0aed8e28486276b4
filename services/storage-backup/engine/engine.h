#ifndef ENGINE_H
#define ENGINE_H

#include "store/storage.h"

/*
 * Backups of an assistant's directory, proven and restored. docs/BACKUP_FORMAT.md says what lies in
 * the store. A struct engine is read-only once open: any thread, any number of calls at a time; a
 * call runs on its caller's thread and on workers of its own which end with it. It blocks for as
 * long as the work takes, and asks on_progress whether to go on.
 *
 * Memory: at most 64 MiB a call whatever the size, as long as no directory holds more than
 * ENGINE_DIR_NAMES_MAX bytes of names and a backup no more than ENGINE_PACKS_MAX packs (4 TiB). What
 * may grow beyond lies in scratch files, which have no name and end with the call.
 *
 * Who runs what: the store has no locks. At most one snapshot of an instance and one prune of a user
 * at a time are the caller's to see to (leases). Where that fails, say because a lease ran out under
 * a process that still lives, nothing is lost: packs have random names and are never overwritten, and
 * prune deletes only what has been unreferenced for its whole grace, while a snapshot which takes
 * half of the least grace fails instead of committing.
 *
 * After kill -9 at any point every call may be repeated with the same arguments, and each backup that
 * was listed before can be restored. fault_point()s name the steps.
 *
 * Errors, beside those of storage.h: ERR_NOT_FOUND no such backup, path or directory; ERR_CONFLICT
 * on_progress said stop; ERR_INVALID a path or id that is none; ERR_UPSTREAM an object is damaged, of
 * another user or backup, or missing: the message names it; ERR_FORBIDDEN it was made with another
 * ENCRYPTION_KEY; ERR_QUOTA a disk is full; ERR_TOO_LARGE past a limit above.
 */
#define ENGINE_PATH_MAX      4096
#define ENGINE_DIR_NAMES_MAX (16 << 20)
#define ENGINE_PACKS_MAX     (512 << 10)
#define ENGINE_BASES_MAX     4
#define ENGINE_GRACE_MIN_S   43200 /* of prune; a snapshot must be done within half of it */
#define ENGINE_GRACE_S       86400 /* of prune, unless there is reason for another */
#define ENGINE_BLOB_MAX      (32 << 20)

struct engine;

struct engine_opt {
	struct storage *storage; /* borrowed for the engine's life */
	const char *const
		*secrets; /* ENCRYPTION_KEYs, NULL-ended: the first seals, all open. Copied */
	const char *scratch_dir; /* absolute, on a disk: copies of databases lie there for a while.
		               * NULL: for whoever makes and proves nothing, such calls fail */
	int workers;             /* threads beside the caller's, a call; 0: one a core, at most 4 */
	long long (*now_ms)(void); /* unix ms, for tests; NULL: the clock */
};

/* ERR_INVALID names the field ENCRYPTION_KEY. Calls sodium_init(). */
int engine_open(const struct engine_opt *opt, struct engine **ret, struct err *e);
void engine_close(struct engine *en); /* NULL is fine */

/* Which backup. All three are UUIDs. instance_id NULL, in calls that read: whichever it is of. */
struct engine_ref {
	const char *user_id;
	const char *instance_id;
	const char *backup_id;
};

struct engine_progress {
	const char *step; /* "scan", "copy", "commit", "verify", "fetch", "compare" */
	long long files_done, files_total;
	long long bytes_done, bytes_total; /* a total may be off while the assistant writes */
	long long bytes_stored;            /* that travelled to the store */
	int percent;                       /* 0 to 100; 100 only once all is done */
};

/* What happened to a path, for people to know; the backup is good all the same. */
enum engine_note_kind {
	ENGINE_NOTE_CHANGED = 1, /* changed at each of the readings: holds what the last one saw */
	ENGINE_NOTE_VANISHED,    /* was there when its directory was read, then no more */
	ENGINE_NOTE_SPECIAL,     /* a socket, pipe or device: not kept */
	ENGINE_NOTE_PLAIN_DB,   /* SQLite would not copy it: kept byte by byte, with its journals */
	ENGINE_NOTE_NO_BASE,    /* a base backup could not be read: path is its id */
	ENGINE_NOTE_BAD_OBJECT, /* damaged: path is its key. What was needed of it is stored anew */
};

/* Both are called on the thread that called the engine, at most some 20 times a second for progress.
 * Members may be NULL. */
struct engine_watch {
	bool (*on_progress)(void *ctx, const struct engine_progress *p); /* false: stop */
	void (*on_note)(void *ctx, enum engine_note_kind kind, const char *path);
	void *ctx;
};

/* ---- making --------------------------------------------------------------------------------- */

struct engine_snapshot_req {
	struct engine_ref ref; /* the new backup; its id is the caller's choice */
	const char *dir;       /* absolute: that which holds .openclaw and workspace */
	/* Read every file, check every pack relied on, and store anew what lies in packs that are
	 * mostly dead. Else files with the size, times and inode of the first base are not read. */
	bool is_full;
	const char *base_ids
		[ENGINE_BASES_MAX]; /* earlier backups of the user's, newest first; NULL: none */
	struct engine_watch watch;
};

struct engine_totals {
	long long files, dirs, links, notes;
	long long bytes;        /* of the files */
	long long chunks;       /* that the files consist of */
	long long chunks_new;   /* of these, stored by this backup */
	long long bytes_stored; /* by this backup: packs and manifest */
};

/*
 * The backup exists from the moment this returns 0, complete and durable, and never before. Where
 * a whole backup of this id lies there already (an earlier try that was killed before it could
 * say so), that one is what is answered.
 */
int engine_snapshot(struct engine *en, const struct engine_snapshot_req *req,
                    struct engine_totals *ret, struct err *e);

/* ---- proving -------------------------------------------------------------------------------- */

struct engine_proof {
	long long files, chunks, packs, bytes; /* read back and found good */
	long long databases;                   /* drill: that passed SQLite's integrity check */
	char bad_object[STORAGE_KEY_MAX +
	                1]; /* on ERR_UPSTREAM or ERR_NOT_FOUND: the damaged key */
};

/* Reads back every byte of every object that the backup relies on. On -1 ret->bad_object is set
 * where it was an object's fault, else "". */
int engine_verify(struct engine *en, const struct engine_ref *ref, const struct engine_watch *watch,
                  struct engine_proof *ret, struct err *e);

/* Restores it into a scratch directory, compares every file with what the manifest says, runs
 * PRAGMA integrity_check on every database, and removes the directory again. ERR_UPSTREAM names the
 * file that does not prove. keep_dir: absolute, not there yet: leaves the restored tree there; NULL:
 * below the engine's scratch directory. */
int engine_drill(struct engine *en, const struct engine_ref *ref, const char *keep_dir,
                 const struct engine_watch *watch, struct engine_proof *ret, struct err *e);

/* Removes a tree that a drill left at keep_dir, whatever has been done to it since: no link is followed.
 * Absent is fine. */
int engine_drill_forget(const char *keep_dir, struct err *e);

/* ---- restoring ------------------------------------------------------------------------------ */

/*
 * Three steps, each repeatable. The backup may be another instance's (ref.instance_id is the one
 * it was made of, or NULL).
 * fetch: builds <instance>.restore-<restore id> beside <instance>, complete and durable; the assistant
 *        may run. A leftover of an earlier try is removed first; one that is complete is kept.
 *        Where the disk is full nothing is left there.
 * swap:  the assistant must not run. One rename exchanges the two, or gives the new one its name
 *        where there was none. *ret_done: false when a former call had done it.
 * clean: removes what lies beside: after a swap the old state, before it (abandoned) the new one.
 */
struct engine_restore_req {
	struct engine_ref ref;
	const char *data_dir;    /* DATA_DIR: the directory lies in <data_dir>/<user id>/ */
	const char *instance_id; /* the one to restore into */
	const char *restore_id;  /* a UUID, of the caller's choice */
	struct engine_watch watch;
};

int engine_restore_fetch(struct engine *en, const struct engine_restore_req *req,
                         struct engine_totals *ret, struct err *e);
int engine_restore_swap(struct engine *en, const struct engine_restore_req *req, bool *ret_done,
                        struct err *e);
int engine_restore_clean(struct engine *en, const struct engine_restore_req *req, struct err *e);

/*
 * One file, link or directory with all below it, into the instance in place. path as the backup
 * names it, ".openclaw/…" or "workspace/…". It is built beside and put in by one rename; what is
 * missing above it is made. A database's journals are taken away just before it is put in. No link
 * below the instance's directory is followed.
 */
int engine_restore_path(struct engine *en, const struct engine_restore_req *req, const char *path,
                        struct engine_totals *ret, struct err *e);

/* ---- looking -------------------------------------------------------------------------------- */

struct engine_entry {
	const char *path; /* bytes, perhaps no UTF-8; never with a zero in it */
	char type;        /* 'f' file, 'd' directory, 'l' link */
	unsigned mode;    /* permission bits, 07777 */
	unsigned uid, gid;
	long long size;     /* of a file: bytes */
	long long mtime_ms; /* unix */
	const char *target; /* of a link, else NULL */
	bool is_database;   /* copied by SQLite */
	bool was_changing;  /* ENGINE_NOTE_CHANGED */
	char content[33];   /* of a file: equal for equal content, within one user */
};

/* In path order, directories before what is in them ('/' sorts before every other byte). under: ""
 * or a path, which is listed itself and all below it. on_entry returns false to end the listing. */
int engine_list(struct engine *en, const struct engine_ref *ref, const char *under,
                bool (*on_entry)(void *ctx, const struct engine_entry *entry), void *ctx,
                struct err *e);

/* One file's bytes, for the caller to free(), with a zero after them. ERR_NOT_FOUND: no such file in
 * this backup; ERR_TOO_LARGE: above max bytes. */
int engine_read(struct engine *en, const struct engine_ref *ref, const char *path, size_t max,
                char **ret, size_t *ret_len, struct err *e);

/* A directory entry's own change is its mode or owner alone. */
struct engine_change {
	char kind; /* '+' only in the second, '-' only in the first, '~' in both, and different */
	bool is_content; /* '~': content, type or target differ; else only mode or owner */
	const struct engine_entry *before, *after; /* NULL where it is not */
};

struct engine_diff_req {
	struct engine_ref ref;      /* the first */
	const char *with_backup_id; /* the second is this backup of the same user … */
	const char *with_dir;       /* … or this directory, as it is now */
	const char *under;          /* "" or a path */
	bool (*on_change)(void *ctx, const struct engine_change *c); /* false: enough */
	void *ctx;
};

/* What going from the first to the second would change, in path order. Times alone are no change.
 * The live databases are read through SQLite as in a snapshot. */
int engine_diff(struct engine *en, const struct engine_diff_req *req, struct err *e);

/* ---- the store as a whole ------------------------------------------------------------------- */

struct engine_backup {
	char backup_id[37], instance_id[37];
	bool is_full;
	long long created_ms; /* unix: when it was begun */
	struct engine_totals totals;
};

/* What the store itself says, without any database: who has backups, and which. A manifest that
 * cannot be read is reported with instance_id "". */
int engine_users(struct engine *en, bool (*on_user)(void *ctx, const char *user_id), void *ctx,
                 struct err *e);
int engine_backups(struct engine *en, const char *user_id,
                   bool (*on_backup)(void *ctx, const struct engine_backup *b), void *ctx,
                   struct err *e);

/* The user's backups that need one of these objects (keys of packs), as far as their manifests can be
 * read. on_backup returns false to end it. */
int engine_dependents(struct engine *en, const char *user_id, const char *const *objects,
                      size_t count, bool (*on_backup)(void *ctx, const char *backup_id), void *ctx,
                      struct err *e);

/* The backup is gone, its chunks are left to prune. Gone already is fine. */
int engine_delete(struct engine *en, const char *user_id, const char *backup_id, struct err *e);

struct engine_pruned {
	long long packs_live, packs_condemned, packs_deleted;
	long long bytes_live, bytes_condemned, bytes_deleted;
};

/*
 * Two phases in one call: packs that no manifest of the user's names are written down as condemned;
 * those that were condemned at least grace_s ago and are still named by none are deleted. A pack that
 * is named again is pardoned. All it needs to remember lies in the store. Any manifest that
 * cannot be read stops it before anything is deleted. grace_s: at least ENGINE_GRACE_MIN_S.
 */
int engine_prune(struct engine *en, const char *user_id, long long grace_s,
                 const struct engine_watch *watch, struct engine_pruned *ret, struct err *e);

struct engine_usage {
	long long backups, objects, bytes;
};
int engine_usage(struct engine *en, const char *user_id, struct engine_usage *ret, struct err *e);

/* Everything of a user's, at once and for good: an account that is deleted. */
int engine_erase_user(struct engine *en, const char *user_id, struct err *e);

/* Small sealed things beside the backups, such as the dump of the platform's tables: under
 * "platform/NAME", bound to their name, with keys of their own. NAME as a storage key. */
int engine_blob_put(struct engine *en, const char *name, const void *data, size_t len,
                    struct err *e);
int engine_blob_get(struct engine *en, const char *name, char **ret, size_t *ret_len,
                    struct err *e);
/* Those whose names begin so, in byte order; size: in the store. on_blob returns false to end it. */
int engine_blobs(struct engine *en, const char *prefix,
                 bool (*on_blob)(void *ctx, const char *name, long long size), void *ctx,
                 struct err *e);
/* Gone already is fine. */
int engine_blob_delete(struct engine *en, const char *name, struct err *e);

OWN_DEFINE(engine, struct engine *, engine_close)

#endif
