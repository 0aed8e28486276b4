#include "provider/ask.h"

#include "base/json.h"
#include "base/own.h"
#include "net/address.h"

#include <stdlib.h>

#define IDLE_MAX 8

/* How a provider wants to be shown its key, and which header comes beside it. */
struct known {
	const char *name;
	const char *url;    /* of its list of models, which only a good key is given */
	const char *header; /* that the key is sent in; NULL: Authorization: Bearer */
	const char *more;   /* a further header; NULL: none */
};

/* clang-format off */
static const struct known known[] = {
	{ "anthropic",    "https://api.anthropic.com/v1/models?limit=1000", "x-api-key: ",
	  "anthropic-version: 2023-06-01" },
	{ "google",       "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
	  "x-goog-api-key: ", NULL },
	{ "huggingface",  "https://router.huggingface.co/v1/models",   NULL, NULL },
	{ "nvidia",       "https://integrate.api.nvidia.com/v1/models", NULL, NULL },
	{ "ollama-cloud", "https://ollama.com/v1/models",              NULL, NULL },
	{ "openai",       "https://api.openai.com/v1/models",          NULL, NULL },
	{ "opencode-go",  "https://opencode.ai/zen/go/v1/models",      NULL, NULL },
	{ "openrouter",   "https://openrouter.ai/api/v1/models/user",  NULL, NULL },
	{ "together",     "https://api.together.xyz/v1/models",        NULL, NULL },
	{ "xai",          "https://api.x.ai/v1/models",                NULL, NULL },
};
/* clang-format on */

static const struct known *find(const char *name)
{
	for (size_t i = 0; i < COUNT(known); i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

bool provider_has_address(const char *name)
{
	return find(name) != NULL;
}

int provider_client_open(bool is_private, struct http_client **ret, struct err *e)
{
	const struct http_client_opt opt = { .base_url = "",
		                             .connect_ms = 4000,
		                             .idle_max = IDLE_MAX,
		                             .allows = is_private ? NULL : address_is_public };

	return http_client_open(&opt, ret, e);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Google says "models/gemini-…", OpenClaw does not. */
static const char *id_of(const cJSON *item)
{
	const char *id = json_text(item, "id"), *name = json_text(item, "name");

	if (!id && name)
		id = strncmp(name, "models/", 7) == 0 ? name + 7 : name;
	return id;
}

bool provider_models_read(const char *provider, const char *text, size_t len, struct arena *a,
                          struct provider_models *ret)
{
	OWN(json) cJSON *doc = NULL;
	const cJSON *list, *item;
	struct err ignored = ERR_INIT;
	size_t count = 0;

	if (json_parse(text, len, &doc, &ignored) < 0)
		return false;
	/* Most say {"data": […]}, Google {"models": […]}, some the bare list. */
	list = cJSON_GetObjectItemCaseSensitive(doc, "data");
	if (!list)
		list = cJSON_GetObjectItemCaseSensitive(doc, "models");
	if (cJSON_IsArray(doc))
		list = doc;
	if (!cJSON_IsArray(list))
		return false;
	ret->ids = arena_alloc(a, (PROVIDER_MODELS_MAX + 1) * sizeof(*ret->ids));
	if (!ret->ids)
		return false;
	cJSON_ArrayForEach(item, list) {
		const char *id = id_of(item),
			   *full = id ? arena_printf(a, "%s/%s", provider, id) : NULL;
		struct err unfit = ERR_INIT;

		if (full && count < PROVIDER_MODELS_MAX && openclaw_model_check(full, &unfit) == 0)
			ret->ids[count++] = full;
	}
	qsort(ret->ids, count, sizeof(*ret->ids), by_text);
	ret->count = 0;
	for (size_t i = 0; i < count; i++)
		if (i == 0 || strcmp(ret->ids[i], ret->ids[i - 1]) != 0)
			ret->ids[ret->count++] = ret->ids[i];
	return true;
}

/* What an HTTP status says of the key and the address. */
static int judge(const struct openclaw_provider *p, int status, struct err *e)
{
	bool is_own = p->base_url && p->base_url[0];

	if (status == 401 || status == 403)
		return err_field(e, "api_key", "is not accepted by %.64s", p->name);
	/* Google's word for a key that is none. */
	if (status == 400 && !is_own)
		return err_field(e, "api_key", "is not accepted by %.64s", p->name);
	if (status == 429)
		return err_set(e, ERR_UPSTREAM, "%.64s takes no more requests with this key now",
		               p->name);
	if (status >= 500)
		return err_set(e, ERR_UPSTREAM, "%.64s answers %d: try again later", p->name,
		               status);
	if (is_own)
		return err_field(e, "base_url",
		                 "has no list of models under /models (status %d): is it the "
		                 "address of an OpenAI-compatible API?",
		                 status);
	return err_set(e, ERR_UPSTREAM, "%.64s answers %d", p->name, status);
}

static int call(struct http_client *c, const struct openclaw_provider *p, struct arena *a,
                struct http_res *ret, struct err *e)
{
	const struct known *k = p->base_url && p->base_url[0] ? NULL : find(p->name);
	const char *key = p->api_key && p->api_key[0] ? p->api_key : NULL;
	const char *headers[3] = { NULL, NULL, NULL };
	size_t len = p->base_url ? strlen(p->base_url) : 0;
	struct http_req req = { .method = "GET",
		                .timeout_ms = PROVIDER_TIMEOUT_MS,
		                .answer_max = PROVIDER_ANSWER_MAX,
		                .headers = headers };

	if (k)
		req.path = k->url;
	else if (len > 0 && strpbrk(p->base_url, "?#"))
		return err_field(e, "base_url", "must not have a query or a fragment");
	else if (len > 0)
		req.path = arena_printf(a, "%s%smodels", p->base_url,
		                        p->base_url[len - 1] == '/' ? "" : "/");
	else
		return err_field(e, "name", "is no provider that is known; give its base_url");
	if (k && k->header && key)
		headers[0] = arena_printf(a, "%s%s", k->header, key);
	else
		req.bearer = key;
	if (k && k->more)
		headers[headers[0] != NULL] = k->more;
	if (!req.path || (k && k->header && key && !headers[0]))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return http_call(c, &req, a, ret, e);
}

int provider_ask(struct http_client *c, const struct openclaw_provider *p, struct arena *a,
                 struct provider_models *ret, struct err *e)
{
	struct http_res res = { 0 };

	if (call(c, p, a, &res, e) < 0) {
		if (e->code == ERR_FORBIDDEN)
			return err_field(e, "base_url",
			                 "is not an address of the public internet, which this "
			                 "platform asks for");
		return e->code == ERR_INVALID ? -1 : err_wrap(e, p->name);
	}
	if (res.status != 200)
		return judge(p, res.status, e);
	if (!provider_models_read(p->name, res.body, res.body_len, a, ret))
		return p->base_url && p->base_url[0]
		               ? err_field(e, "base_url",
		                           "answers what is no list of models: is it the address "
		                           "of an OpenAI-compatible API?")
		               : err_set(e, ERR_UPSTREAM, "%.64s answers what is no list of models",
		                         p->name);
	return 0;
}
