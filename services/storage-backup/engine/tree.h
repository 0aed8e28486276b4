#ifndef TREE_H
#define TREE_H

#include "engine/internal.h"

/* Files as a restore builds them, below an open directory that nobody else writes to yet. */

/* Everything below dir that the manifest names under the path. *ret counts it. Not synced. */
int tree_build(const struct engine *en, struct stored_manifest *m, const char *under, int dir,
               struct pulse *pulse, struct engine_totals *ret, struct err *e);

/* Modes, owners and times of the directories, which writing into them would undo. m: opened anew. */
int tree_finish_dirs(struct stored_manifest *m, const char *under, int dir, struct err *e);

/* Owner, mode and times of what is open. Who is not root may not give files away: that is no error. */
int tree_own(int fd, const struct record *r, struct err *e);

/* parent/name with all below it, however deep; links are removed, not followed. Gone already is fine. */
int tree_remove(int parent, const char *name, struct err *e);

#endif
