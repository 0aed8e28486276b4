#ifndef PROVIDER_STORE_H
#define PROVIDER_STORE_H

#include "instance_store.h"

/* The table provider_keys as people change it: keys go in sealed (ASSISTANT_PROVIDER_KEY). */

/* Another key or address for a provider, or a further one. ERR_QUOTA: more than
 * OPENCLAW_PROVIDERS_MAX. In a transaction that holds the instance's row. */
int provider_store_put(struct pg_conn *c, const struct instance *i,
                       const struct openclaw_provider *sealed, struct err *e);

/* ERR_NOT_FOUND. */
int provider_store_delete(struct pg_conn *c, const struct instance *i, const char *name,
                          struct err *e);

/* When each of store_secrets() was last written, unix ms, in the same order. */
int provider_store_times(struct pg_conn *c, const struct instance *i,
                         long long ret[OPENCLAW_PROVIDERS_MAX], struct err *e);

#endif
