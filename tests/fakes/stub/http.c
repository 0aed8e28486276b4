#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stub.h"

bool http_url_parse(const char *url, struct http_url *ret)
{
	struct http_url u = { .port = "80" };
	size_t len;

	if (strncmp(url, "http://", 7) != 0)
		return false;
	url += 7;
	len = strcspn(url, ":/");
	if (len == 0 || len >= sizeof(u.host))
		return false;
	memcpy(u.host, url, len);
	url += len;
	if (*url == ':') {
		len = strspn(++url, "0123456789");
		if (len == 0 || len >= sizeof(u.port))
			return false;
		memcpy(u.port, url, len);
		u.port[len] = '\0';
		url += len;
	}
	len = strlen(url);
	while (len && url[len - 1] == '/')
		len--;
	if ((*url && *url != '/') || len >= sizeof(u.path))
		return false;
	memcpy(u.path, url, len);
	*ret = u;
	return true;
}

/* Waits for fd; false when the time is up or a cancel descriptor became readable. */
static bool wait_fd(int fd, short events, int64_t deadline, const int cancel[2])
{
	for (;;) {
		struct pollfd p[3] = { { .fd = fd, .events = events },
			               { .fd = cancel[0], .events = POLLIN },
			               { .fd = cancel[1], .events = POLLIN } };
		int64_t left = deadline - now_ms();
		int n;

		if (left <= 0)
			return false;
		n = poll(p, 3, (int)left);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			return !p[1].revents && !p[2].revents;
	}
}

static int connect_to(const struct http_call *call, int64_t deadline)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int fd = -1;

	if (getaddrinfo(call->url->host, call->url->port, &hints, &found) != 0)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) < 0) {
		int error = errno;
		socklen_t len = sizeof(error);

		if (error != EINPROGRESS || !wait_fd(fd, POLLOUT, deadline, call->cancel) ||
		    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

static bool send_all(int fd, const struct text *t, int64_t deadline, const int cancel[2])
{
	size_t sent = 0;

	if (t->failed)
		return false;
	while (sent < t->len) {
		ssize_t n = send(fd, t->data + sent, t->len - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN || !wait_fd(fd, POLLOUT, deadline, cancel))
			return false;
	}
	return true;
}

/* Until the server closes, which it does after one answer because we ask it to. */
static bool receive_all(int fd, struct text *ret, int64_t deadline, const int cancel[2])
{
	char buf[16 * 1024];

	while (ret->len <= HTTP_HEAD_MAX + HTTP_BODY_MAX && !ret->failed) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n == 0)
			return ret->len > 0;
		if (n > 0)
			text_add(ret, buf, (size_t)n);
		else if (errno != EAGAIN || !wait_fd(fd, POLLIN, deadline, cancel))
			return false;
	}
	return false;
}

/* Splits a whole answer: its status, and only the body left in t. -1 where it was cut short. */
static int split_answer(struct text *t)
{
	char length[32];
	char *body = t->data ? strstr(t->data, "\r\n\r\n") : NULL;
	unsigned int status;

	if (!body || sscanf(t->data, "HTTP/1.%*1[01] %3u", &status) != 1)
		return -1;
	*body = '\0';
	body += 4;
	t->len -= (size_t)(body - t->data);
	if (http_header(t->data, "Content-Length", length, sizeof(length)) &&
	    strtoull(length, NULL, 10) != t->len)
		return -1;
	memmove(t->data, body, t->len + 1);
	return (int)status;
}

int http_post(const struct http_call *call, struct text *ret_body)
{
	int64_t deadline = now_ms() + call->timeout_ms;
	struct text request = { 0 };
	int fd = connect_to(call, deadline);
	int status = -1;

	*ret_body = (struct text){ 0 };
	if (fd < 0)
		return -1;
	text_printf(&request,
	            "POST %s%s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
	            "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
	            call->url->path, call->path, call->url->host, call->url->port,
	            strlen(call->json), call->json);
	if (send_all(fd, &request, deadline, call->cancel) &&
	    receive_all(fd, ret_body, deadline, call->cancel))
		status = split_answer(ret_body);
	text_done(&request);
	close(fd);
	return status;
}

bool http_header(const char *head, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
			size_t value_len;

			line += len + 1;
			line += strspn(line, " \t");
			value_len = strcspn(line, "\r");
			if (value_len >= size)
				return false;
			memcpy(ret, line, value_len);
			ret[value_len] = '\0';
			return true;
		}
	}
	return false;
}

/* The head byte by byte as it comes; 1, 0 at the end of the connection, or minus a status. */
static int read_head(int fd, struct http_request *r)
{
	size_t len = 0;

	while (len < HTTP_HEAD_MAX) {
		ssize_t n = recv(fd, r->head + len, 1, 0);

		if (n <= 0)
			return len ? -400 : 0;
		len++;
		if (len >= 4 && memcmp(r->head + len - 4, "\r\n\r\n", 4) == 0) {
			r->head[len] = '\0';
			return strlen(r->head) == len ? 1 : -400;
		}
	}
	return -431;
}

static int read_body(int fd, struct http_request *r)
{
	char value[32];
	char *end;
	unsigned long long len;

	if (http_header(r->head, "Transfer-Encoding", value, sizeof(value)))
		return -501;
	if (!http_header(r->head, "Content-Length", value, sizeof(value)))
		return 1;
	len = strtoull(value, &end, 10);
	if (*end || end == value || value[0] == '-')
		return -400;
	if (len > HTTP_BODY_MAX)
		return -413;
	r->body = calloc(1, len + 1);
	if (!r->body)
		return -500;
	while (r->body_len < len) {
		ssize_t n = recv(fd, r->body + r->body_len, len - r->body_len, 0);

		if (n <= 0)
			return -400;
		r->body_len += (size_t)n;
	}
	return 1;
}

int http_read(int fd, struct http_request *ret)
{
	char connection[32] = "";
	int got = read_head(fd, ret);
	size_t len;

	ret->body = NULL;
	ret->body_len = 0;
	if (got <= 0)
		return got;
	if (sscanf(ret->head, "%15[A-Z] %1023[^ \r\n] HTTP/1.", ret->method, ret->path) != 2 ||
	    ret->path[0] != '/')
		return -400;
	len = strcspn(ret->path, "?");
	ret->path[len] = '\0';
	http_header(ret->head, "Connection", connection, sizeof(connection));
	ret->keep = strcasecmp(connection, "close") != 0;
	return read_body(fd, ret);
}

void http_request_done(struct http_request *r)
{
	free(r->body);
	r->body = NULL;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 413:
		return "Payload Too Large";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 503:
		return "Service Unavailable";
	default:
		return "Status";
	}
}

bool http_reply(int fd, int status, const char *type, const struct text *body, bool keep)
{
	static const int no_cancel[2] = { -1, -1 };
	struct text t = { 0 };
	bool sent;

	text_printf(&t,
	            "HTTP/1.1 %d %s\r\nX-Content-Type-Options: nosniff\r\n"
	            "Content-Type: %s; charset=utf-8\r\nCache-Control: no-store\r\n"
	            "Content-Length: %zu\r\nConnection: %s\r\n\r\n",
	            status, reason(status), type, body->len, keep ? "keep-alive" : "close");
	text_add(&t, body->data ? body->data : "", body->len);
	sent = send_all(fd, &t, now_ms() + 5000, no_cancel);
	text_done(&t);
	return sent;
}
