#include "store/redis_conn.h"

#include "base/fault.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>

#define CHUNK 16384 /* bytes, a record of TLS */

struct redis_conn {
	redisContext *context;
	SSL *tls; /* NULL: in the clear */
	bool is_silent;
};

int redis_conn_unavailable(struct err *e, const char *why)
{
	err_set(e, ERR_UNAVAILABLE, "redis: %.120s", why);
	e->retry_after_s = REDIS_RETRY_AFTER_S;
	return -1;
}

/* An error reply that passes by itself: the server loads its data, is a replica, is full, is busy
 * with a script. */
int redis_conn_error(const redisReply *reply, struct err *e)
{
	static const char *const passing[] = { "LOADING", "READONLY", "MASTERDOWN", "OOM",
		                               "BUSY ",   "MISCONF",  "TRYAGAIN",   "CLUSTERDOWN" };

	for (size_t i = 0; i < COUNT(passing); i++)
		if (strncmp(reply->str, passing[i], strlen(passing[i])) == 0)
			return redis_conn_unavailable(e, reply->str);
	return err_set(e, ERR_INTERNAL, "redis: %.120s", reply->str);
}

/* ---- TLS -------------------------------------------------------------------------------------- */

SSL_CTX *redis_conn_tls(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_default_verify_paths(tls) != 1) {
		SSL_CTX_free(tls);
		return NULL;
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	return tls;
}

/* Why an operation of OpenSSL that answered r went wrong. */
static int broken(struct redis_conn *c, int r, struct err *e)
{
	const int reason_no = errno;
	const long verified = SSL_get_verify_result(c->tls);
	const char *reason;

	switch (SSL_get_error(c->tls, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: /* the socket's time-out */
		c->is_silent = true;
		return redis_conn_unavailable(e, "no answer in time");
	case SSL_ERROR_ZERO_RETURN:
		return redis_conn_unavailable(e, "the server closed the connection");
	case SSL_ERROR_SYSCALL:
		return redis_conn_unavailable(e, reason_no ? strerrordesc_np(reason_no)
		                                           : "the server closed the connection");
	default:
		reason = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
		                               : ERR_reason_error_string(ERR_peek_last_error());
		return redis_conn_unavailable(e, reason ? reason : "TLS failed");
	}
}

/* Whose certificate it has to be: an address is no name. */
static bool expect(SSL *tls, const char *host)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) == 1)
		return true;
	SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(tls, host) == 1 && SSL_set_tlsext_host_name(tls, host) == 1;
}

static int shake_hands(struct redis_conn *c, const struct redis_to *to, struct err *e)
{
	int r;

	c->tls = SSL_new(to->tls);
	if (!c->tls || !expect(c->tls, to->host) || SSL_set_fd(c->tls, c->context->fd) != 1)
		return err_set(e, ERR_INTERNAL, "redis: out of memory");
	ERR_clear_error();
	errno = 0;
	r = SSL_connect(c->tls);
	return r == 1 ? 0 : broken(c, r, e);
}

/* The socket blocks: all is written, or it is broken. */
static int write_tls(struct redis_conn *c, const char *text, int len, struct err *e)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write(c->tls, text, len);
	return r > 0 ? 0 : broken(c, r, e);
}

static redisReply *read_tls(struct redis_conn *c, struct err *e)
{
	redisReader *reader = c->context->reader;
	char chunk[CHUNK];
	void *reply = NULL;
	int r;

	for (;;) {
		if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
			redis_conn_unavailable(e, reader->errstr);
			return NULL;
		}
		if (reply)
			return reply;
		ERR_clear_error();
		errno = 0;
		r = SSL_read(c->tls, chunk, sizeof(chunk));
		if (r <= 0) {
			broken(c, r, e);
			return NULL;
		}
		if (redisReaderFeed(reader, chunk, (size_t)r) != REDIS_OK) {
			redis_conn_unavailable(e, reader->errstr);
			return NULL;
		}
	}
}

static redisReply *call_tls(struct redis_conn *c, const char **args, const size_t *lens, int count,
                            struct err *e)
{
	char *text = NULL;
	int len = redisFormatCommandArgv(&text, count, args, lens), r;

	if (len < 0) {
		err_set(e, ERR_INTERNAL, "redis: out of memory");
		return NULL;
	}
	r = write_tls(c, text, len, e);
	explicit_bzero(text, (size_t)len); /* a password, when signing in */
	redisFreeCommand(text);
	return r < 0 ? NULL : read_tls(c, e);
}

/* ---- both -------------------------------------------------------------------------------------- */

redisReply *redis_conn_call(struct redis_conn *c, const char *const *args, const size_t *lens,
                            size_t count, struct err *e)
{
	/* hiredis 0.14 takes the array as not const, and only reads it. */
	const char **their = (const char **)args;
	redisReply *reply;

	if (c->tls)
		return call_tls(c, their, lens, (int)count, e);
	reply = redisCommandArgv(c->context, (int)count, their, lens);
	if (!reply) {
		c->is_silent = c->context->err == REDIS_ERR_IO &&
		               (errno == EAGAIN || errno == EWOULDBLOCK);
		redis_conn_unavailable(e, c->context->errstr);
	}
	return reply;
}

bool redis_conn_is_silent(const struct redis_conn *c)
{
	return c->is_silent;
}

bool redis_conn_is_alive(const struct redis_conn *c)
{
	struct pollfd fd = { .fd = c->context->fd, .events = POLLIN };

	return !c->context->err && poll(&fd, 1, 0) == 0;
}

static int simple(struct redis_conn *c, size_t count, const char *const *args, struct err *e)
{
	OWN(redis_reply) redisReply *reply = redis_conn_call(c, args, NULL, count, e);

	if (!reply)
		return -1;
	return reply->type == REDIS_REPLY_ERROR ? redis_conn_error(reply, e) : 0;
}

static int greet(struct redis_conn *c, const struct redis_to *to, struct err *e)
{
	const char *login[] = { "AUTH", to->user, to->password };
	const char *only[] = { "AUTH", to->password };
	const char *db[] = { "SELECT", to->db };

	if (to->password && simple(c, to->user ? 3 : 2, to->user ? login : only, e) < 0)
		return -1;
	return to->db ? simple(c, 2, db, e) : 0;
}

static struct timeval span(int ms)
{
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L };
}

static int connect_to(struct redis_conn *c, const struct redis_to *to, struct err *e)
{
	const struct timeval connect = span(fault_patience(REDIS_CONNECT_MS));
	const struct timeval call = span(fault_patience(REDIS_CALL_MS));

	c->context = to->path ? redisConnectUnixWithTimeout(to->path, connect)
	                      : redisConnectWithTimeout(to->host, to->port, connect);
	if (!c->context)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (c->context->err || redisSetTimeout(c->context, call) != REDIS_OK)
		return redis_conn_unavailable(e, c->context->errstr);
	(void)redisEnableKeepAlive(c->context); /* a unix socket has none */
	if (to->tls && shake_hands(c, to, e) < 0)
		return -1;
	return greet(c, to, e);
}

int redis_conn_open(const struct redis_to *to, struct redis_conn **ret, struct err *e)
{
	struct redis_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (connect_to(c, to, e) < 0) {
		redis_conn_close(c);
		return -1;
	}
	*ret = c;
	return 0;
}

void redis_conn_close(struct redis_conn *c)
{
	if (!c)
		return;
	SSL_free(c->tls);
	if (c->context)
		redisFree(c->context);
	free(c);
}
