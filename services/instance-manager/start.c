#include "app.h"

#include "assistant_config.h"
#include "glance.h"
#include "keeper.h"
#include "link/holder.h"
#include "link/link.h"
#include "link/news.h"
#include "owner/awaiter.h"
#include "provider/ask.h"
#include "reconcile.h"
#include "watch.h"

#include "base/log.h"
#include "svc/postgres.h"

#include <errno.h>
#include <fcntl.h>

#define DATABASE_SPARE   12 /* connections beside those of the handlers */
#define OUTSIDE_IDLE     8
#define PROBE_CONNECT_MS 1000
#define MARK_FILE        ".platform" /* in DATA_DIR: whose it is */

/* DOCKER_HOST's form. It connects to nothing; the platform's id is not known yet. */
static int engine_form_check(const struct app *app, struct err *e)
{
	struct engine *engine = NULL;

	if (docker_open(app->docker_host, "00000000-0000-0000-0000-000000000000", &engine, e) < 0)
		return -1;
	engine_close(engine);
	return 0;
}

/* What is given of the default provider must make a config; with nothing given, people bring their
 * own. */
static int default_model_check(const struct app *app, struct err *e)
{
	bool is_given = app->default_provider_base_url[0] || app->default_provider_api_key[0];
	int r = is_given ? assistant_config_check(app, app->default_model, NULL, 0, e)
	                 : openclaw_model_check(app->default_model, e);

	if (r < 0)
		snprintf(e->field, sizeof(e->field), "%s",
		         strstr(e->field, "base_url")  ? "DEFAULT_PROVIDER_BASE_URL"
		         : strstr(e->field, "api_key") ? "DEFAULT_PROVIDER_API_KEY"
		                                       : "DEFAULT_MODEL");
	return r;
}

int app_check(void *ctx, struct err *e)
{
	struct app *app = ctx;
	const struct vault_key key = { 1, app->encryption_key };

	if (!container_reach_from(app->instance_reach, &app->reach))
		return err_field(e, "INSTANCE_REACH", "must be host or network");
	if (app->port_min > app->port_max)
		return err_field(e, "INSTANCE_PORT_MIN", "must not be above INSTANCE_PORT_MAX");
	if (app->data_dir[0] != '/')
		return err_field(e, "DATA_DIR", "must be an absolute path");
	if ((app->default_model[0] && default_model_check(app, e) < 0) ||
	    engine_form_check(app, e) < 0)
		return -1;
	return vault_new(&key, 1, &app->vault, e);
}

static int database_open(struct app *app, struct err *e)
{
	static const char sql[] = "SELECT id FROM platform";
	size_t size = (size_t)(app->common.bus_workers + app->link_workers) + NEWS_WORKERS +
	              DATABASE_SPARE;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	char name[64];

	snprintf(name, sizeof(name), LEASE_APP "%s", bus_instance_id(app->bus));
	if (pg_pool_open(app->database_url, name, size, &app->db, e) < 0 ||
	    postgres_wait(app->db, "instance-manager", e) < 0 || pg_take(app->db, &c, e) < 0 ||
	    lease_void_dead(c, e) < 0 || pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	if (PQntuples(res) != 1)
		return err_set(e, ERR_INTERNAL, "table platform has not one row");
	snprintf(app->platform_id, sizeof(app->platform_id), "%s", pg_text(res, 0, "id"));
	return 0;
}

/*
 * Directories of no instance are removed: with another database than theirs that would be all of
 * them. So DATA_DIR bears the platform's id, and another's is refused.
 */
static int data_dir_mark(struct app *app, struct err *e)
{
	char path[600], id[UUID_SIZE] = "";
	ssize_t len;
	int mark;

	snprintf(path, sizeof(path), "%s/" MARK_FILE, app->data_dir);
	mark = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mark >= 0) {
		OWN(fd) int fd = mark;

		if (write(fd, app->platform_id, UUID_SIZE - 1) != UUID_SIZE - 1 || fsync(fd) < 0) {
			(void)unlink(path);
			return err_field(e, "DATA_DIR", "cannot be written: %s",
			                 strerrordesc_np(errno));
		}
		return 0;
	}
	{
		OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		len = fd < 0 ? -1 : read(fd, id, sizeof(id) - 1);
	}
	if (len < 0)
		return err_field(e, "DATA_DIR", "cannot be read: %s", strerrordesc_np(errno));
	if (len == 0) { /* of a crash between making and writing it */
		(void)unlink(path);
		return data_dir_mark(app, e);
	}
	if (strcmp(id, app->platform_id) != 0)
		return err_field(e, "DATA_DIR",
		                 "belongs to the platform %s and DATABASE_URL to %s; if the files "
		                 "there are of no use any more, remove the directory",
		                 id, app->platform_id);
	return 0;
}

