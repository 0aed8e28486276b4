#include "assistant_config.h"

#include "link/usage.h"
#include "owner/owner.h"
#include "settings/settings.h"

/* OpenClaw's own gateway, which has no such path: a model that is not there is told of at once,
 * where one that cannot be reached is tried again and again (measured: for two minutes, in which
 * nothing else is answered). */
#define PAUSED_URL "http://127.0.0.1:18789/spending-limit-reached/v1"

/* Of the default model's provider, which the platform pays for. *ret false: it has none. */
static bool platform_provider(const struct app *app, char name[OPENCLAW_PROVIDER_NAME_MAX + 1],
                              struct openclaw_provider *ret)
{
	if (!app->default_provider_api_key[0] && !app->default_provider_base_url[0])
		return false;
	snprintf(name, OPENCLAW_PROVIDER_NAME_MAX + 1, "%.*s",
	         (int)strcspn(app->default_model, "/"), app->default_model);
	*ret = (struct openclaw_provider){ .name = name,
		                           .api_key = app->default_provider_api_key,
		                           .base_url = app->default_provider_base_url };
	if (app->default_provider_base_url[0]) {
		ret->input_price_micros = app->default_input_price_micros;
		ret->output_price_micros = app->default_output_price_micros;
	}
	return true;
}

/* The platform's key goes only to those whose model needs it, and never beside one of their own. */
static void add_platform_provider(const struct app *app, struct openclaw_config *config,
                                  struct openclaw_provider *list, char *name)
{
	struct openclaw_provider own;
	size_t len;

	if (!platform_provider(app, name, &own))
		return;
	len = strlen(name);
	if (strncmp(config->model, name, len) != 0 || config->model[len] != '/')
		return;
	for (size_t i = 0; i < config->provider_count; i++)
		if (strcmp(list[i].name, name) == 0)
			return;
	list[config->provider_count++] = own;
}

int assistant_config_check(const struct app *app, const char *model,
                           const struct openclaw_provider *own, size_t own_count, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	struct openclaw_provider list[OPENCLAW_PROVIDERS_MAX + 1];
	char name[OPENCLAW_PROVIDER_NAME_MAX + 1];
	struct openclaw_config config = {
		.gateway_token = "none",
		.bot_token = "none",
		.model = model,
		.providers = list,
		.provider_count = own_count,
	};
	const char *text;

	arena_init(&a, BUS_ARENA_LIMIT);
	for (size_t i = 0; i < own_count; i++)
		list[i] = own[i];
	add_platform_provider(app, &config, list, name);
	return openclaw_config_text(&config, &a, &text, e);
}

int assistant_model_check(const struct app *app, struct pg_conn *c, const struct instance *i,
                          struct arena *a, struct err *e)
{
	struct store_secrets sealed;

	/* Sealed keys are as good as open ones here: only their presence is asked for. */
	if (store_secrets(c, i, a, &sealed, e) < 0)
		return -1;
	for (size_t k = 0; k < sealed.provider_count; k++)
		sealed.providers[k].api_key = "sealed";
	return assistant_config_check(app, i->model, sealed.providers, sealed.provider_count, e);
}

static int open_secret(const struct app *app, const struct instance *i, const char *column,
                       const char *sealed, struct arena *a, const char **ret, struct err *e)
{
	const struct vault_place where = { i->user_id, i->id, column };

	return vault_open(app->vault, &where, sealed, a, ret, e);
}

int assistant_gateway_token(const struct app *app, const struct instance *i, struct arena *a,
                            const char **ret, struct err *e)
{
	return open_secret(app, i, ASSISTANT_GATEWAY_TOKEN, i->gateway_token_encrypted, a, ret, e);
}

static const char *provider_column(const char *name, struct arena *a)
{
	return arena_printf(a, ASSISTANT_PROVIDER_KEY "%s", name);
}

