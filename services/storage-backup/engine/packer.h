#ifndef PACKER_H
#define PACKER_H

#include "engine/pack_table.h"

/* Gathers new chunks into packs and stores each full one on a thread of its own, while the next is
 * filled. Owner: one thread. The table gets each pack when it is begun, its size when it ends. */
struct packer;

int packer_new(const struct engine *en, const struct keys *k, struct pack_table *table,
               struct packer **ret, struct err *e);
void packer_free(struct packer *p); /* waits for a store that is under way; NULL is fine */

/* Where the frame will lie. Fails with what an earlier pack's storing failed with. */
int packer_add(struct packer *p, const struct chunk_frame *frame, struct chunk_place *ret,
               struct err *e);
/* Stores what is left; on return all packs are in the store. */
int packer_finish(struct packer *p, struct err *e);
long long packer_stored(struct packer *p); /* bytes handed over so far */

OWN_DEFINE(packer, struct packer *, packer_free)

#endif
