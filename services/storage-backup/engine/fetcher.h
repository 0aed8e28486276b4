#ifndef FETCHER_H
#define FETCHER_H

#include "engine/internal.h"

/* Reads frames out of packs: ahead, since what lies behind one is mostly wanted next, and keeping
 * some stretches, since a backup's chunks lie in packs of several days. One thread. */
struct fetcher;

int fetcher_new(const struct engine *en, const struct stored_manifest *m, struct fetcher **ret,
                struct err *e);
void fetcher_free(struct fetcher *f); /* NULL is fine */

/* The frame's bytes, until the next call. ERR_UPSTREAM names the pack where it is too short. */
int fetcher_frame(struct fetcher *f, const struct chunk_place *place, const unsigned char **ret,
                  struct err *e);

OWN_DEFINE(fetcher, struct fetcher *, fetcher_free)

#endif
