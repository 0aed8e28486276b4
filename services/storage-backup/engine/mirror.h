#ifndef MIRROR_H
#define MIRROR_H

#include "engine/engine.h"

/*
 * A backup's files as plain objects, for people who reach the store with tools of their own:
 * users/<user>/.openclaw/… and users/<user>/workspace/… where the assistant has its person's seat, else
 * the same below users/<user>/instances/<instance>/. A store has no links, empty directories, modes and
 * times: they are not there. Nor is what mirror_is_left_out() names, since the store may read all of this.
 *
 * One works on an assistant's mirror at a time (leases); errors and memory are those of engine.h. No
 * error names a file. After kill -9 at any point what lies there is between held_id and backup_id, and
 * the same call made again mends it; without held_id it is right whatever lies there.
 */
#define MIRROR_RULES 1 /* grows with the table of what is left out: then all is compared anew */

struct mirror_place {
	const char *user_id, *instance_id;
	bool has_seat;
};

struct mirror_req {
	struct mirror_place place;
	const char *backup_id;
	/* The backup that lies there, whole and nothing else, or was about to be replaced by backup_id: only
	 * what differs travels. NULL, or one that is gone or damaged: everything is put, strays go. */
	const char *held_id;
	struct engine_watch watch;
};

struct mirror_totals {
	long long files, bytes; /* put */
	long long deleted;
	long long left_out; /* of the backup: secrets */
	long long unfit;    /* of the backup: names that no key can have, or too large */
};

int mirror_forward(struct engine *en, const struct mirror_req *req, struct mirror_totals *ret,
                   struct err *e);

/* All of it goes. Absent is fine. */
int mirror_remove(struct engine *en, const struct mirror_place *place,
                  const struct engine_watch *watch, struct mirror_totals *ret, struct err *e);

/* What lies in the store of a person's mirrors, whatever any database says. instance_id NULL: in the
 * seat. on_found returns false to end it. */
int mirror_find(struct engine *en, const char *user_id,
                bool (*on_found)(void *ctx, const char *instance_id), void *ctx, struct err *e);

/* Does a file of this path in a backup hold what the store must not read? *ret_why: for people. */
bool mirror_is_left_out(const char *path, const char **ret_why);

#endif
