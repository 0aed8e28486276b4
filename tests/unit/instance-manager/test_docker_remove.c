#include "docker.h"

#include "test.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An engine that answers one request after the other with what was written down for it. */
struct scripted {
	int listener;
	const char *const *answers;
	int asked;
};

static void *answer_all(void *ctx)
{
	struct scripted *s = ctx;

	for (int fd; s->answers[s->asked] && (fd = accept(s->listener, NULL, NULL)) >= 0;
	     s->asked++) {
		char request[4096];
		bool is_told = read(fd, request, sizeof(request)) > 0 &&
		               dprintf(fd, "%s", s->answers[s->asked]) > 0;

		close(fd);
		if (!is_told)
			break; /* the counts below tell */
	}
	return NULL;
}

/* What Docker says of one that ends while it is about to kill it. */
#define JUST_ENDED                                                                             \
	"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: " \
	"close\r\n"                                                                            \
	"Content-Length: 93\r\n\r\n{\"message\":\"Could not kill running container x, cannot " \
	"remove - "                                                                            \
	"Container x is not running\"}\n"
#define GONE "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

static void container_that_ends_as_it_is_removed_is_gone(void **state)
{
	static const struct {
		const char *answers[5];
		int asked;
		enum err_code code;
	} rows[] = {
		{ { JUST_ENDED, GONE, NULL }, 2, ERR_NONE },
		{ { JUST_ENDED, JUST_ENDED, JUST_ENDED, NULL }, 3, ERR_UPSTREAM },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sockaddr_un at = { .sun_family = AF_UNIX };
		struct scripted s = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			              rows[i].answers, 0 };
		char url[sizeof(at.sun_path) + 8];
		struct engine *g = NULL;
		struct err e = ERR_INIT;
		pthread_t thread;

		snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/zaki-engine-%d.sock", getpid());
		snprintf(url, sizeof(url), "unix://%s", at.sun_path);
		assert_int_equal(bind(s.listener, (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(listen(s.listener, 4), 0);
		pthread_create(&thread, NULL, answer_all, &s);
		assert_ok(docker_open(url, "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c", &g, &e), &e);
		engine_remove(g, "x", &e);
		shutdown(s.listener, SHUT_RDWR); /* whatever was not asked for is not waited for */
		pthread_join(thread, NULL);
		assert_int_equal(e.code, rows[i].code);
		assert_int_equal(s.asked, rows[i].asked);
		engine_close(g);
		close(s.listener);
		unlink(at.sun_path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_that_ends_as_it_is_removed_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
