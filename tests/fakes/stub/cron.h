/* cron.add, which makes one job of one declarationKey however often it is asked, and cron.list. */
#ifndef STUB_CRON_H
#define STUB_CRON_H

#include "ws.h"

/* verb: what stands after "cron."; false with the reason in *ret_error. */
bool cron_run(const char *verb, const struct json *params, struct text *out,
              const char **ret_error);

#endif
