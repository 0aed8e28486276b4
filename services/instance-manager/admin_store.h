#ifndef ADMIN_STORE_H
#define ADMIN_STORE_H

#include "instance_page.h"

/* The table `instances` as the operator reads and changes it: no user's id is asked for, since it is
 * asked on no person's behalf. Only zakictl's user of the bus comes here (deploy/nats). */

int admin_list(struct pg_conn *c, struct arena *a, struct instance_page *page, struct err *e);

/* ERR_NOT_FOUND. *ret_now_ms: the database's time, with which it compares others. */
int admin_load(struct pg_conn *c, const char *id, struct instance *ret, long long *ret_now_ms,
               struct err *e);
/* The same, and nobody else writes it until the transaction ends. */
int admin_lock(struct pg_conn *c, const char *id, struct instance *ret, struct err *e);

/* Writes down the wish: i's upgrade_to, upgrade_ms and trace id. With its operation and what is kept of
 * it, in the caller's transaction. */
int admin_want_upgrade(struct pg_conn *c, const struct instance *i, struct err *e);

/* The operation under way of an instance; "" when there is none. */
int admin_operation(struct pg_conn *c, const char *instance_id, char ret[UUID_SIZE], struct err *e);

#endif
