#ifndef NATS_CHILD_H
#define NATS_CHILD_H

#include "test.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A nats-server of the test's own, which it may kill: JetStream on, no users, on a free port. */
struct nats_child {
	pid_t pid; /* 0: not running */
	int port;
	char dir[64], url[64];
};

static inline int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	OWN(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static inline bool port_answers(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	OWN(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_port = htons((uint16_t)port);
	return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

/* On the same port and store as before, when it ran before. */
static inline void nats_child_start(struct nats_child *c)
{
	char port[8];

	if (!c->port) {
		c->port = free_port();
		snprintf(c->dir, sizeof(c->dir), "/tmp/bus-test-%d-%d", (int)getpid(), c->port);
		snprintf(c->url, sizeof(c->url), "nats://127.0.0.1:%d", c->port);
	}
	snprintf(port, sizeof(port), "%d", c->port);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd",
		       c->dir, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && !port_answers(c->port); i++)
		clock_sleep_ms(50);
	assert_true(port_answers(c->port));
}

static inline void nats_child_kill(struct nats_child *c)
{
	if (!c->pid)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
}

static inline void nats_child_end(struct nats_child *c)
{
	pid_t pid;

	nats_child_kill(c);
	if (!c->dir[0])
		return;
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", c->dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

#endif
