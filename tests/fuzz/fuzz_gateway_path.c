/* A path and a query string: routes, percent-encoding, parameters as fields. */

#include "path.h"
#include "query.h"
#include "route.h"

#include "base/own.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A parameter is never empty, and what fits leaves nothing over. */
static int on_param(const struct path_param *p, void *ctx, struct err *e)
{
	(void)e;
	assert(p->name[0] && p->value[0]);
	++*(size_t *)ctx;
	return 0;
}

static void patterns(const char *path)
{
	static const struct {
		const char *pattern;
		size_t params;
	} known[] = { { "/{a}", 1 },      { "/{a*}", 1 },         { "/f/{a*}", 1 },
		      { "/f/{a*}/h", 1 }, { "/f/{b}/{a*}/h", 2 }, { "/{b}/{a*}/{c}/{d}", 4 } };

	for (size_t i = 0; i < COUNT(known); i++) {
		struct err e = ERR_INIT;
		size_t n = 0;

		if (!path_fits(known[i].pattern, path))
			continue;
		if (path_params(known[i].pattern, path, on_param, &n, &e) < 0)
			assert(e.code == ERR_INVALID && e.field[0]);
		else
			assert(n == known[i].params);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = { "GET", "POST", "PATCH", "DELETE" };
	OWN(mem) char *path = calloc(1, size + 1);
	char *query;

	memcpy(path, data, size);
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	patterns(path);
	for (size_t i = 0; i < COUNT(methods); i++) {
		OWN(json) cJSON *fields = cJSON_CreateObject();
		const struct route *r = NULL;
		const char *under = NULL;
		char allow[ROUTE_ALLOW_SIZE];
		struct err e = ERR_INIT;

		if (route_find(methods[i], path, &r, &under, allow, &e) < 0) {
			assert(e.code == ERR_NOT_FOUND || e.code == ERR_METHOD);
			continue;
		}
		if (!r->local)
			(void)query_add_fields(query, subjects[r->subject].in, fields, &e);
		if (under)
			(void)route_add_params(r, under, fields, &e);
	}
	return 0;
}
