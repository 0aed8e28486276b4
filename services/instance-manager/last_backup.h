#ifndef LAST_BACKUP_H
#define LAST_BACKUP_H

#include "app.h"

/* The backup that is made of an instance before its files are deleted. Where storage-backup is away
 * for LAST_BACKUP_WAIT_S since the deletion was asked for, or the backup fails, it is deleted without:
 * a person's wish to be rid of it does not wait for ever. */
#define LAST_BACKUP_WAIT_S 600

/* Asks for it, or how far it is. *ret_again_ms: when to look again, in milliseconds; 0: the files may go. */
int last_backup(struct app *app, const struct instance *i, long long *ret_again_ms, struct err *e);

#endif
