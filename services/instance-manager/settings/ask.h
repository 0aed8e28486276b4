#ifndef SETTINGS_ASK_H
#define SETTINGS_ASK_H

#include "app.h"
#include "settings/settings.h"

/*
 * A change of settings, shown to the assistant's own OpenClaw before it is written down: config.set
 * checks the whole file and takes it, or refuses it and keeps the old one (measured on 2026.9.6).
 * One that is not linked now is not asked: what it refuses when it starts is told by its exit status
 * (cause.def, config_refused).
 */

/* ERR_INVALID with the field of the request that is refused, and OpenClaw's words; in those cases
 * nothing has changed. The row and the settings are as they would become. What OpenClaw took, and a
 * crash kept from being written down, is set back by the reconciler. */
int settings_ask(struct call *c, const struct instance *i, const struct settings *s, struct err *e);

/* Which field of the request OpenClaw's refusal is about: "invalid config: agents.defaults.model:
 * Invalid input" → "model"; "settings" where it is none of them. Pure. */
const char *settings_field_of(const char *refusal);

#endif
