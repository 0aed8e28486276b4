#include "act.h"

#include "assistant_config.h"
#include "files_keep.h"
#include "instance_store.h"
#include "last_backup.h"
#include "lease_store.h"

#include "base/fault.h"
#include "base/log.h"

#include <sodium.h>
#include <stdarg.h>

#define CONFIG_ARENA ((size_t)512 * 1024)

void act_fault(const struct instance *i, const char *step)
{
	const char *op = instance_operation_name(i->operation);
	char name[48];

	snprintf(name, sizeof(name), "%s.%s", op ? op : "mend", step);
	fault_point(name);
}

void act_spec(const struct app *app, const struct instance *i, struct container_spec *ret)
{
	*ret = (struct container_spec){
		.instance_id = i->id,
		.user_id = i->user_id,
		.platform_id = app->platform_id,
		.trace_id = i->trace_id,
		.image = i->image,
		.data_dir = app->data_dir,
		.network = app->instance_network,
		.reach = app->reach,
		.port = i->port,
		.memory_mib = i->memory_mib,
		.stop_grace_s = (int)app->stop_grace_s,
	};
}

__attribute__((format(printf, 3, 4))) static int failed(struct act_failure *why, enum failure kind,
                                                        const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	why->kind = kind;
	why->again_ms = 0;
	return -1;
}

/* The engine said no, or nothing. The person reads what that means, the log has its words. */
static int engine_failed(const struct err *e, struct act_failure *why, const char *what)
{
	if (e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT || e->code == ERR_INTERNAL)
		return failed(why, FAIL_AWAY, "%s", "");
	if (e->code == ERR_INVALID)
		return failed(why, FAIL_PLATFORM,
		              "The platform's container network is not as it has to be. An "
		              "administrator has been told; it is tried again by itself.");
	return failed(why, FAIL_ATTEMPT, "the container engine could not %s", what);
}

static int config_failed(const struct err *e, struct act_failure *why)
{
	if (e->code == ERR_INVALID)
		return failed(why, FAIL_FINAL,
		              "Its settings make no valid configuration (%s: %s). Change them, "
		              "then start it again.",
		              e->field, e->msg);
	if (e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT || e->code == ERR_NOT_FOUND)
		return failed(why, FAIL_AWAY, "%s", "");
	return failed(why, FAIL_PLATFORM,
	              "The platform cannot make its configuration. An administrator has been told; "
	              "it is tried again by itself.");
}

static int files_failed(const struct err *e, struct act_failure *why)
{
	return failed(why, FAIL_PLATFORM,
	              e->code == ERR_UNAVAILABLE
	                      ? "The platform's disk is full or away. An administrator has been "
	                        "told; it is tried again by itself."
	                      : "The platform cannot write its files. An administrator has been "
	                        "told; it is tried again by itself.");
}

static int make_config(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	long long generation = i->config_generation;
	const char *text = NULL;
	int r;

	arena_init(&a, CONFIG_ARENA);
	{
		OWN(pg_conn) struct pg_conn *db = NULL;

		r = pg_take(app->db, &db, e);
		if (r == 0)
			r = assistant_config_text(app, db, i, &a, &text, e);
	}
	if (r < 0)
		return config_failed(e, why);
	if (files_write_config(app->files, i->user_id, i->id, text, NULL, e) < 0)
		return files_failed(e, why);
	/* A crash here: it is written again, with the same bytes, which OpenClaw does not see. */
	act_fault(i, "config");
	i->applied_config = generation;
	return 0;
}

static int make_files(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (files_make(app->files, i->user_id, i->id, e) < 0)
		return files_failed(e, why);
	act_fault(i, "dirs");
	return make_config(app, i, why, e);
}

static int act_create(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	struct container_spec spec;
	enum engine_created created;
	bool has_image = false;

	if (engine_has_image(app->engine, i->image, &has_image, e) < 0)
		return engine_failed(e, why, "look for its image");
	if (!has_image) {
		err_set(e, ERR_UNAVAILABLE, "no image %s", i->image);
		return failed(why, FAIL_PLATFORM,
		              "The assistants' image (%.120s) is not on this server. An "
		              "administrator has to build or pull it; it is tried again by itself.",
		              i->image);
	}
	if (engine_ensure_network(app->engine, app->instance_network, e) < 0)
		return engine_failed(e, why, "make its network");
	if (make_files(app, i, why, e) < 0)
		return -1;
	act_spec(app, i, &spec);
	if (engine_create(app->engine, &spec, &created, e) < 0)
		return engine_failed(e, why, "make its container");
	/* A crash here leaves a container that the next look finds and starts. */
	act_fault(i, "container");
	return 0;
}

/* The container names its port from its making on, so it is made anew: the next look sees that it
 * is not what the row says. */
static int move_port(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	long long span = app->port_max - app->port_min + 1;
	long long start = app->port_min + randombytes_uniform((uint32_t)span);
	OWN(pg_conn) struct pg_conn *db = NULL;
	int port = 0;

	if (pg_take(app->db, &db, e) < 0 ||
	    store_free_port(db, app->port_min, app->port_max, start, &port, e) < 0 ||
	    lease_move_port(db, bus_instance_id(app->bus), i, port, e) < 0)
		return failed(why, FAIL_AWAY, "%s", "");
	act_fault(i, "port");
	log_warn("port was taken by another process, took another", "instance_id", i->id);
	return 0;
}

