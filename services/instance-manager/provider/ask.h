#ifndef PROVIDER_ASK_H
#define PROVIDER_ASK_H

#include "openclaw_config.h"

#include "net/http.h"

/*
 * Asks an LLM provider which models it has: the cheapest call that tells whether a key is good. Of
 * those that OpenClaw knows by name the address is known here too; of any other it is base_url, an
 * OpenAI-compatible API. The key is sent there and is in no message. Any thread.
 */
#define PROVIDER_MODELS_MAX 500
#define PROVIDER_MODEL_MAX  200 /* bytes of "provider/model" */
#define PROVIDER_TIMEOUT_MS 6000
#define PROVIDER_ANSWER_MAX (2 * 1024 * 1024) /* bytes */

struct provider_models {
	const char **ids; /* "provider/model", each once, sorted; in the arena */
	size_t count;
};

/* Opened for it: with is_private false it connects to addresses of the public internet only,
 * whatever a name resolves to. */
int provider_client_open(bool is_private, struct http_client **ret, struct err *e);

/*
 * ERR_INVALID with the field api_key: it does not accept the key; base_url: there is no such API, or
 * at an address that is not allowed; name: no provider of that name is known and there is no
 * base_url. ERR_UPSTREAM, ERR_UNAVAILABLE, ERR_TIMEOUT: it could not be asked.
 */
int provider_ask(struct http_client *c, const struct openclaw_provider *p, struct arena *a,
                 struct provider_models *ret, struct err *e);

/* The part of it that reads an answer. Pure. False: it is no list of models. */
bool provider_models_read(const char *provider, const char *text, size_t len, struct arena *a,
                          struct provider_models *ret);

/* Is there a row for a provider that OpenClaw knows? */
bool provider_has_address(const char *name);

#endif
