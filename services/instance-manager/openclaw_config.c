#include "openclaw_config.h"

#include "container.h"

#include <ctype.h>

#define TEXT_MAX     (32 * 1024)        /* bytes of the file */
#define MODEL_MAX    200                /* bytes of "provider/model" */
#define VALUE_MAX    512                /* bytes of a key or an address */
#define LOG_FILE_MAX (10 * 1024 * 1024) /* bytes; six of them stay in /tmp, which is memory */
#define CONTEXT_MAX  128000             /* tokens; of a model whose window no one told us */
#define WORKSPACE    CONTAINER_HOME "/" CONTAINER_WORKSPACE_DIR

/* Providers that come with the pinned OpenClaw, take a plain key, and started with one. Others that
 * it knows by name (groq, mistral …) are plugins that it would first fetch by npm. */
static const char *const known[] = {
	"anthropic", "google",      "huggingface", "nvidia",   "ollama-cloud",
	"openai",    "opencode-go", "openrouter",  "together", "xai",
};

static bool is_given(const char *text)
{
	return text && text[0];
}

bool openclaw_provider_is_known(const char *name)
{
	for (size_t i = 0; i < COUNT(known); i++)
		if (strcmp(known[i], name) == 0)
			return true;
	return false;
}

static bool provider_name_fits(const char *name, size_t len)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

	return len >= 1 && len <= OPENCLAW_PROVIDER_NAME_MAX && strspn(name, chars) >= len &&
	       isalnum((unsigned char)name[0]);
}

int openclaw_model_check(const char *model, struct err *e)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "._:/@+-";
	const char *slash = strchr(model, '/');

	if (!slash || !provider_name_fits(model, (size_t)(slash - model)))
		return err_field(e, "model", "must be provider/model, as openai/gpt-5.5");
	if (strlen(model) > MODEL_MAX || !slash[1] || slash[1 + strspn(slash + 1, chars)])
		return err_field(e, "model",
		                 "must name a model after the provider, in at most %d "
		                 "letters, digits and . _ : / @ + -",
		                 MODEL_MAX);
	return 0;
}

/* OpenClaw fills "${NAME}" from its environment: nothing of a user's may ask for that. */
static int value_check(const char *text, const char *field, struct err *e)
{
	if (strlen(text) > VALUE_MAX)
		return err_field(e, field, "is longer than %d bytes", VALUE_MAX);
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_field(e, field, "holds a space or what is not ASCII");
	if (strstr(text, "${"))
		return err_field(e, field, "must not hold ${");
	return 0;
}

static int provider_check(const struct openclaw_provider *p, struct err *e)
{
	if (!provider_name_fits(p->name, strlen(p->name)))
		return err_field(e, "provider.name",
		                 "must be 1 to %d small letters, digits and . _ -, not first",
		                 OPENCLAW_PROVIDER_NAME_MAX);
	if (is_given(p->api_key) && value_check(p->api_key, "provider.api_key", e) < 0)
		return -1;
	if (!is_given(p->base_url) && (p->input_price_micros || p->output_price_micros))
		return err_field(e,
		                 p->input_price_micros ? "provider.input_price_micros"
		                                       : "provider.output_price_micros",
		                 "belongs to a provider with a base_url: of the others OpenClaw "
		                 "knows what they cost");
	if (is_given(p->base_url)) {
		if (strncmp(p->base_url, "http://", 7) != 0 &&
		    strncmp(p->base_url, "https://", 8) != 0)
			return err_field(e, "provider.base_url",
			                 "must begin with https:// or http://");
		return value_check(p->base_url, "provider.base_url", e);
	}
	if (!openclaw_provider_is_known(p->name))
		return err_field(e, "provider.base_url",
		                 "is needed: '%.64s' is not a provider that is known by its name",
		                 p->name);
	if (!is_given(p->api_key))
		return err_field(e, "provider.api_key", "is needed for %.64s", p->name);
	return 0;
}

/* Of the model's provider: is "openai" that of "openai/gpt-5.5"? */
static bool is_model_of(const char *model, const char *provider)
{
	size_t len = strlen(provider);

	return strncmp(model, provider, len) == 0 && model[len] == '/';
}

