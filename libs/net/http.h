#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/own.h"

#include <sys/socket.h>

/*
 * HTTP to others by libcurl: the Docker Engine on its unix socket, OpenClaw's gateways, Telegram.
 * Every call has a time limit and a limit on the answer's size; redirects are not followed; no
 * proxy of the environment is used for unix sockets and loopback. A struct http_client keeps
 * connections for reuse (a pool of easy handles behind a mutex): any thread.
 */
struct http_client;

struct http_client_opt {
	const char *unix_socket; /* NULL: TCP */
	const char *base_url;    /* put before each path; "http://localhost/v1.41" */
	int connect_ms;
	size_t idle_max; /* connections kept for later */
	/* Which addresses it may connect to, after names were resolved; no proxy is used then. A
	 * call that would go to any other fails with ERR_FORBIDDEN, also where a name has a good
	 * address beside it. NULL: all. */
	bool (*allows)(const struct sockaddr *addr);
};

int http_client_open(const struct http_client_opt *opt, struct http_client **ret, struct err *e);
void http_client_close(struct http_client *c); /* NULL is fine */

struct http_req {
	const char *method; /* "GET" */
	const char *path;   /* appended to base_url, or a whole URL where that is "" */
	const char *body;   /* NULL: none */
	size_t body_len;
	const char *content_type;   /* of body; NULL: application/json */
	const char *bearer;         /* Authorization: Bearer …; NULL: none. Never logged. */
	int timeout_ms;             /* the whole call */
	size_t answer_max;          /* bytes; more is ERR_UPSTREAM */
	const char *const *headers; /* further ones, "Name: value", NULL-ended; NULL: none */
	/* Another thread sets it to end the call, seen within about a second; NULL: none. The call is
	 * then ERR_UNAVAILABLE, and what became of it is not known. http_stream() has its own. */
	const volatile bool *stop;
};

struct http_res {
	int status;
	const char *body; /* in the arena, zero-ended; "" if none */
	size_t body_len;
};

/* 0 for any status. ERR_UNAVAILABLE: no connection; ERR_TIMEOUT; ERR_UPSTREAM: not HTTP, or too
 * much. Messages never hold the URL's path, since Telegram's has the token in it. */
int http_call(struct http_client *c, const struct http_req *req, struct arena *a,
              struct http_res *ret, struct err *e);

/*
 * A streamed answer (the engine's events): on_data gets the bytes as they come, on the calling
 * thread, and ends the stream by returning false. Returns when the stream ends, on_data says so,
 * *stop becomes true (seen within 500 ms), or the connection breaks.
 */
typedef bool http_data(const char *data, size_t len, void *ctx);
int http_stream(struct http_client *c, const struct http_req *req, http_data *on_data, void *ctx,
                const volatile bool *stop, struct err *e);

#endif
