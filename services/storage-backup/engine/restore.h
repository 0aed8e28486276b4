#ifndef RESTORE_H
#define RESTORE_H

#include "engine/tree.h"

/* What restores of all kinds share. */

#define RESTORE_MARK ".restored"

/* Builds all of the backup below the open directory, durable: tree, directories, syncfs. */
int restore_build(const struct engine *en, const struct engine_ref *ref, const char *under, int dir,
                  struct pulse *pulse, struct engine_totals *ret, struct err *e);

/* DATA_DIR/<user>, open. */
int restore_home(const struct engine_restore_req *req, struct err *e);

#endif
