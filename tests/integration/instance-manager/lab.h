#ifndef TEST_LAB_H
#define TEST_LAB_H

#include "base/clock.h"
#include "base/json.h"
#include "docker.h"
#include "files.h"
#include "openclaw_config.h"
#include "test.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

/*
 * A real Docker Engine (DOCKER_HOST), the stub's small image, and a platform, a network and a data
 * directory that no other test has. What is left over is taken away by lab_teardown(): the group's
 * set-up and teardown are lab_setup and lab_teardown.
 */
extern char **environ;

#define USER  "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define TOKEN "0123456789abcdef0123456789abcdef"

static struct {
	const char *host;
	char image[128], network[64], platform[UUID_SIZE], data[64];
	struct engine *engine;
	struct files *files;
	struct http_client *http, *raw; /* raw: to the engine, past the interface */
} lab;

/* The stub's image: the last line that its build script prints. */
static inline void image_build(char *out, size_t size)
{
	char sh[] = "sh", script[] = "tests/fakes/stub/build.sh", *argv[] = { sh, script, NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fd[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1);
	assert_int_equal(posix_spawnp(&pid, "sh", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fd[1]);
	while (len < size - 1 && (n = read(pipe_fd[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	close(pipe_fd[0]);
	out[len] = 0;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	out[strcspn(out, "\n")] = 0;
}

static inline int lab_setup(void **state)
{
	struct http_client_opt any = { .connect_ms = 1000, .idle_max = 2, .base_url = "" };
	struct http_client_opt raw = { .connect_ms = 1000, .base_url = "http://localhost" };
	char id[UUID_SIZE], url[256];
	struct err e = ERR_INIT;

	(void)state;
	assert_true(sodium_init() >= 0);
	lab.host = getenv("DOCKER_HOST") ? getenv("DOCKER_HOST") : "unix:///var/run/docker.sock";
	image_build(lab.image, sizeof(lab.image));
	uuid_make(lab.platform);
	uuid_make(id);
	snprintf(lab.network, sizeof(lab.network), "zaki-test-%.8s", id);
	snprintf(lab.data, sizeof(lab.data), "/tmp/test-docker-XXXXXX");
	assert_non_null(mkdtemp(lab.data));
	assert_ok(files_open(lab.data, &lab.files, &e), &e);
	assert_ok(http_client_open(&any, &lab.http, &e), &e);
	snprintf(url, sizeof(url), "http://%s", strstr(lab.host, "://") + 3);
	if (strncmp(lab.host, "unix://", 7) == 0)
		raw.unix_socket = lab.host + 7;
	else
		raw.base_url = url;
	assert_ok(http_client_open(&raw, &lab.raw, &e), &e);
	assert_ok(docker_open(lab.host, lab.platform, &lab.engine, &e), &e);
	return 0;
}

/* One request to the engine; answers its status. */
static inline int raw_ask(const char *method, const char *path, const char *body)
{
	struct http_req req = { .method = method,
		                .path = path,
		                .body = body,
		                .body_len = body ? strlen(body) : 0,
		                .timeout_ms = 60000,
		                .answer_max = 1024 * 1024 };
	struct err e = ERR_INIT;
	struct http_res res;
	struct arena a;

	arena_init(&a, 2 * 1024 * 1024);
	assert_ok(http_call(lab.raw, &req, &a, &res, &e), &e);
	arena_done(&a);
	return res.status;
}

static inline int lab_teardown(void **state)
{
	struct engine_item *items;
	struct err e = ERR_INIT;
	struct arena a;
	char path[128];
	size_t count;

	(void)state;
	arena_init(&a, 1024 * 1024);
	assert_ok(engine_list(lab.engine, &a, &items, &count, &e), &e);
	for (size_t i = 0; i < count; i++) {
		assert_ok(engine_remove(lab.engine, items[i].id, &e), &e);
		assert_ok(files_delete(lab.files, USER, items[i].instance_id, &e), &e);
	}
	arena_done(&a);
	snprintf(path, sizeof(path), DOCKER_API "/networks/%s", lab.network);
	raw_ask("DELETE", path, NULL);
	rmdir(lab.data);
	engine_close(lab.engine);
	files_close(lab.files);
	http_client_close(lab.http);
	http_client_close(lab.raw);
	return 0;
}

static inline int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* An instance with its directories; with a config it runs, without it ends with status 78. */
struct box {
	char id[UUID_SIZE], name[CONTAINER_NAME_SIZE];
	struct container_spec spec;
};

static inline void box_make(struct box *b, bool has_config)
{
	static const struct openclaw_provider llm = { "acme", "key", "http://127.0.0.1:9/v1", 0,
		                                      0 };
	struct openclaw_config conf = {
		.gateway_token = TOKEN,
		.bot_token = "7001:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
		.telegram_api_url = "http://127.0.0.1:9",
		.owner_telegram_id = 1,
		.model = "acme/m",
		.providers = &llm,
		.provider_count = 1,
	};
	struct err e = ERR_INIT;
	const char *text;
	struct arena a;

	uuid_make(b->id);
	container_name(b->id, b->name);
	b->spec = (struct container_spec){
		.instance_id = b->id,
		.user_id = USER,
		.platform_id = lab.platform,
		.trace_id = "0af7651916cd43dd8448eb211c80319c",
		.image = lab.image,
		.data_dir = lab.data,
		.network = lab.network,
		.reach = CONTAINER_REACH_HOST,
		.port = free_port(),
		.memory_mib = 256,
		.stop_grace_s = 5,
	};
	arena_init(&a, 256 * 1024);
	assert_ok(engine_ensure_network(lab.engine, lab.network, &e), &e);
	assert_ok(files_make(lab.files, USER, b->id, &e), &e);
	assert_ok(openclaw_config_text(&conf, &a, &text, &e), &e);
	if (has_config)
		assert_ok(files_write_config(lab.files, USER, b->id, text, NULL, &e), &e);
	arena_done(&a);
}

static inline enum engine_created create(const struct box *b)
{
	enum engine_created made;
	struct err e = ERR_INIT;

	assert_ok(engine_create(lab.engine, &b->spec, &made, &e), &e);
	return made;
}

static inline enum engine_started start(const struct box *b)
{
	enum engine_started started;
	struct err e = ERR_INIT;

	assert_ok(engine_start(lab.engine, b->name, &started, &e), &e);
	return started;
}

static inline struct engine_state inspect(const char *ref)
{
	struct engine_state s;
	struct err e = ERR_INIT;

	assert_ok(engine_inspect(lab.engine, ref, &s, &e), &e);
	return s;
}

static inline void box_remove(const struct box *b)
{
	struct err e = ERR_INIT;

	assert_ok(engine_remove(lab.engine, b->name, &e), &e);
	assert_ok(files_delete(lab.files, USER, b->id, &e), &e);
}

#endif
