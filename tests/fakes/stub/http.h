/*
 * As much HTTP/1.1 as both sides of the stub need: a head, a body of known length, one exchange per
 * connection as a client. Times are limits for the whole call.
 */
#ifndef STUB_HTTP_H
#define STUB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

enum {
	HTTP_HEAD_MAX = 16 * 1024,   /* bytes */
	HTTP_BODY_MAX = 1024 * 1024, /* bytes */
};

struct http_url {
	char host[256];
	char port[8];
	char path[256]; /* without a slash at its end */
};

bool http_url_parse(const char *url, struct http_url *ret); /* http:// only */

/*
 * POSTs JSON to url's path followed by `path`. The answer's status and body, or -1 when there was
 * none in time or one of the cancel descriptors became readable. *ret_body is the caller's to
 * text_done() in any case.
 */
struct http_call {
	const struct http_url *url;
	const char *path;
	const char *json;
	int timeout_ms;
	int cancel[2];
};
int http_post(const struct http_call *call, struct text *ret_body);

/* A request as the server sees it. Header values are found with http_header(). */
struct http_request {
	char method[16];
	char path[1024]; /* without the query */
	char head[HTTP_HEAD_MAX + 1];
	char *body; /* NUL-terminated; http_request_done() frees it */
	size_t body_len;
	bool keep;
};

/* 1, 0 at a clean end of the connection, or minus the status to answer before closing. */
int http_read(int fd, struct http_request *ret);
bool http_header(const char *head, const char *name, char *ret, size_t size);
void http_request_done(struct http_request *r);
bool http_reply(int fd, int status, const char *type, const struct text *body, bool keep);

#endif
