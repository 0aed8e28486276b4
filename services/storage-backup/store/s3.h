#ifndef S3_H
#define S3_H

#include "store/storage_internal.h"

#include <curl/curl.h>
#include <pthread.h>

/*
 * A bucket of an S3. Requests are signed by libcurl (SigV4), path style; each may be repeated,
 * so each is: after a broken connection, a 5xx, a 429 or a body that arrived damaged, with
 * exponential back-off and full jitter. Bodies go with their SHA-256 (in the signature) and MD5.
 */
#define S3_IDLE_MAX   8
#define S3_ANSWER_MAX (4 << 20) /* bytes of XML */

struct s3 {
	char *base;                    /* "https://host/bucket" */
	char *prefix;                  /* "" or "some/where/" */
	char *sigv4;                   /* "aws:amz:REGION:s3" */
	char *access_key, *secret_key; /* either may have a ':' in it */
	char *sse;                     /* "" none */
	int timeout_ms, retries;
	bool is_direct; /* never through a proxy */
	/* lock guards the idle handles, each of which keeps its connection */
	pthread_mutex_t lock;
	CURL *idle[S3_IDLE_MAX];
	size_t idle_count;
};

struct s3_req {
	const char *method;
	const char *key;   /* "": the bucket; encoded by s3_call() */
	const char *query; /* sorted, encoded; NULL: none */
	const void *body;  /* NULL: none */
	size_t body_len;
	bool is_new_object;                /* takes the sse header */
	const struct storage_range *range; /* of a GET: where its bytes go */
};

struct s3_res {
	long status;
	size_t got;       /* into the range's buffer */
	long long length; /* Content-Length of a HEAD */
	char etag[128];
	char *text; /* the answer's XML, zero-ended; s3_res_done() frees it */
	size_t text_len;
};

/* 0 for 2xx, and for 416 of a range (got is 0); others are errors. */
int s3_call(struct s3 *s, const struct s3_req *req, struct s3_res *ret, struct err *e);
void s3_res_done(struct s3_res *res);
static inline void own_s3_res(struct s3_res *res)
{
	s3_res_done(res);
}

int s3_put_parts(struct s3 *s, const char *key, int fd, long long size, struct err *e);
int s3_list(void *impl, const char *prefix, const struct storage_list_to *to, struct err *e);

/* len bytes of fd from offset on. */
int s3_read_part(int fd, long long offset, char *to, size_t len, struct err *e);

#endif
