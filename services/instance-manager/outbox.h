#ifndef OUTBOX_H
#define OUTBOX_H

#include "bus/bus.h"
#include "decide.h"
#include "instance.h"
#include "store/pg.h"

/*
 * Events wait in the table event_outbox, written in the transaction of the change that they tell
 * of; a thread publishes them in order and removes each once the stream has it. An absent bus or a
 * crash delays events and loses none; one that was published just before a crash is published
 * again under the same message id, which the stream keeps once.
 */

/* In a transaction of the caller's. in: the subject's message. */
int outbox_add(struct pg_conn *c, enum subject_id subject, const char *key, const char *trace_id,
               const void *in, struct err *e);

/* What is told of an instance, by the name of the event. reason "": none. Status and channel are
 * also entries of its timeline. */
int outbox_add_status(struct pg_conn *c, const struct instance *i, struct err *e);
int outbox_add_channel(struct pg_conn *c, const struct instance *i, const char *reason,
                       struct err *e);
int outbox_add_drift(struct pg_conn *c, const char *instance_id, const char *trace_id,
                     enum drift drift, const char *text, struct err *e);
int outbox_add_deleted(struct pg_conn *c, const struct instance *i, struct err *e);

struct outbox; /* the publisher */

int outbox_start(struct pg_pool *db, struct bus *bus, struct outbox **ret, struct err *e);
void outbox_wake(struct outbox *o); /* after a commit with events in it; any thread */
void outbox_stop(struct outbox *o); /* NULL is fine */

#endif
