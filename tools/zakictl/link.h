#ifndef LINK_H
#define LINK_H

#include "bus/bus.h"
#include "svc/conf.h"

/* The connection of the commands that ask services for something, as the bus's user zakictl. */
struct link {
	struct seal seal;
	struct bus *bus;
};

struct link_settings {
	const char *nats_url;
};

#define LINK_CONF_COUNT 1
extern const struct conf_key link_conf[LINK_CONF_COUNT];

int link_open(struct link *l, struct err *e);

/* What such a command can do: its first argument is a verb's name, and the rest is the verb's. */
struct link_verb {
	const char *name;
	int least, most; /* arguments */
	int (*run)(struct link *l, int argc, char **argv, struct err *e);
};

/* Finds the verb, connects, and runs it. ERR_INVALID where there is none, or it takes others; then
 * nothing is connected to. */
int link_run(const struct link_verb *verbs, size_t count, int argc, char **argv, struct err *e);

static inline void own_link(struct link *l)
{
	bus_close(l->bus);
}

#endif
