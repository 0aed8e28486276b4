#ifndef RECORD_H
#define RECORD_H

#include "instance.h"

/*
 * What is kept of who did what: the table operations has what people asked for and how far it has
 * come, audit_instance what they did and what was mended. All in a transaction of the caller's.
 */

/* A person's wish, which takes the place of one still under way. */
int record_begin(struct pg_conn *c, const struct instance *i, struct err *e);
int record_step(struct pg_conn *c, const char *instance_id, const char *step, struct err *e);
int record_end(struct pg_conn *c, const char *instance_id, const char *error, struct err *e);

/* Also an entry of the instance's timeline. actor: "user" or "platform". user_id and detail may be NULL. */
int record_audit(struct pg_conn *c, const struct instance *i, const char *actor, const char *action,
                 const char *detail, struct err *e);

#endif
