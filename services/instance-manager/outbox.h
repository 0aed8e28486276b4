#ifndef INSTANCE_OUTBOX_H
#define INSTANCE_OUTBOX_H

#include "decide.h"
#include "instance.h"
#include "svc/outbox.h"

/* Events of instances (svc/outbox.h), in a transaction of the caller's. in: the subject's message. */
int outbox_tell(struct pg_conn *c, enum subject_id subject, const char *key, const char *trace_id,
                const void *in, struct err *e);

/* What is told of an instance, by the name of the event. reason "": none. Status and channel are
 * also entries of its timeline. */
int outbox_add_status(struct pg_conn *c, const struct instance *i, struct err *e);
int outbox_add_channel(struct pg_conn *c, const struct instance *i, const char *reason,
                       struct err *e);
int outbox_add_drift(struct pg_conn *c, const char *instance_id, const char *trace_id,
                     enum drift drift, const char *text, struct err *e);
/* An upgrade's end, good or bad. */
int outbox_add_upgraded(struct pg_conn *c, const struct instance *i, struct err *e);
int outbox_add_deleted(struct pg_conn *c, const struct instance *i, struct err *e);

#endif
