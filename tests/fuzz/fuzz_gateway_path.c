/* A path and a query string: routes, percent-encoding, parameters as fields. */

#include "query.h"
#include "route.h"

#include "base/own.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = { "GET", "POST", "PATCH", "DELETE" };
	OWN(mem) char *path = calloc(1, size + 1);
	char *query;

	memcpy(path, data, size);
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
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
