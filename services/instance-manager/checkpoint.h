#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "app.h"

/* The backup that storage-backup makes before something that cannot be undone. */
#define CHECKPOINT_STATUS_SIZE 16

/* Asks for one that was begun after since_ms (unix), or how far it is: "pending", "running", "done",
 * "failed" or "damaged". reason: "delete" or "upgrade". -1: storage-backup does not answer. */
int checkpoint_ask(struct app *app, const struct instance *i, const char *reason,
                   long long since_ms, char ret_status[CHECKPOINT_STATUS_SIZE], struct err *e);

bool checkpoint_is_failed(const char *status);

#endif
