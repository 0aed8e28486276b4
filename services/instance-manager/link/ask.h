#ifndef LINK_ASK_H
#define LINK_ASK_H

#include "link/link_store.h"

#include "app.h"

/*
 * What people's requests ask of an assistant's gateway. The instance-manager that got the request
 * need not be the one that holds the link: then that one is asked over the bus, under its own name
 * (SUBJ_LINK_ASK). So each gateway has one client of ours however many processes there are, and what
 * acts is done once.
 */
#define ASK_REPLY_MAX ((size_t)1 << 20) /* bytes; more is ERR_TOO_LARGE */
#define ASK_MS        6000

struct ask {
	struct app *app;
	const struct bus_ctx *who;
	const struct link_place *at; /* link_find(): it is theirs */
	const char *method;
	const cJSON *params; /* NULL: none */
	int timeout_ms;      /* 0: ASK_MS */
};

/* The caller owns *ret. ERR_UNAVAILABLE: it does not run, or is not linked now. */
int ask_gateway(const struct ask *ask, cJSON **ret, struct err *e);

/* The same for the person whose call this is, within ASK_MS. params: NULL for none. */
int ask_call(struct call *c, const struct link_place *at, const char *method, const cJSON *params,
             cJSON **ret, struct err *e);

/* A name for what a call makes in a gateway: the same Idempotency-Key and request give the same one, so
 * that a claim that a crash left behind is taken over, asks again, and makes nothing twice. */
#define ASK_ONCE_BYTES 16
#define ASK_ONCE_SIZE  (2 * ASK_ONCE_BYTES + 1)
const char *ask_once_id(const struct call *c, char ret[ASK_ONCE_SIZE]);

/* The person's instance; and that it is linked, ERR_CONFLICT saying what it is otherwise. */
int ask_find(const struct call *c, const char *instance_id, struct link_place *ret, struct err *e);
int ask_need_up(const struct link_place *at, struct err *e);

#endif
