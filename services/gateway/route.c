#include "route.h"

#include "base/own.h"
#include "export/export.h"
#include "health.h"
#include "path.h"

const struct route routes[] = {
#define STORED(method, path, subject, input, needs, success, limit, cookies, body_kib, tag) \
	{ #method,                                                                          \
	  path,                                                                             \
	  SUBJ_##subject,                                                                   \
	  INPUT_##input,                                                                    \
	  NEEDS_##needs,                                                                    \
	  success,                                                                          \
	  LIMIT_##limit,                                                                    \
	  COOKIES_##cookies,                                                                \
	  (body_kib) * (size_t)1024,                                                        \
	  tag,                                                                              \
	  NULL,                                                                             \
	  NULL },
#define ROUTE(method, path, subject, input, needs, success, limit, cookies) \
	STORED(method, path, subject, input, needs, success, limit, cookies, ROUTE_BODY_KIB, NULL)
#define STREAMED(method, path, subject, input, needs, success, limit, send) \
	{ #method,       path,          SUBJ_##subject,                     \
	  INPUT_##input, NEEDS_##needs, success,                            \
	  LIMIT_##limit, COOKIES_NONE,  ROUTE_BODY_KIB * (size_t)1024,      \
	  NULL,          NULL,          send },
#define LOCAL(method, path, answer)                                              \
	{ #method,    path,         SUBJ_COUNT, INPUT_QUERY, NEEDS_NOTHING, 200, \
	  LIMIT_NONE, COOKIES_NONE, 0,          NULL,        answer,        NULL },
#include "routes.def"
#undef ROUTE
#undef STORED
#undef STREAMED
#undef LOCAL
};

const size_t route_count = COUNT(routes);

/* The path under its base; NULL where it has none. */
static const char *under_base(const char *path)
{
	static const char *const bases[] = { "/api/", "/v1/" };

	for (size_t i = 0; i < COUNT(bases); i++)
		if (strncmp(path, bases[i], strlen(bases[i])) == 0)
			return path + strlen(bases[i]) - 1;
	return NULL;
}

static void allow_add(char allow[ROUTE_ALLOW_SIZE], const char *method)
{
	size_t len = strlen(allow);

	snprintf(allow + len, ROUTE_ALLOW_SIZE - len, "%s%s%s", len ? ", " : "", method,
	         strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(const char *method, const char *path, const struct route **ret,
               const char **ret_path, char allow[ROUTE_ALLOW_SIZE], struct err *e)
{
	const char *under = under_base(path), *pattern = NULL;

	allow[0] = '\0';
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < route_count; i++) {
		const struct route *r = &routes[i];

		if (pattern ? strcmp(r->path, pattern) != 0
		            : !(under && path_fits(r->path, under)) &&
		                      !(r->local && path_fits(r->path, path)))
			continue;
		if (strcmp(r->method, method) == 0) {
			*ret = r;
			*ret_path = under;
			return 0;
		}
		pattern = r->path;
		allow_add(allow, r->method);
	}
	if (!allow[0])
		return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
	allow_add(allow, "OPTIONS");
	return err_set(e, ERR_METHOD, "this path takes %s", allow);
}

static int put_param(const struct path_param *p, void *ctx, struct err *e)
{
	cJSON *fields = ctx;

	cJSON_DeleteItemFromObjectCaseSensitive(fields, p->name);
	if (!cJSON_AddStringToObject(fields, p->name, p->value))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

int route_add_params(const struct route *r, const char *path, cJSON *fields, struct err *e)
{
	return path_params(r->path, path, put_param, fields, e);
}