static int outside_open(struct app *app, struct err *e)
{
	const struct http_client_opt telegram = { .base_url = app->telegram_api_url,
		                                  .connect_ms = 3000,
		                                  .idle_max = OUTSIDE_IDLE };
	const struct http_client_opt probes = { .base_url = "",
		                                .connect_ms = PROBE_CONNECT_MS,
		                                .idle_max = RECONCILE_WORKERS };

	if (http_client_open(&telegram, &app->telegram, e) < 0)
		return -1;
	if (http_client_open(&probes, &app->probes, e) < 0 ||
	    provider_client_open(app->provider_private != 0, &app->providers, e) < 0)
		return -1;
	return provider_client_open(true, &app->platform_llm, e);
}

/* An engine that is away now is no reason not to start: it is waited for. */
static int engine_open(struct app *app, struct err *e)
{
	struct engine_info info;

	if (docker_open(app->docker_host, app->platform_id, &app->engine, e) < 0)
		return -1;
	/* The ping finds out which version of its API the engine speaks. */
	if (engine_ping(app->engine, &info, e) == 0 &&
	    engine_ensure_network(app->engine, app->instance_network, e) == 0)
		return 0;
	if (e->code == ERR_INVALID)
		return -1;
	log_warn("engine is away, instances wait for it", "error", e->msg);
	*e = ERR_INIT;
	return 0;
}

int app_start(void *ctx, struct bus *b, struct err *e)
{
	struct app *app = ctx;

	app->bus = b;
	snprintf(app->holder_id, sizeof(app->holder_id), "%s", bus_instance_id(b));
	if (database_open(app, e) < 0 || files_open(app->data_dir, &app->files, e) < 0 ||
	    data_dir_mark(app, e) < 0 || outside_open(app, e) < 0 || engine_open(app, e) < 0)
		return -1;
	if (glance_new(&app->glance, e) < 0 ||
	    outbox_start(OUTBOX_INSTANCE, app->db, b, &app->outbox, e) < 0 ||
	    reconcile_start(app, &app->reconciler, e) < 0 || watch_start(app, &app->watch, e) < 0)
		return -1;
	if (links_start(app, &app->links, e) < 0 || holder_start(app, &app->holder, e) < 0 ||
	    awaiter_start(app, &app->awaiter, e) < 0)
		return -1;
	return keeper_start(app, &app->keeper, e);
}

/* The bus has drained: nobody asks for anything any more. Those that begin things end before those
 * that carry them out, and events go last. */
void app_stop(void *ctx)
{
	struct app *app = ctx;

	keeper_stop(TAKE(app->keeper));
	watch_stop(TAKE(app->watch));
	awaiter_stop(TAKE(app->awaiter));
	holder_stop(TAKE(app->holder));
	links_stop(app->links); /* whoever still works for it asks it until it is gone */
	app->links = NULL;
	reconcile_stop(TAKE(app->reconciler));
	outbox_stop(TAKE(app->outbox));
	glance_free(TAKE(app->glance));
	engine_close(TAKE(app->engine));
	http_client_close(TAKE(app->platform_llm));
	http_client_close(TAKE(app->providers));
	http_client_close(TAKE(app->probes));
	http_client_close(TAKE(app->telegram));
	files_close(TAKE(app->files));
	pg_pool_close(TAKE(app->db));
	vault_free(TAKE(app->vault));
}

void app_wake(struct app *app)
{
	reconcile_wake(app->reconciler);
	outbox_wake(app->outbox);
}

int app_check_postgres(void *ctx, struct err *e)
{
	struct app *app = ctx;

	return postgres_check(app->db, e);
}

int app_check_engine(void *ctx, struct err *e)
{
	struct app *app = ctx;

	return keeper_engine(app->keeper, e);
}
