#ifndef OPENCLAW_CONFIG_H
#define OPENCLAW_CONFIG_H

#include "base/arena.h"
#include "base/err.h"

/*
 * openclaw.json for the pinned OpenClaw (2026.9.6), whose own check accepts what this writes. The
 * text holds the bot token, the gateway token and provider keys: it goes into a file that only
 * OpenClaw's user reads, never into a container's environment, which anyone who may inspect sees.
 * Pure; the same input gives the same bytes.
 */
#define OPENCLAW_CONFIG_FILE       "openclaw.json" /* in CONTAINER_STATE_DIR */
#define OPENCLAW_PROVIDERS_MAX     8
#define OPENCLAW_PRICE_MAX         1000000000000LL
#define OPENCLAW_PROVIDER_NAME_MAX 64 /* [a-z0-9][a-z0-9._-]* */

/* base_url NULL or "": OpenClaw knows the provider by its name and needs only the key. */
struct openclaw_provider {
	const char *name;
	const char *api_key;  /* NULL or "": none, as for an LLM on one's own network */
	const char *base_url; /* of an OpenAI-compatible API */
	/* Millionths of a dollar a million tokens; 0: free. Of one with a base_url: of the others
	 * OpenClaw knows them. */
	long long input_price_micros, output_price_micros;
};

#define OPENCLAW_ALLOWED_MAX 50 /* people beside the owner who may write */

enum openclaw_access {
	OPENCLAW_PAIRING,   /* whoever is approved; those who are allowed are so already */
	OPENCLAW_ALLOWLIST, /* those who are allowed */
	OPENCLAW_OPEN,      /* anybody */
};

struct openclaw_config {
	const char *gateway_token;
	const char *bot_token;
	const char *telegram_api_url; /* NULL or "": OpenClaw's own default */
	bool is_awaiting_owner;       /* Telegram stays off: others read the bot's messages */
	enum openclaw_access access;
	long long owner_telegram_id; /* one who is allowed; 0: none */
	const long long *allowed;    /* others, by their Telegram ids */
	size_t allowed_count;        /* at most OPENCLAW_ALLOWED_MAX */
	bool is_shared;              /* all who write share one session, with the dashboard */
	const char *model;           /* "provider/model" */
	const struct openclaw_provider *providers;
	size_t provider_count;
};

/* "provider/model" with both parts of sensible form, at most 200 bytes? ERR_INVALID with the field
 * model. */
int openclaw_model_check(const char *model, struct err *e);

/* Is the name one whose API OpenClaw knows without a base_url ("openai", "anthropic" …)? */
bool openclaw_provider_is_known(const char *name);

/*
 * The file's text, in the arena. ERR_INVALID with the field model, provider.name,
 * provider.base_url or provider.api_key: a model whose provider is neither given nor known, a
 * provider that is not known and has no base_url, one given twice.
 */
int openclaw_config_text(const struct openclaw_config *in, struct arena *a, const char **ret,
                         struct err *e);

#endif