static int open_providers(const struct app *app, const struct instance *i,
                          const struct store_secrets *sealed, struct arena *a,
                          struct openclaw_provider *ret, struct err *e)
{
	for (size_t k = 0; k < sealed->provider_count; k++) {
		const char *column = provider_column(sealed->providers[k].name, a);

		if (!column)
			return err_set(e, ERR_INTERNAL, "out of memory");
		ret[k] = sealed->providers[k];
		if (open_secret(app, i, column, sealed->providers[k].api_key, a, &ret[k].api_key,
		                e) < 0)
			return -1;
	}
	return 0;
}

int assistant_providers_open(const struct app *app, struct pg_conn *c, const struct instance *i,
                             struct arena *a, struct assistant_providers *ret, struct err *e)
{
	struct store_secrets sealed;

	if (store_secrets(c, i, a, &sealed, e) < 0 ||
	    open_providers(app, i, &sealed, a, ret->list, e) < 0)
		return -1;
	ret->count = sealed.provider_count;
	return 0;
}

int assistant_provider_seal(const struct app *app, const struct instance *i, const char *name,
                            const char *key, struct arena *a, const char **ret, struct err *e)
{
	const struct vault_place where = { i->user_id, i->id, provider_column(name, a) };

	if (!where.column)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return vault_seal(app->vault, &where, key, a, ret, e);
}

int assistant_bot_token(const struct app *app, struct pg_conn *c, const struct instance *i,
                        struct arena *a, const char **ret, struct err *e)
{
	struct store_secrets sealed;

	if (store_secrets(c, i, a, &sealed, e) < 0)
		return -1;
	return open_secret(app, i, ASSISTANT_BOT_TOKEN, sealed.bot_token_encrypted, a, ret, e);
}

bool assistant_platform_provider(const struct app *app, struct arena *a,
                                 struct openclaw_provider *ret)
{
	char *name = arena_alloc(a, OPENCLAW_PROVIDER_NAME_MAX + 1);

	return name && platform_provider(app, name, ret);
}

/* The month's limit is reached: models lead nowhere. OpenClaw itself goes on, and tells whoever
 * writes that no model answers. */
static void pause_models(struct openclaw_provider *list, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		list[k].api_key = "paused";
		list[k].base_url = PAUSED_URL;
	}
}

int assistant_config_text(const struct app *app, struct pg_conn *c, const struct instance *i,
                          struct arena *a, const char **ret, struct err *e)
{
	struct settings settings;

	if (settings_load(c, i->user_id, i->id, i->owner_telegram_id, &settings, e) < 0)
		return -1;
	return assistant_config_with(app, c, i, &settings, a, ret, e);
}

int assistant_config_with(const struct app *app, struct pg_conn *c, const struct instance *i,
                          const struct settings *s, struct arena *a, const char **ret,
                          struct err *e)
{
	struct openclaw_provider list[OPENCLAW_PROVIDERS_MAX + 1];
	char name[OPENCLAW_PROVIDER_NAME_MAX + 1];
	struct openclaw_config config = { .telegram_api_url = app->openclaw_telegram_api_url,
		                          .owner_telegram_id = i->owner_telegram_id,
		                          .model = i->model,
		                          .providers = list };
	struct store_secrets sealed;
	bool is_paused;

	if (store_secrets(c, i, a, &sealed, e) < 0 ||
	    usage_is_paused(c, i->id, &is_paused, e) < 0 ||
	    owner_is_awaited(c, i->id, &config.is_awaiting_owner, e) < 0 ||
	    assistant_gateway_token(app, i, a, &config.gateway_token, e) < 0 ||
	    open_secret(app, i, ASSISTANT_BOT_TOKEN, sealed.bot_token_encrypted, a,
	                &config.bot_token, e) < 0)
		return -1;

	if (open_providers(app, i, &sealed, a, list, e) < 0)
		return -1;
	config.provider_count = sealed.provider_count;
	config.access = s->access;
	config.allowed = s->allowed;
	config.allowed_count = s->allowed_count;
	config.is_shared = s->is_shared;
	add_platform_provider(app, &config, list, name);
	if (is_paused)
		pause_models(list, config.provider_count);
	return openclaw_config_text(&config, a, ret, e);
}
