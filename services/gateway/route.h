#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "wire/subject.h"

#include <cjson/cJSON.h>

/* The public API: routes.def. Pure; nothing here knows an endpoint by name. */

enum route_input { INPUT_BODY, INPUT_QUERY };
enum route_needs { NEEDS_NOTHING, NEEDS_MAYBE, NEEDS_USER, NEEDS_SELF };
enum route_limit { LIMIT_NONE, LIMIT_API, LIMIT_AUTH };
enum route_cookies { COOKIES_NONE, COOKIES_SET, COOKIES_CLEAR };

struct app;
struct exchange;

#define ROUTE_BODY_KIB 64 /* the longest body, where a row does not say */

/* Answers by itself: the HTTP status and *ret, an envelope (OWN(json_text)). */
typedef int route_local(struct app *app, char **ret);

/* Writes a whole answer, once its service has agreed; what fails then can only break off. */
typedef void route_stream(struct exchange *x);

struct route {
	const char *method;
	const char *path;
	enum subject_id subject; /* SUBJ_COUNT where local is set */
	enum route_input input;
	enum route_needs needs;
	int success;
	enum route_limit limit;
	enum route_cookies cookies;
	size_t body_max;      /* bytes */
	const char *tag;      /* the answer's field that is its entity tag, or ""; NULL: none */
	route_local *local;   /* NULL: the subject's service answers */
	route_stream *stream; /* NULL: the service's answer is the answer */
};

extern const struct route routes[];
extern const size_t route_count;

#define ROUTE_ALLOW_SIZE 64 /* of a list of methods */

/*
 * The route of a request; a HEAD is a GET. *ret_path is the path under the base, still
 * percent-encoded, as route_add_params() wants it. ERR_NOT_FOUND: no route has this path.
 * ERR_METHOD: one has, for other methods, which are in allow then.
 */
int route_find(const char *method, const char *path, const struct route **ret,
               const char **ret_path, char allow[ROUTE_ALLOW_SIZE], struct err *e);

/*
 * Puts the path's parameters into fields, under their names. One replaces a field of that name
 * already there: the path alone decides which object is meant.
 */
int route_add_params(const struct route *r, const char *path, cJSON *fields, struct err *e);

#endif
