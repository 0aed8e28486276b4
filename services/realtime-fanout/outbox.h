#ifndef OUTBOX_H
#define OUTBOX_H

#include "bus/bus.h"
#include "bus/delivery.h"

/*
 * Deliveries that are gathered for each gateway, to be sent as one message (bus/delivery.h). What is in
 * it is not sent yet: a crash loses it, and events are acknowledged after outbox_send(). One thread.
 */
struct outbox;

int outbox_new(struct bus *b, struct outbox **ret, struct err *e);
void outbox_free(struct outbox *o); /* NULL is fine */

/* Adds one; what was gathered for the gateway is sent first where it would become too long a message.
 * ERR_TOO_LARGE: the bus takes no such message. */
int outbox_add(struct outbox *o, const char *gateway_id, const struct delivery *d, struct err *e);

/* Sends all. ERR_UNAVAILABLE: some may have been sent. */
int outbox_send(struct outbox *o, struct err *e);

/* Forgets what was not sent. */
void outbox_clear(struct outbox *o);

#endif
