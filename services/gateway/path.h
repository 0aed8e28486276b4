#ifndef GATEWAY_PATH_H
#define GATEWAY_PATH_H

#include "base/err.h"

#include <stdbool.h>

/*
 * Paths against the patterns of routes.def. A {name} in a pattern takes one segment, a {name*} (at
 * most one a pattern) one or more, as many as what stands after it leaves; no segment is empty.
 * Paths come percent-encoded and are compared decoded: %69nstances is instances, and %2F is no
 * separator. Pure.
 */
#define PATH_SEGMENT_MAX 256  /* bytes of one segment, decoded, and a zero */
#define PATH_REST_MAX    1024 /* of a {name*} */

struct path_param {
	char name[64];
	char value[PATH_REST_MAX]; /* decoded */
};

bool path_fits(const char *pattern, const char *path);

/* What the parameters of a pattern that fits are; on_param fails with the whole. ERR_INVALID with
 * the parameter's name as field: it is not well-formed (percent.h) or too long. */
typedef int path_on_param(const struct path_param *p, void *ctx, struct err *e);
int path_params(const char *pattern, const char *path, path_on_param *on_param, void *ctx,
                struct err *e);

#endif
