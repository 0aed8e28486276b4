#ifndef TARGET_H
#define TARGET_H

#include "app.h"

/*
 * The table `backup_targets`: assistants that are backed up, whose they are, and when they are due.
 * instance-manager is asked who there is; one that it does not name any more is not backed up, and
 * what there is of it stays until its time.
 */

/* Whose is it? Asked of instance-manager where it is not known here. ERR_NOT_FOUND: not the user's,
 * or not there any more where is_live is wanted. */
int target_check(struct app *app, const struct bus_ctx *ctx, const char *instance_id, bool is_live,
                 struct err *e);

/* Of these the user's are known from now on. The first backup is due within minutes. */
int target_learn(struct pg_conn *c, const struct app *app, const char *instance_id,
                 const char *user_id, struct err *e);

#endif
