#ifndef CATALOG_H
#define CATALOG_H

#include "engine/internal.h"

/* The ids of all manifests that a user has in the store. */
struct backup_ids {
	char (*ids)[MANIFEST_ID_SIZE];
	size_t count;
};
int catalog_backups(const struct engine *en, const char *user_id, struct backup_ids *ret,
                    struct err *e);
void backup_ids_done(struct backup_ids *ids); /* a zeroed one is fine */
static inline void own_backup_ids(struct backup_ids *ids)
{
	backup_ids_done(ids);
}

#endif
