#ifndef DOCKER_H
#define DOCKER_H

#include "engine.h"
#include "net/http.h"

/*
 * What the files of the Docker implementation share. docker_json.c is pure: the engine's answers
 * in, structs out; what is not as the engine's API says is ERR_UPSTREAM that names it.
 */
#define DOCKER_API_MAJOR 1
#define DOCKER_API_MINOR 41
#define DOCKER_API       "/v1.41"
#define DOCKER_API_LAST  51 /* minor version up to which answers are as they are read here */
#define DOCKER_ICC       "com.docker.network.bridge.enable_icc"
#define DOCKER_LINE_MAX  (64 * 1024) /* bytes of one event */

struct docker {
	struct engine base; /* first: a struct engine * is one of these */
	struct http_client *http;
	char platform_id[UUID_SIZE];
	int api_minor; /* of the API that is spoken; set by ping, read by all (__atomic) */
};

/* The path of a request in the API version that the engine speaks. NULL: no memory. */
const char *docker_path(struct docker *d, const char *path, struct arena *a);

enum docker_network_fit {
	DOCKER_NETWORK_FITS,
	DOCKER_NETWORK_OTHER,   /* the engine found one by the start of its id */
	DOCKER_NETWORK_TALKING, /* containers in it reach each other, or it is no bridge */
};

/* GET /version. ERR_UNAVAILABLE when the engine speaks neither DOCKER_API nor one up to
 * DOCKER_API_LAST. *ret_minor: the oldest of these that it speaks. */
int docker_json_version(const struct http_res *res, struct engine_info *ret, int *ret_minor,
                        struct err *e);

/* GET /containers/REF/json and /containers/json. */
int docker_json_state(const struct http_res *res, const char *platform_id, struct engine_state *ret,
                      struct err *e);
int docker_json_list(const struct http_res *res, const char *platform_id, struct arena *a,
                     struct engine_item **ret, size_t *ret_count, struct err *e);

/* One line of GET /events. */
int docker_json_event(const char *line, size_t len, struct engine_event *ret, struct err *e);

/* GET /networks/NAME, and how many of that name are in GET /networks. */
int docker_json_network(const struct http_res *res, const char *name, enum docker_network_fit *ret,
                        struct err *e);
int docker_json_networks(const struct http_res *res, const char *name, size_t *ret_count,
                         struct err *e);

/* The id in the answer to a create. */
int docker_json_id(const struct http_res *res, char ret[ENGINE_ID_SIZE], struct err *e);

/* The engine's reason in a refusal, in one line; "" where it gives none. Returns out. */
#define DOCKER_MESSAGE_SIZE 128
char *docker_json_message(const struct http_res *res, char out[DOCKER_MESSAGE_SIZE]);

/* Both outputs of GET /containers/REF/logs as one text: the last `max` bytes, from the start of a
 * line where there is one. Zero bytes become '?'. */
int docker_logs_text(const struct http_res *res, size_t max, struct arena *a, const char **ret,
                     struct err *e);

/*
 * One request to the engine and its answer, with the memory of both. Init, set req.path (in the
 * arena; NULL where that had no memory), perhaps req.body, send; docker_ask_done() in the end.
 */
struct docker_ask {
	const char *verb; /* for errors */
	struct arena a;
	struct http_req req;
	struct http_res res;
};

#define DOCKER_ANSWER_MAX (1024 * 1024) /* bytes of an answer about one thing */
#define DOCKER_QUICK_MS   10000         /* what the engine answers from memory */

void docker_ask_init(struct docker_ask *k, const char *verb, const char *method, int timeout_ms);

/* 0 for any answer, also a refusal: the verbs know which statuses are fine to them. */
int docker_ask_send(struct docker *d, struct docker_ask *k, struct err *e);

/* The failure that an answer stands for: ERR_NOT_FOUND for 404, else ERR_UPSTREAM. -1. */
int docker_ask_refused(const struct docker_ask *k, struct err *e);

/* Says in *e which verb it was. -1. */
int docker_ask_wrap(const struct docker_ask *k, struct err *e);

/* Percent-encoded for a URL's path; of an image's name the slashes and colons stay. */
const char *docker_escape(const char *text, bool is_image, struct arena *a);

static inline void own_docker_ask(struct docker_ask *k)
{
	arena_done(&k->a);
}

/* docker_network.c and docker_events.c: verbs of the engine. */
int docker_ensure_network(struct engine *g, const char *name, struct err *e);
int docker_events(struct engine *g, long long since_ns, engine_on_event *on_event, void *ctx,
                  const volatile bool *stop, struct err *e);

#endif
