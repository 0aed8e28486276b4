#ifndef TEST_GATE_H
#define TEST_GATE_H

#include "test.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A TCP gate in front of a server, on a port of its own, which the test opens, closes (the server is
 * gone: connections end, new ones are refused) and freezes (the server is there and says nothing).
 * gate_set() returns once the mode is in force. All in a header, since each test is one file.
 */
enum gate_mode { GATE_OPEN, GATE_FROZEN, GATE_CLOSED };

#define GATE_PAIRS 64

struct gate {
	pthread_mutex_t lock; /* guards mode, is_set, is_stopping */
	pthread_cond_t applied;
	enum gate_mode mode;
	bool is_set, is_stopping;

	char host[256];
	int target_port, port, wake[2], listener;
	int pair[GATE_PAIRS][2]; /* -1: free */
	pthread_t thread;
};

static int listen_on(int port, int *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		perror("gate");
		abort();
	}
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_to(const struct gate *g)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	char port[12];
	int fd = -1;

	if (g->host[0] == '/')
		return connect_unix(g->host);
	snprintf(port, sizeof(port), "%d", g->target_port);
	if (getaddrinfo(g->host, port, &hints, &found) != 0)
		return -1;
	for (const struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next) {
		fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
		if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

static void pair_close(struct gate *g, int i)
{
	for (int side = 0; side < 2; side++) {
		if (g->pair[i][side] >= 0)
			close(g->pair[i][side]);
		g->pair[i][side] = -1;
	}
}

static void pair_open(struct gate *g)
{
	int in = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC), i = 0;
	int out = in < 0 ? -1 : connect_to(g);

	while (i < GATE_PAIRS && g->pair[i][0] >= 0)
		i++;
	if (in < 0 || out < 0 || i == GATE_PAIRS) {
		if (in >= 0)
			close(in);
		if (out >= 0)
			close(out);
		return;
	}
	g->pair[i][0] = in;
	g->pair[i][1] = out;
}

static void pair_move(struct gate *g, int i, int side)
{
	char buf[16384];
	ssize_t n = read(g->pair[i][side], buf, sizeof(buf));

	for (ssize_t at = 0, sent; n > 0 && at < n; at += sent) {
		sent = send(g->pair[i][!side], buf + at, (size_t)(n - at), MSG_NOSIGNAL);
		if (sent <= 0)
			n = -1;
	}
	if (n <= 0)
		pair_close(g, i);
}

/* Puts the wanted mode into force. False: the gate is to stop. */
static bool apply(struct gate *g, enum gate_mode *mode)
{
	bool go_on;

	pthread_mutex_lock(&g->lock);
	go_on = !g->is_stopping;
	*mode = g->mode;
	if ((*mode == GATE_CLOSED || !go_on) && g->listener >= 0) {
		close(g->listener);
		g->listener = -1;
		for (int i = 0; i < GATE_PAIRS; i++)
			pair_close(g, i);
	}
	if (*mode != GATE_CLOSED && go_on && g->listener < 0)
		g->listener = listen_on(g->port, &g->port);
	g->is_set = true;
	pthread_cond_signal(&g->applied);
	pthread_mutex_unlock(&g->lock);
	return go_on;
}

static void *run(void *ctx)
{
	struct gate *g = ctx;
	enum gate_mode mode = GATE_OPEN;

	for (;;) {
		struct pollfd fds[2 + 2 * GATE_PAIRS];
		char byte;

		fds[0] = (struct pollfd){ .fd = g->wake[0], .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = mode == GATE_OPEN ? g->listener : -1,
			                  .events = POLLIN };
		for (int i = 0; i < GATE_PAIRS; i++)
			for (int side = 0; side < 2; side++)
				fds[2 + 2 * i + side] =
					(struct pollfd){ .fd = mode == GATE_OPEN ? g->pair[i][side]
					                                         : -1,
					                 .events = POLLIN };
		if (poll(fds, COUNT(fds), -1) < 0)
			continue;
		if (fds[0].revents && read(g->wake[0], &byte, 1) == 1 && !apply(g, &mode))
			return NULL;
		if (mode != GATE_OPEN)
			continue;
		for (int i = 0; i < GATE_PAIRS; i++)
			for (int side = 0; side < 2; side++)
				if (fds[2 + 2 * i + side].revents && g->pair[i][side] >= 0)
					pair_move(g, i, side);
		if (fds[1].revents)
			pair_open(g);
	}
}

static struct gate *gate_start(const char *host, int port)
{
	struct gate *g = calloc(1, sizeof(*g));

	if (!g || pipe(g->wake) < 0)
		abort();
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->applied, NULL);
	snprintf(g->host, sizeof(g->host), "%s", host);
	g->target_port = port;
	memset(g->pair, -1, sizeof(g->pair));
	g->listener = listen_on(0, &g->port);
	if (pthread_create(&g->thread, NULL, run, g) != 0)
		abort();
	return g;
}

static void wake(struct gate *g)
{
	if (write(g->wake[1], "", 1) != 1)
		abort();
}

static void gate_stop(struct gate *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->is_stopping = true;
	pthread_mutex_unlock(&g->lock);
	wake(g);
	pthread_join(g->thread, NULL);
	close(g->wake[0]);
	close(g->wake[1]);
	pthread_cond_destroy(&g->applied);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static int gate_port(const struct gate *g)
{
	return g->port;
}

static void gate_set(struct gate *g, enum gate_mode mode)
{
	pthread_mutex_lock(&g->lock);
	g->mode = mode;
	g->is_set = false;
	wake(g);
	while (!g->is_set)
		pthread_cond_wait(&g->applied, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

#endif