static int act_start(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	enum engine_started started;

	if (make_files(app, i, why, e) < 0)
		return -1;
	if (engine_start(app->engine, i->container_name, &started, e) < 0)
		return e->code == ERR_NOT_FOUND ? 0 : engine_failed(e, why, "start it");
	if (started == ENGINE_PORT_TAKEN)
		return move_port(app, i, why, e);
	/* A crash here leaves it running, which the next look finds. */
	act_fault(i, "started");
	return 0;
}

static int act_stop(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (engine_stop(app->engine, i->container_name, (int)app->stop_grace_s, e) < 0 &&
	    e->code != ERR_NOT_FOUND)
		return engine_failed(e, why, "stop it");
	act_fault(i, "stopped");
	return 0;
}

static int act_remove(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (engine_remove(app->engine, i->container_name, e) < 0)
		return engine_failed(e, why, "remove its container");
	act_fault(i, i->operation == INSTANCE_OP_DELETE ? "container" : "removed");
	return 0;
}

static int act_resize(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (engine_resize(app->engine, i->container_name, i->memory_mib, e) < 0 &&
	    e->code != ERR_NOT_FOUND)
		return engine_failed(e, why, "change its memory");
	act_fault(i, "resized");
	return 0;
}

static int act_erase(struct app *app, struct instance *i, bool *ret_gone, struct act_failure *why,
                     struct err *e)
{
	OWN(pg_conn) struct pg_conn *db = NULL;
	long long again_ms = 0;

	if (last_backup(app, i, &again_ms, e) < 0)
		return failed(why, FAIL_AWAY, "%s", "");
	if (again_ms > 0) {
		err_set(e, ERR_UNAVAILABLE, "its last backup is under way");
		failed(why, FAIL_AWAY, "%s", "");
		why->again_ms = again_ms;
		return -1;
	}
	if (files_delete(app->files, i->user_id, i->id, e) < 0)
		return files_failed(e, why);
	/* A crash here leaves the row, and with it the claims: all of this is done again. */
	act_fault(i, "data");
	if (pg_take(app->db, &db, e) < 0 ||
	    lease_erase(db, bus_instance_id(app->bus), i, ret_gone, e) < 0)
		return failed(why, FAIL_AWAY, "%s", "");
	if (*ret_gone) {
		/* A crash here leaves nothing but an event to be sent. */
		act_fault(i, "row");
		outbox_wake(app->outbox);
		log_info("instance deleted", "instance_id", i->id, "user_id", i->user_id);
	}
	*ret_gone = true;
	return 0;
}

static int act_keep(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (files_keep(app->files, i->user_id, i->id, e) < 0)
		return failed(why, FAIL_PLATFORM, "%s",
		              e->code == ERR_UNAVAILABLE ? "the platform's disk is full."
		              : e->code == ERR_CONFLICT  ? "its folders are nested too deeply."
		                                         : "they cannot be copied.");
	/* A crash here leaves them kept, which the same act finds. */
	act_fault(i, "kept");
	i->upgrade = UPGRADE_TRY;
	snprintf(i->image, sizeof(i->image), "%s", i->upgrade_to);
	return 0;
}

/* The container of the new image is gone, so nobody has these files open. */
static int act_back(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (files_move_aside(app->files, i->user_id, i->id, e) < 0)
		return files_failed(e, why);
	/* A crash here leaves none in their place, and those that were kept beside it. */
	act_fault(i, "aside");
	if (files_put_back(app->files, i->user_id, i->id, e) < 0)
		return files_failed(e, why);
	/* A crash here leaves nothing that is kept: the same act finds that all is done. */
	act_fault(i, "back");
	i->upgrade = UPGRADE_CLEAR;
	snprintf(i->image, sizeof(i->image), "%s", i->upgrade_from);
	return 0;
}

static int act_clear(struct app *app, struct instance *i, struct act_failure *why, struct err *e)
{
	if (files_drop_kept(app->files, i->user_id, i->id, e) < 0)
		return files_failed(e, why);
	act_fault(i, "cleared");
	i->upgrade = UPGRADE_NONE;
	return 0;
}

int act_run(struct app *app, enum action action, struct instance *i, bool *ret_gone,
            struct act_failure *why, struct err *e)
{
	*ret_gone = false;
	switch (action) {
	case ACT_CREATE:
		return act_create(app, i, why, e);
	case ACT_START:
		return act_start(app, i, why, e);
	case ACT_STOP:
		return act_stop(app, i, why, e);
	case ACT_REMOVE:
		return act_remove(app, i, why, e);
	case ACT_RESIZE:
		return act_resize(app, i, why, e);
	case ACT_CONFIG:
		return make_config(app, i, why, e);
	case ACT_ERASE:
		return act_erase(app, i, ret_gone, why, e);
	case ACT_KEEP:
		return act_keep(app, i, why, e);
	case ACT_BACK:
		return act_back(app, i, why, e);
	case ACT_CLEAR:
		return act_clear(app, i, why, e);
	case ACT_NONE:
	case ACT_COUNT:
		break;
	}
	return 0;
}
