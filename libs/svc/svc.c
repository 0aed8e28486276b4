#include "svc/svc.h"

#include "base/fault.h"
#include "base/log.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define POOLS_MAX  8
#define CONNECT_MS 1000 /* one try; so long does a stop take while there is no bus */
#define TRIES_MAX  30

/* clang-format off */
static const struct conf_key common_conf[] = {
	/* environment      type      where                                     default  min  max    secret */
	{ "NATS_URL",       CONF_STR, offsetof(struct svc_common, nats_url),      NULL,    8,   4096,  true,
	  "NATS server, with the service's user and password: nats://USER:PASSWORD@HOST:PORT, or tls://…" },
	{ "BUS_KEY",        CONF_STR, offsetof(struct svc_common, bus_key),       NULL,    32,  4096,  true,
	  "Seals secret fields on the bus; the same for all services" },
	{ "LOG_LEVEL",      CONF_STR, offsetof(struct svc_common, log_level),     "info",  1,   8,     false,
	  "Least level that is logged: debug, info, warn or error" },
	{ "BUS_WORKERS",    CONF_INT, offsetof(struct svc_common, bus_workers),   "8",     1,   256,   false,
	  "Calls answered at once" },
	{ "BUS_QUEUE_MAX",  CONF_INT, offsetof(struct svc_common, bus_queue_max), "256",   1,   65536, false,
	  "Calls that wait for a worker; more are answered 503" },
};
/* clang-format on */

const struct svc_def *svc_running;

static struct svc_common *common_of(const struct svc_def *def, void *app)
{
	return (struct svc_common *)((char *)app + def->common_offset);
}

static void print_help(const struct svc_def *def)
{
	printf("%s: %s\n\nUsage: %s [--help | --check-config]\n\nEnvironment:\n", def->name,
	       def->summary, def->name);
	conf_help(common_conf, COUNT(common_conf));
	conf_help(trust_conf, TRUST_CONF_COUNT);
	conf_help(def->conf, def->conf_count);
}

static int load(const struct svc_def *def, void *app, struct err *e)
{
	struct svc_common *common = common_of(def, app);
	enum log_level level = LOG_INF;

	if (conf_load(common_conf, COUNT(common_conf), common, e) < 0 ||
	    conf_load(trust_conf, TRUST_CONF_COUNT, &common->trust, e) < 0 ||
	    trust_load(&common->trust, e) < 0 ||
	    conf_load(def->conf, def->conf_count, app, e) < 0 ||
	    seal_init(&common->seal, common->bus_key, e) < 0)
		return -1;
	if (!log_level_from(common->log_level, &level))
		return err_field(e, "LOG_LEVEL", "must be debug, info, warn or error");
	log_open(def->name, level);
	return def->check ? def->check(app, e) : 0;
}

static size_t number_at(const void *app, size_t offset)
{
	return (size_t) * (const long long *)((const char *)app + offset);
}

static int pools_start(const struct svc_def *def, void *app, struct pool **pools, struct err *e)
{
	struct svc_common *common = common_of(def, app);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (def->pool_count >= POOLS_MAX)
		return err_set(e, ERR_INTERNAL, "more than %d pools", POOLS_MAX);
	if (pool_new((size_t)common->bus_workers, (size_t)common->bus_queue_max, bus_work,
	             &pools[0], e) < 0)
		return -1;
	for (size_t i = 0; i < def->pool_count; i++) {
		size_t workers = number_at(app, def->pool[i].workers_offset);

		if (workers == 0)
			workers = cores > 0 ? (size_t)cores : 1;
		if (pool_new(workers, number_at(app, def->pool[i].queue_offset), bus_work,
		             &pools[i + 1], e) < 0)
			return -1;
	}
	return 0;
}

static void wait_for_stop(const sigset_t *stop)
{
	int sig = 0;

	while (sigwait(stop, &sig) != 0)
		continue;
	log_info("stopping", "signal", sigabbrev_np(sig));
}

static bool is_stop_pending(const sigset_t *stop)
{
	sigset_t pending;

	sigpending(&pending);
	return (sigismember(&pending, SIGTERM) == 1 && sigismember(stop, SIGTERM) == 1) ||
	       (sigismember(&pending, SIGINT) == 1 && sigismember(stop, SIGINT) == 1);
}

/* Parts of a suite start at once: the bus may come a moment later. */
static int bus_wait(const struct bus_opt *opt, const sigset_t *stop, struct bus **ret,
                    struct err *e)
{
	for (int i = 0; bus_open(opt, ret, e) < 0; i++)
		if (e->code != ERR_UNAVAILABLE || i == fault_patience(TRIES_MAX) ||
		    is_stop_pending(stop))
			return -1;
	*e = ERR_INIT;
	return 0;
}

static int run(const struct svc_def *def, void *app, const sigset_t *stop, struct err *e)
{
	struct svc_common *common = common_of(def, app);
	struct bus_opt opt = { common->nats_url, def->name, &common->seal, CONNECT_MS };
	struct pool *pools[POOLS_MAX] = { NULL };
	struct bus_service service = {
		.description = def->summary,
		.routes = def->route,
		.route_count = def->route_count,
		.pools = pools,
		.app = app,
		.once = def->once,
		.direct = def->direct,
		.direct_count = def->direct_count,
	};
	struct bus *bus = NULL;
	int r;

	if (bus_wait(&opt, stop, &bus, e) < 0)
		return is_stop_pending(stop) ? 0 : -1;
	r = pools_start(def, app, pools, e);
	if (r == 0 && def->start)
		r = def->start(app, bus, e);
	if (r == 0)
		r = bus_serve(bus, &service, e);
	if (r == 0) {
		log_info("ready");
		wait_for_stop(stop);
	}

	if (def->quiesce)
		def->quiesce(app);
	bus_drain(bus);
	for (size_t i = 0; i < POOLS_MAX; i++)
		pool_free(pools[i]);
	if (def->stop)
		def->stop(app);
	bus_close(bus);
	return r;
}

/* No core: it would hold passwords and keys. Files that are made are this user's alone. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		log_warn("cores cannot be switched off");
	umask(0077);
}

int svc_main(const struct svc_def *def, void *app, int argc, char **argv)
{
	bool is_check = argc > 1 && strcmp(argv[1], "--check-config") == 0;
	struct err e = ERR_INIT;
	sigset_t stop;
	int r;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		print_help(def);
		return EXIT_SUCCESS;
	}
	if (argc > 1 && !is_check) {
		fprintf(stderr, "%s: unknown argument '%s'; see --help\n", def->name, argv[1]);
		return EXIT_FAILURE;
	}

	trust_begin();
	/* Before any thread starts, so that every thread inherits it and only wait_for_stop() is
	 * told. A client or server that is gone is an error of the write, not a signal. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);

	log_open(def->name, LOG_INF);
	harden();
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		log_error("cannot run", "error", "libsodium or libcurl does not start");
		return EXIT_FAILURE;
	}
	/* Many threads share one connection. Those that wait for it sleep: cnats lets them spin, which
	 * took a fifth of all processor time with 32 requests at once. */
	nats_Open(0);
	svc_running = def;
	r = load(def, app, &e);
	if (r == 0 && is_check)
		printf("%s: configuration is valid\n", def->name);
	else if (r == 0)
		r = run(def, app, &stop, &e);
	if (r < 0)
		log_error("cannot run", "field", e.field, "error", e.msg);
	curl_global_cleanup();
	/* Its own threads too: at exit the library frees its locks under them. */
	(void)nats_CloseAndWait(5000);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
