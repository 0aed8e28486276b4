#ifndef GATEWAY_WS_SLOT_H
#define GATEWAY_WS_SLOT_H

#include "ws_client.h"

/*
 * How many sockets a user has, over all gateways: zaki:ws:<user id> in Redis holds one member a
 * socket, "<gateway id>:<number>", with the time at which it is forgotten unless it is kept. Those
 * of a gateway whose own key (zaki:rt:gateway:<id>) is gone are forgotten at once: it crashed. While
 * Redis is away this gateway's own sockets are counted. Any thread; each call may wait for Redis and
 * the bus.
 */
#define WS_SLOT_S  150 /* a socket that is not kept for so long is gone; kept every WS_CHECK_MS */
#define WS_BEAT_S  10  /* life of a gateway's own key; renewed every WS_BEAT_MS */
#define WS_BEAT_MS 2000

struct ws_slots;
struct app;

int ws_slots_new(struct app *app, struct ws_slots **ret, struct err *e);
void ws_slots_free(struct ws_slots *s); /* NULL is fine */

/* A place for one more socket of p's user, kept in p->slot. ERR_LIMIT: there is none.
 * ERR_UNAUTHENTICATED: p's session has ended. */
int ws_slot_take(struct ws_slots *s, struct ws_person *p, struct err *e);
void ws_slot_give(struct ws_slots *s, const struct ws_person *p);
/* Without waiting for Redis, which forgets it by itself after WS_SLOT_S. */
void ws_slot_forget(struct ws_slots *s, const struct ws_person *p);

/* Keeps it, and looks whether the session goes on: ERR_UNAUTHENTICATED when it has ended, any other
 * code when that cannot be told now. */
int ws_slot_keep(struct ws_slots *s, const struct ws_person *p, struct err *e);

/* Says that this gateway lives, from now on: events come. */
int ws_slots_begin(struct ws_slots *s, struct err *e);
/* Says that it still does. *ret_is_lost: Redis has forgotten that, and with it what it listens to, or is
 * another one than before; ws_slots_begin() is due. */
int ws_slots_beat(struct ws_slots *s, bool *ret_is_lost, struct err *e);
/* Says that it does not any more. */
void ws_slots_end(struct ws_slots *s);

#endif
