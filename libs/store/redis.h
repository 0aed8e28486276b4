#ifndef STORE_REDIS_H
#define STORE_REDIS_H

#include "base/err.h"
#include "base/own.h"

#include <hiredis/hiredis.h>

/*
 * Redis: a pool of connections with time-outs. What broke is opened anew when next used; while the
 * server is away a call fails at once (ERR_UNAVAILABLE) but for one try every REDIS_RETRY_MS, so
 * that requests do not wait for it one by one. Any thread. The process must ignore SIGPIPE (svc_main()
 * does): hiredis 0.14 writes without MSG_NOSIGNAL.
 */
#define REDIS_CONNECT_MS 500
#define REDIS_CALL_MS    500
#define REDIS_RETRY_MS   250

struct redis;

/* Opens no connection yet. url: redis[s]://[[user]:password@]host[:port][/db], with an s by TLS and never in
 * the clear; or unix://[[user]:password@]/path[?db=n]. ERR_INVALID naming REDIS_URL. */
int redis_open(const char *url, size_t size, struct redis **ret, struct err *e);
void redis_close(struct redis *r); /* NULL is fine */

/* One command, binary safe. The caller owns *ret; an error reply of the server is ERR_INTERNAL,
 * or ERR_UNAVAILABLE where it passes by itself (LOADING, READONLY, OOM …). */
int redis_call(struct redis *r, const char *const *args, const size_t *lens, size_t count,
               redisReply **ret, struct err *e);

/* The same for text arguments, ended by NULL: REDIS_CALL(r, &reply, e, "SET", key, value). */
int redis_cmd(struct redis *r, redisReply **ret, struct err *e, ...) __attribute__((sentinel));
#define REDIS_CALL(r, ret, e, ...) redis_cmd((r), (ret), (e), __VA_ARGS__, (char *)NULL)

/* Which run of the server this is: another one may have lost what it was told. 40 hex digits, as INFO has
 * it; new at each start. */
#define REDIS_RUN_ID_SIZE 41
int redis_run_id(struct redis *r, char ret[REDIS_RUN_ID_SIZE], struct err *e);

/* A script by its SHA-1 (EVALSHA), loaded again when the server has forgotten it. Keep one static
 * struct a script; text is constant. */
struct redis_script {
	const char *text;
	char sha[41]; /* filled by the first call */
};
struct redis_script_in {
	const char *const *keys;
	size_t key_count;
	const char *const *args;
	size_t arg_count;
};
int redis_script_run(struct redis *r, struct redis_script *s, const struct redis_script_in *in,
                     redisReply **ret, struct err *e);

/* The same with its parts one by one. */
#define redis_script_call(r, s, keys, key_count, args, arg_count, ret, e)                    \
	redis_script_run(                                                                    \
		(r), (s),                                                                    \
		&(const struct redis_script_in){ (keys), (key_count), (args), (arg_count) }, \
		(ret), (e))

static inline void own_redis_reply(redisReply **r)
{
	if (*r)
		freeReplyObject(*r);
}

#endif
