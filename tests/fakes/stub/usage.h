/* What replies cost, counted as the real one does: by the prices of the model in the config. */
#ifndef STUB_USAGE_H
#define STUB_USAGE_H

#include "json.h"
#include "stub.h"

/* The reply to a message, which is an echo and costs a token a byte each way; where the model's
 * address is one where nobody listens, it says so and costs nothing. */
void usage_reply(struct stub *s, const char *message, char *ret, size_t size);

/* The payload of sessions.usage. */
void usage_tell(struct text *out);

/* config.get and config.set; false with the reason in *ret_error. */
bool config_run(struct stub *s, const char *method, const struct json *params, struct text *out,
                const char **ret_error);

#endif
