#ifndef CHILD_H
#define CHILD_H

#include "test.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A server of the test's own, which it may kill: on a free port of this machine, with its data in a
 * directory of its own. Started again it has the same port and data. */
struct child {
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

static inline void child_name(struct child *c, const char *scheme)
{
	if (c->port)
		return;
	c->port = free_port();
	snprintf(c->dir, sizeof(c->dir), "/tmp/zaki-test-%d-%d", (int)getpid(), c->port);
	snprintf(c->url, sizeof(c->url), "%s://127.0.0.1:%d", scheme, c->port);
	assert_int_equal(mkdir(c->dir, 0700), 0);
}

/* Runs argv with its output in file, or nowhere. */
static inline pid_t child_run(const char *const *argv, const char *file)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int out = open(file ? file : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
		               0600);

		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

static inline void child_wait_port(const struct child *c)
{
	for (int i = 0; i < 2400 && !port_answers(c->port); i++)
		clock_sleep_ms(25);
	assert_true(port_answers(c->port));
}

/* JetStream on, no users. */
static inline void child_start_nats(struct child *c)
{
	char port[8];

	child_name(c, "nats");
	snprintf(port, sizeof(port), "%d", c->port);
	c->pid = child_run((const char *[]){ "nats-server", "-a", "127.0.0.1", "-p", port, "-js",
	                                     "-sd", c->dir, NULL },
	                   NULL);
	child_wait_port(c);
}

/* Keeps nothing over a restart. */
static inline void child_start_redis(struct child *c)
{
	char port[8];

	child_name(c, "redis");
	snprintf(port, sizeof(port), "%d", c->port);
	c->pid = child_run((const char *[]){ "redis-server", "--bind", "127.0.0.1", "--port", port,
	                                     "--save", "", "--appendonly", "no", "--dir", c->dir,
	                                     NULL },
	                   NULL);
	child_wait_port(c);
}

static inline void child_kill(struct child *c)
{
	if (!c->pid)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
}

static inline void child_end(struct child *c)
{
	child_kill(c);
	if (c->dir[0])
		waitpid(child_run((const char *[]){ "rm", "-rf", c->dir, NULL }, NULL), NULL, 0);
}

#endif
