#ifndef STORE_REDIS_CONN_H
#define STORE_REDIS_CONN_H

#include "store/redis.h"

#include <openssl/ssl.h>

/*
 * One connection to Redis, in the clear or by TLS; redis.c's alone. hiredis 0.14 knows no TLS: with it,
 * hiredis connects, writes commands up and reads replies, and OpenSSL carries the bytes. The server has
 * to show a certificate of a CA that this process trusts (svc/trust.h), for the host of the URL. The thread
 * that took it.
 */
#define REDIS_RETRY_AFTER_S 1 /* what a client is told while the server is away */

/* Where to. Texts are the caller's, who keeps them. NULL: none. */
struct redis_to {
	const char *host, *path; /* path: of a unix socket, and then no host */
	const char *user, *password, *db;
	int port;
	SSL_CTX *tls; /* NULL: in the clear */
};

/* What tls above is made of: TLS 1.2 and later, and nobody believed without a certificate. NULL: out of
 * memory. The caller owns it (SSL_CTX_free). */
SSL_CTX *redis_conn_tls(void);

struct redis_conn;

/* Connected and signed in. ERR_UNAVAILABLE, with what is wrong. */
int redis_conn_open(const struct redis_to *to, struct redis_conn **ret, struct err *e);
void redis_conn_close(struct redis_conn *c); /* NULL is fine */

/* An idle connection has nothing to say: one that is readable was ended by the server. */
bool redis_conn_is_alive(const struct redis_conn *c);

/* The caller owns the reply, which may be the server's error. NULL: the connection is of no use any more,
 * and *e is set. */
redisReply *redis_conn_call(struct redis_conn *c, const char *const *args, const size_t *lens,
                            size_t count, struct err *e);

/* Whether that was for want of an answer in time: a connection that the server closed says nothing about
 * the next one; silence does. */
bool redis_conn_is_silent(const struct redis_conn *c);

/* What an error reply of the server is here, and a server that cannot be used for that reason. Both return
 * -1. */
int redis_conn_error(const redisReply *reply, struct err *e);
int redis_conn_unavailable(struct err *e, const char *why);

#endif