static int check(const struct openclaw_config *in, struct err *e)
{
	bool has_model = false;

	if (openclaw_model_check(in->model, e) < 0)
		return -1;
	if (in->provider_count > OPENCLAW_PROVIDERS_MAX)
		return err_field(e, "provider", "more than %d of them", OPENCLAW_PROVIDERS_MAX);
	for (size_t i = 0; i < in->provider_count; i++) {
		if (provider_check(&in->providers[i], e) < 0)
			return -1;
		has_model |= is_model_of(in->model, in->providers[i].name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(in->providers[k].name, in->providers[i].name) == 0)
				return err_field(e, "provider.name", "comes twice");
	}
	if (!has_model)
		return err_field(e, "model", "is of the provider '%.*s', of which no key is given",
		                 (int)strcspn(in->model, "/"), in->model);
	return 0;
}

static bool add_text(cJSON *obj, const char *key, const char *value)
{
	return cJSON_AddStringToObject(obj, key, value) != NULL;
}

static bool add_number(cJSON *obj, const char *key, long long value)
{
	return cJSON_AddNumberToObject(obj, key, (double)value) != NULL;
}

/* The control UI stays off: it is not for people of the platform, and it unpacks 43 MB a state. */
static bool add_gateway(cJSON *root, const struct openclaw_config *in)
{
	cJSON *gateway = cJSON_AddObjectToObject(root, "gateway");
	cJSON *auth = cJSON_AddObjectToObject(gateway, "auth");
	cJSON *ui = cJSON_AddObjectToObject(gateway, "controlUi");
	cJSON *plugins = cJSON_AddObjectToObject(root, "plugins");
	cJSON *entries = cJSON_AddObjectToObject(plugins, "entries");
	cJSON *admin = cJSON_AddObjectToObject(entries, "admin-http-rpc");

	return add_text(gateway, "mode", "local") && add_number(gateway, "port", CONTAINER_PORT) &&
	       add_text(gateway, "bind", "lan") && add_text(auth, "mode", "token") &&
	       add_text(auth, "token", in->gateway_token) &&
	       cJSON_AddFalseToObject(ui, "enabled") && cJSON_AddTrueToObject(admin, "enabled");
}

static bool add_allowed(cJSON *telegram, const struct openclaw_config *in)
{
	cJSON *allow = cJSON_AddArrayToObject(telegram, "allowFrom");
	char id[24];

	for (size_t i = 0; i <= in->allowed_count; i++) {
		long long who = i ? in->allowed[i - 1] : in->owner_telegram_id;

		snprintf(id, sizeof(id), "%lld", who);
		if (who > 0 && !cJSON_AddItemToArray(allow, cJSON_CreateString(id)))
			return false;
	}
	/* OpenClaw's own word for anybody. */
	return in->access != OPENCLAW_OPEN || cJSON_AddItemToArray(allow, cJSON_CreateString("*"));
}

/* People who do not share a session must not read each other. */
static bool add_telegram(cJSON *root, const struct openclaw_config *in)
{
	static const char *const policies[] = { [OPENCLAW_PAIRING] = "pairing",
		                                [OPENCLAW_ALLOWLIST] = "allowlist",
		                                [OPENCLAW_OPEN] = "open" };
	cJSON *channels = cJSON_AddObjectToObject(root, "channels");
	cJSON *telegram = cJSON_AddObjectToObject(channels, "telegram");
	cJSON *session = cJSON_AddObjectToObject(root, "session");

	if (!cJSON_AddBoolToObject(telegram, "enabled", !in->is_awaiting_owner) ||
	    !add_text(telegram, "botToken", in->bot_token) ||
	    (is_given(in->telegram_api_url) &&
	     !add_text(telegram, "apiRoot", in->telegram_api_url)) ||
	    !add_text(telegram, "dmPolicy", policies[in->access]) ||
	    !add_text(session, "dmScope", in->is_shared ? "main" : "per-channel-peer"))
		return false;
	if (in->access == OPENCLAW_PAIRING && !in->owner_telegram_id && !in->allowed_count)
		return true;
	return add_allowed(telegram, in);
}

