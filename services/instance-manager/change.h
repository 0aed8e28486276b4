#ifndef CHANGE_H
#define CHANGE_H

#include "bus/bus.h"
#include "instance_store.h"

/*
 * A person's change of what an instance is made of, in a transaction of the caller's that holds its
 * row (store_lock): written, audited under the name of what they did, and an operation of its own
 * where the instance runs and nothing else is under way. bot: NULL where it stays. *ret may be i.
 */
int change_write(struct pg_conn *db, const struct bus_ctx *who, struct instance *i,
                 const struct store_bot *bot, const char *action, struct instance *ret,
                 struct err *e);

/* The row, with its lock, of an instance that is not being deleted. */
int change_lock(struct pg_conn *db, const struct bus_ctx *who, const char *instance_id,
                struct instance *ret, struct err *e);

#endif
