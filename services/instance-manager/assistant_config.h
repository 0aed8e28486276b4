#ifndef ASSISTANT_CONFIG_H
#define ASSISTANT_CONFIG_H

#include "app.h"
#include "instance_store.h"

/*
 * An instance's openclaw.json: its row and its opened secrets, with the platform's own provider
 * where the person brought no key for the model's.
 */

/* Would such a config be one? Secrets are only of the right kind. ERR_INVALID as
 * openclaw_config_text(). Asks nobody. */
int assistant_config_check(const struct app *app, const char *model,
                           const struct openclaw_provider *own, size_t own_count, struct err *e);

/* Is an instance's model one that its keys reach? ERR_INVALID as above. */
int assistant_model_check(const struct app *app, struct pg_conn *c, const struct instance *i,
                          struct arena *a, struct err *e);

/* The text, in the arena, which wipes it. ERR_INVALID: the settings make no config; ERR_INTERNAL:
 * a secret does not open. */
int assistant_config_text(const struct app *app, struct pg_conn *c, const struct instance *i,
                          struct arena *a, const char **ret, struct err *e);

/* The same as it would be with these settings. */
struct settings;
int assistant_config_with(const struct app *app, struct pg_conn *c, const struct instance *i,
                          const struct settings *s, struct arena *a, const char **ret,
                          struct err *e);

/* The keys that a person brought for it, open; they lie in the arena, which wipes them. */
struct assistant_providers {
	struct openclaw_provider list[OPENCLAW_PROVIDERS_MAX];
	size_t count;
};
int assistant_providers_open(const struct app *app, struct pg_conn *c, const struct instance *i,
                             struct arena *a, struct assistant_providers *ret, struct err *e);

/* A provider's key as provider_keys has it. */
int assistant_provider_seal(const struct app *app, const struct instance *i, const char *name,
                            const char *key, struct arena *a, const char **ret, struct err *e);

/* The provider that the platform pays for. false: it has none. */
bool assistant_platform_provider(const struct app *app, struct arena *a,
                                 struct openclaw_provider *ret);

/* Its bot's token, in the arena, which wipes it. */
int assistant_bot_token(const struct app *app, struct pg_conn *c, const struct instance *i,
                        struct arena *a, const char **ret, struct err *e);

/* The token of its gateway, in the arena. */
int assistant_gateway_token(const struct app *app, const struct instance *i, struct arena *a,
                            const char **ret, struct err *e);

/* Where these are sealed: columns of vault_place. A provider's key is bound to its name as well. */
#define ASSISTANT_BOT_TOKEN     "instances.bot_token"
#define ASSISTANT_GATEWAY_TOKEN "instances.gateway_token"
#define ASSISTANT_PROVIDER_KEY  "provider_keys.api_key." /* and the name */

#endif
