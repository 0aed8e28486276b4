#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include "wire/wire.h"

/*
 * Query parameters as the request's fields: "limit=20&cursor=x" becomes {"limit":20,"cursor":"x"},
 * each by its field's type. ERR_INVALID naming the parameter that the message does not have, that
 * comes twice, that is not well-formed or no number where one is wanted. query may be NULL.
 */
int query_add_fields(const char *query, const struct wire_msg *m, cJSON *fields, struct err *e);

/* The decoded value of one parameter, in out; false where it is absent, comes twice or is not
 * well-formed. */
bool query_find(const char *query, const char *name, char *out, size_t size);

#endif
