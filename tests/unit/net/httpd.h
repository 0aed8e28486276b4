#ifndef TEST_HTTPD_H
#define TEST_HTTPD_H

#include "test.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A server on 127.0.0.1 (or a unix socket) which answers each path with the very bytes that the
 * test wrote for it, so that a client meets whatever a server might say. A connection lives until
 * the client closes it, unless the answer says otherwise.
 */
enum httpd_then {
	HTTPD_KEEP,
	HTTPD_CLOSE,  /* after the answer */
	HTTPD_SILENT, /* the answer, then nothing, until the client goes */
};

struct httpd_answer {
	const char *path; /* as the request line has it, with its query; "*": any */
	const char *bytes;
	enum httpd_then then;
};

#define HTTPD_CONNS 32

struct httpd {
	const struct httpd_answer *answers;
	size_t answer_count;
	int listener, port;
	pthread_t thread;

	pthread_mutex_t lock; /* guards what follows */
	int conn[HTTPD_CONNS];
	pthread_t conn_thread[HTTPD_CONNS];
	int conn_count;
	int request_count;
	char last[16384]; /* the last request, zero-ended */
};

struct httpd_conn {
	struct httpd *d;
	int fd;
};

/* The whole request's length once it is there, else 0. */
static size_t httpd_request_len(const char *buf, size_t len)
{
	const char *end = strstr(buf, "\r\n\r\n"), *length;
	size_t whole;

	if (!end)
		return 0;
	whole = (size_t)(end + 4 - buf);
	length = strcasestr(buf, "\r\ncontent-length:");
	if (length && length < end)
		whole += strtoul(length + 17, NULL, 10);
	return whole <= len ? whole : 0;
}

static const struct httpd_answer *httpd_find(struct httpd *d, const char *request)
{
	const char *path = strchr(request, ' ') + 1;
	size_t len = strcspn(path, " ");

	for (size_t i = 0; i < d->answer_count; i++) {
		const char *p = d->answers[i].path;

		if (strcmp(p, "*") == 0 || (strlen(p) == len && memcmp(p, path, len) == 0))
			return &d->answers[i];
	}
	return NULL;
}

/* false: the connection is to be closed. */
static bool httpd_answer_one(struct httpd *d, int fd, char *buf, size_t size)
{
	const struct httpd_answer *a;
	size_t len = 0, whole = 0;
	ssize_t n;

	while (whole == 0 && len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0) {
		len += (size_t)n;
		buf[len] = 0;
		whole = httpd_request_len(buf, len);
	}
	if (whole == 0)
		return false;
	pthread_mutex_lock(&d->lock);
	d->request_count++;
	memcpy(d->last, buf, len + 1);
	pthread_mutex_unlock(&d->lock);

	a = httpd_find(d, buf);
	if (!a || send(fd, a->bytes, strlen(a->bytes), MSG_NOSIGNAL) < 0)
		return false;
	if (a->then == HTTPD_SILENT)
		while (read(fd, buf, size) > 0)
			;
	return a->then == HTTPD_KEEP;
}

static void *httpd_serve(void *arg)
{
	struct httpd_conn *c = arg;
	char *buf = malloc(sizeof(c->d->last));

	while (buf && httpd_answer_one(c->d, c->fd, buf, sizeof(c->d->last)))
		;
	shutdown(c->fd, SHUT_RDWR); /* closed by httpd_stop(), so that no number comes twice */
	free(buf);
	free(c);
	return NULL;
}

static void *httpd_accept(void *arg)
{
	struct httpd *d = arg;
	int fd;

	while ((fd = accept(d->listener, NULL, NULL)) >= 0) {
		struct httpd_conn *c = malloc(sizeof(*c));

		assert_non_null(c);
		*c = (struct httpd_conn){ d, fd };
		pthread_mutex_lock(&d->lock);
		assert_true(d->conn_count < HTTPD_CONNS);
		d->conn[d->conn_count] = fd;
		pthread_create(&d->conn_thread[d->conn_count++], NULL, httpd_serve, c);
		pthread_mutex_unlock(&d->lock);
	}
	return NULL;
}

/* unix_path NULL: TCP, on d->port. */
static inline void httpd_start(struct httpd *d, const struct httpd_answer *answers, size_t count,
                               const char *unix_path)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);

	*d = (struct httpd){ .answers = answers, .answer_count = count };
	pthread_mutex_init(&d->lock, NULL);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	d->listener = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (unix_path) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
		assert_int_equal(bind(d->listener, (struct sockaddr *)&un, sizeof(un)), 0);
	} else {
		assert_int_equal(bind(d->listener, (struct sockaddr *)&in, len), 0);
		assert_int_equal(getsockname(d->listener, (struct sockaddr *)&in, &len), 0);
		d->port = ntohs(in.sin_port);
	}
	assert_int_equal(listen(d->listener, 16), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, httpd_accept, d), 0);
}

static inline void httpd_stop(struct httpd *d)
{
	shutdown(d->listener, SHUT_RDWR);
	pthread_join(d->thread, NULL);
	close(d->listener);
	for (int i = 0; i < d->conn_count; i++) {
		shutdown(d->conn[i], SHUT_RDWR);
		pthread_join(d->conn_thread[i], NULL);
		close(d->conn[i]);
	}
	pthread_mutex_destroy(&d->lock);
}

#endif
