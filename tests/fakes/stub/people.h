/* People who ask to be let in, and those who were: channels.pairing.*. Of this run alone. */
#ifndef STUB_PEOPLE_H
#define STUB_PEOPLE_H

#include "json.h"
#include "stub.h"

void pairing_ask(int64_t user_id, const char *name);
bool pairing_has(int64_t user_id); /* was let in */

/* "list", "approve", "dismiss"; false with the reason in *ret_error. */
bool pairing_run(const char *verb, const struct json *params, struct text *out,
                 const char **ret_error);

#endif
