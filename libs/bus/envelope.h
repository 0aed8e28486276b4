#ifndef BUS_ENVELOPE_H
#define BUS_ENVELOPE_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/wire.h"

/*
 * The body of every reply on the bus and over HTTP (SPEC 3):
 *
 *	{"success":true,"data":{…},"error":null}
 *	{"success":false,"data":null,"error":{"code":"…","message":"…","details":{"field":"…"}}}
 *
 * Texts belong to the caller: cJSON_free(), OWN(json_text). NULL when out of memory.
 */
char *envelope_data(const struct wire_msg *m, const void *out, const struct seal *seal,
                    struct err *e);
char *envelope_error(const struct err *e);

/* Fills *out from the data, or *e from the error, of a reply. ERR_INTERNAL when it is no envelope
 * or its data is no m. */
int envelope_open(const char *text, size_t len, const struct wire_msg *m, const struct seal *seal,
                  struct arena *a, void *out, struct err *e);

#endif