/* Dollars a million tokens, as OpenClaw counts with. */
static bool add_price(cJSON *model, const struct openclaw_provider *p)
{
	cJSON *cost;

	if (!p->input_price_micros && !p->output_price_micros)
		return true;
	cost = cJSON_AddObjectToObject(model, "cost");
	return cJSON_AddNumberToObject(cost, "input", (double)p->input_price_micros / 1e6) &&
	       cJSON_AddNumberToObject(cost, "output", (double)p->output_price_micros / 1e6) &&
	       add_number(cost, "cacheRead", 0) && add_number(cost, "cacheWrite", 0);
}

static bool add_model(cJSON *provider, const struct openclaw_provider *p, const char *id)
{
	cJSON *models = cJSON_AddArrayToObject(provider, "models");
	cJSON *model;

	if (!models || !id)
		return models != NULL;
	model = cJSON_CreateObject();
	if (!cJSON_AddItemToArray(models, model)) {
		cJSON_Delete(model);
		return false;
	}
	return add_text(model, "id", id) && add_text(model, "name", id) &&
	       add_number(model, "contextWindow", CONTEXT_MAX) && add_price(model, p);
}

static bool add_provider(cJSON *providers, const struct openclaw_provider *p, const char *model)
{
	cJSON *provider = cJSON_AddObjectToObject(providers, p->name);
	cJSON *runtime = cJSON_AddObjectToObject(provider, "agentRuntime");

	/* Else openai's models ask for the Codex plugin, which is not in the image: exit 78. */
	if (!add_text(runtime, "id", "openclaw"))
		return false;
	/* Without any, OpenClaw looks for one elsewhere and does not ask the LLM at all. */
	if (!add_text(provider, "apiKey", is_given(p->api_key) ? p->api_key : "none"))
		return false;
	if (!is_given(p->base_url))
		return true;
	return add_text(provider, "baseUrl", p->base_url) &&
	       add_text(provider, "api", "openai-completions") &&
	       add_model(provider, p, is_model_of(model, p->name) ? strchr(model, '/') + 1 : NULL);
}

static bool add_agents(cJSON *root, const struct openclaw_config *in)
{
	cJSON *agents = cJSON_AddObjectToObject(root, "agents");
	cJSON *defaults = cJSON_AddObjectToObject(agents, "defaults");
	cJSON *model = cJSON_AddObjectToObject(defaults, "model");
	cJSON *models = cJSON_AddObjectToObject(root, "models");
	cJSON *providers = cJSON_AddObjectToObject(models, "providers");

	if (!add_text(defaults, "workspace", WORKSPACE) || !add_text(model, "primary", in->model))
		return false;
	for (size_t i = 0; i < in->provider_count; i++)
		if (!add_provider(providers, &in->providers[i], in->model))
			return false;
	return true;
}

static bool add_upkeep(cJSON *root)
{
	cJSON *update = cJSON_AddObjectToObject(root, "update");
	cJSON *logging = cJSON_AddObjectToObject(root, "logging");

	return cJSON_AddFalseToObject(update, "checkOnStart") &&
	       add_number(logging, "maxFileBytes", LOG_FILE_MAX);
}

/* The tree's texts are copies of the secrets. */
static void tree_wipe(cJSON *v)
{
	for (; v; v = v->next) {
		if (v->valuestring)
			explicit_bzero(v->valuestring, strlen(v->valuestring));
		tree_wipe(v->child);
	}
}

int openclaw_config_text(const struct openclaw_config *in, struct arena *a, const char **ret,
                         struct err *e)
{
	OWN(json) cJSON *root = NULL;
	bool is_made;
	char *text;

	if (check(in, e) < 0)
		return -1;
	text = arena_alloc(a, TEXT_MAX);
	root = cJSON_CreateObject();
	is_made = text && add_gateway(root, in) && add_telegram(root, in) && add_agents(root, in) &&
	          add_upkeep(root) && cJSON_PrintPreallocated(root, text, TEXT_MAX, false);
	tree_wipe(root);
	if (!is_made)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = text;
	return 0;
}
