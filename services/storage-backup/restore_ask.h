#ifndef RESTORE_ASK_H
#define RESTORE_ASK_H

#include "job.h"

/* Asks for the restore of j->backup_id into j->instance_id, both of j->user_id: the row, the job (with
 * the restore's id) and the event. path NULL: all of it. In a transaction of the caller's. */
int restore_ask(struct pg_conn *db, struct job *j, const char *path, struct err *e);

#endif
