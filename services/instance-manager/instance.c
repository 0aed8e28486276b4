#include "instance.h"

#include "base/clock.h"

#include <assert.h>

static const char *const status_names[INSTANCE_STATUS_COUNT] = {
	[INSTANCE_PROVISIONING] = "provisioning", [INSTANCE_STARTING] = "starting",
	[INSTANCE_RUNNING] = "running",           [INSTANCE_UNHEALTHY] = "unhealthy",
	[INSTANCE_STOPPING] = "stopping",         [INSTANCE_STOPPED] = "stopped",
	[INSTANCE_RESTARTING] = "restarting",     [INSTANCE_ERROR] = "error",
	[INSTANCE_DELETING] = "deleting",         [INSTANCE_SLEEPING] = "sleeping",
};

static const char *const desired_names[INSTANCE_DESIRED_COUNT] = {
	[INSTANCE_WANT_RUNNING] = "running",
	[INSTANCE_WANT_STOPPED] = "stopped",
	[INSTANCE_WANT_DELETED] = "deleted",
};

static const char *const operation_names[INSTANCE_OP_COUNT] = {
	[INSTANCE_OP_CREATE] = "create",   [INSTANCE_OP_START] = "start",
	[INSTANCE_OP_STOP] = "stop",       [INSTANCE_OP_RESTART] = "restart",
	[INSTANCE_OP_UPDATE] = "update",   [INSTANCE_OP_DELETE] = "delete",
	[INSTANCE_OP_UPGRADE] = "upgrade",
};

static const char *const upgrade_names[UPGRADE_COUNT] = {
	[UPGRADE_BACKUP] = "backup", [UPGRADE_STOP] = "stop",   [UPGRADE_TRY] = "try",
	[UPGRADE_BACK] = "back",     [UPGRADE_CLEAR] = "clear",
};

static const char *const cause_names[CAUSE_COUNT] = {
#define CAUSE(id, name) [CAUSE_##id] = (name),
#include "cause.def"
#undef CAUSE
};

const char *instance_cause_name(const struct instance *i)
{
	return i->reason[0] ? cause_names[i->cause] : NULL;
}

const char *instance_upgrade_name(enum instance_upgrade u)
{
	return upgrade_names[u];
}

const char *instance_upgrade_cause(const struct instance *i)
{
	return i->upgrade_error[0] ? cause_names[i->upgrade_cause] : NULL;
}

/* One of a later version is none here. */
static enum instance_cause cause_from(const char *name)
{
	for (int k = CAUSE_NONE + 1; name && k < CAUSE_COUNT; k++)
		if (strcmp(cause_names[k], name) == 0)
			return (enum instance_cause)k;
	return CAUSE_NONE;
}

const char *instance_status_name(enum instance_status s)
{
	return status_names[s];
}

const char *instance_desired_name(enum instance_desired d)
{
	return desired_names[d];
}

const char *instance_operation_name(enum instance_operation op)
{
	return operation_names[op];
}

bool instance_is_settled(enum instance_status s)
{
	return s == INSTANCE_RUNNING || s == INSTANCE_UNHEALTHY || s == INSTANCE_STOPPED ||
	       s == INSTANCE_ERROR;
}

/* The place of a column's text in a table of names; NULL is the place of NULL. */
static int name_index(const PGresult *res, int row, const char *column, const char *const *names,
                      size_t count, struct err *e)
{
	const char *text = pg_text(res, row, column);

	for (size_t i = 0; i < count; i++)
		if (text ? names[i] && strcmp(text, names[i]) == 0 : !names[i])
			return (int)i;
	return err_set(e, ERR_INTERNAL, "instances.%s has an unknown value", column);
}

static void copy(const PGresult *res, int row, const char *column, char *out, size_t size)
{
	const char *text = pg_text(res, row, column);

	snprintf(out, size, "%s", text ? text : "");
}

/* SQL NULL is 0. */
static int number(const PGresult *res, int row, const char *column, long long *ret, struct err *e)
{
	*ret = 0;
	return pg_text(res, row, column) ? pg_int(res, row, column, ret, e) : 0;
}

static int numbers_from_row(const PGresult *res, int row, struct instance *i, struct err *e)
{
	long long port, memory, misses, exit_code;
	const struct {
		const char *column;
		long long *to;
	} wide[] = {
		{ "port", &port },
		{ "memory_mib", &memory },
		{ "probe_misses", &misses },
		{ "exit_code", &exit_code },
		{ "owner_telegram_id", &i->owner_telegram_id },
		{ "observed_ms", &i->observed_ms },
		{ "created_ms", &i->created_ms },
		{ "updated_ms", &i->updated_ms },
		{ "created_us", &i->created_us },
		{ "restart_generation", &i->restart_generation },
		{ "applied_generation", &i->applied_generation },
		{ "config_generation", &i->config_generation },
		{ "applied_config", &i->applied_config },
		{ "wake", &i->wake },
		{ "retry_at_ms", &i->retry_at_ms },
		{ "seen_end_ms", &i->seen_end_ms },
		{ "ready_run_ms", &i->ready_run_ms },
		{ "not_ready_since_ms", &i->not_ready_since_ms },
		{ "upgrade_ms", &i->upgrade_ms },
	};

	for (size_t k = 0; k < COUNT(wide); k++)
		if (number(res, row, wide[k].column, wide[k].to, e) < 0)
			return -1;
	i->port = (int)port;
	i->memory_mib = (int)memory;
	i->probe_misses = (int)misses;
	i->exit_code = (int)exit_code;
	return 0;
}

/* "{1,2,3}", as PostgreSQL writes an array. */
static void times_from_text(const char *text, long long *times)
{
	size_t count = 0;

	memset(times, 0, INSTANCE_RESTARTS * sizeof(*times));
	while (text && *text && count < INSTANCE_RESTARTS) {
		if (*text >= '0' && *text <= '9')
			times[count++] = strtoll(text, (char **)&text, 10);
		else
			text++;
	}
}

int instance_from_row(const PGresult *res, int row, struct instance *ret, struct err *e)
{
	int status = name_index(res, row, "status", status_names, COUNT(status_names), e);
	int desired = name_index(res, row, "desired", desired_names, COUNT(desired_names), e);
	int op = name_index(res, row, "operation", operation_names, COUNT(operation_names), e);
	int step = name_index(res, row, "upgrade_step", upgrade_names, COUNT(upgrade_names), e);
	const char *channel = pg_text(res, row, "channel");
	struct instance i = { 0 };

	if (status < 0 || desired < 0 || op < 0 || step < 0 ||
	    numbers_from_row(res, row, &i, e) < 0)
		return -1;
	i.status = (enum instance_status)status;
	i.desired = (enum instance_desired)desired;
	i.operation = (enum instance_operation)op;
	i.upgrade = (enum instance_upgrade)step;
	copy(res, row, "id", i.id, sizeof(i.id));
	copy(res, row, "user_id", i.user_id, sizeof(i.user_id));
	copy(res, row, "name", i.name, sizeof(i.name));
	copy(res, row, "container_name", i.container_name, sizeof(i.container_name));
	copy(res, row, "bot_username", i.bot_username, sizeof(i.bot_username));
	copy(res, row, "model", i.model, sizeof(i.model));
	copy(res, row, "status_reason", i.reason, sizeof(i.reason));
	i.cause = cause_from(pg_text(res, row, "status_cause"));
	copy(res, row, "trace_id", i.trace_id, sizeof(i.trace_id));
	copy(res, row, "gateway_token_encrypted", i.gateway_token_encrypted,
	     sizeof(i.gateway_token_encrypted));
	copy(res, row, "image", i.image, sizeof(i.image));
	copy(res, row, "upgrade_from", i.upgrade_from, sizeof(i.upgrade_from));
	copy(res, row, "upgrade_to", i.upgrade_to, sizeof(i.upgrade_to));
	copy(res, row, "upgrade_error", i.upgrade_error, sizeof(i.upgrade_error));
	i.upgrade_cause = cause_from(pg_text(res, row, "upgrade_cause"));
	times_from_text(pg_text(res, row, "restart_times"), i.restart_times);
	i.is_booting = pg_bool(res, row, "is_booting");
	i.is_waiting = pg_bool(res, row, "is_waiting");
	i.exit_oom = pg_bool(res, row, "exit_oom");
	i.was_ready = pg_bool(res, row, "was_ready");
	i.is_held = pg_bool(res, row, "is_held");
	i.is_channel_up = channel && strcmp(channel, "up") == 0;
	*ret = i;
	return 0;
}

/* NULL for an empty text, else a copy; *ok turns false when there is no memory. */
static const char *text_or_null(struct arena *a, const char *text, bool *ok)
{
	const char *copied = text[0] ? arena_strdup(a, text) : NULL;

	*ok &= copied || !text[0];
	return copied;
}

static const char *time_or_null(struct arena *a, long long ms, bool *ok)
{
	char text[CLOCK_TEXT_SIZE] = "";

	if (ms)
		clock_text(ms, text);
	return text_or_null(a, text, ok);
}

int instance_to_view(const struct instance *i, struct arena *a, struct instance_view *ret,
                     struct err *e)
{
	bool ok = true;

	*ret = (struct instance_view){
		.id = text_or_null(a, i->id, &ok),
		.name = text_or_null(a, i->name, &ok),
		.container_name = text_or_null(a, i->container_name, &ok),
		.port = i->port,
		.bot_username = text_or_null(a, i->bot_username, &ok),
		.model = text_or_null(a, i->model, &ok),
		.status = status_names[i->status],
		.status_reason = text_or_null(a, i->reason, &ok),
		.status_cause = instance_cause_name(i),
		.desired = desired_names[i->desired],
		.observed_at = time_or_null(a, i->observed_ms, &ok),
		.created_at = time_or_null(a, i->created_ms, &ok),
		.updated_at = time_or_null(a, i->updated_ms, &ok),
		.memory_mib = i->memory_mib,
	};
	return ok ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int instance_files_are_free(const struct instance *i, struct err *e)
{
	return i->upgrade > UPGRADE_BACKUP
	               ? err_set(e, ERR_CONFLICT,
	                         "the instance is being upgraded; that takes a minute or two")
	               : 0;
}

void instance_forgive(struct instance *i)
{
	i->probe_misses = 0;
	memset(i->restart_times, 0, sizeof(i->restart_times));
	i->retry_at_ms = 0;
	i->exit_code = -1;
	i->exit_oom = false;
	i->not_ready_since_ms = 0;
}

static int may_change(const struct instance *i, struct err *e)
{
	if (i->desired == INSTANCE_WANT_DELETED)
		return err_set(e, ERR_CONFLICT, "the instance is being deleted");
	if (i->operation == INSTANCE_OP_UPGRADE)
		return err_set(e, ERR_CONFLICT,
		               "the instance is being upgraded; that takes a minute or two");
	return 0;
}

static void become(struct instance *i, enum instance_desired desired, enum instance_status status,
                   enum instance_operation op)
{
	i->desired = desired;
	i->status = status;
	i->operation = op;
	i->reason[0] = '\0';
	i->cause = CAUSE_NONE;
	instance_forgive(i);
}

static enum instance_status first_status(const struct instance *i)
{
	return i->was_ready ? INSTANCE_STARTING : INSTANCE_PROVISIONING;
}

int instance_want_start(struct instance *i, bool *ret_changed, struct err *e)
{
	if (may_change(i, e) < 0)
		return -1;
	*ret_changed = i->desired != INSTANCE_WANT_RUNNING || i->status == INSTANCE_ERROR;
	if (*ret_changed)
		become(i, INSTANCE_WANT_RUNNING, first_status(i), INSTANCE_OP_START);
	return 0;
}

int instance_want_stop(struct instance *i, bool *ret_changed, struct err *e)
{
	if (may_change(i, e) < 0)
		return -1;
	*ret_changed = i->desired != INSTANCE_WANT_STOPPED;
	if (*ret_changed)
		become(i, INSTANCE_WANT_STOPPED, INSTANCE_STOPPING, INSTANCE_OP_STOP);
	return 0;
}

int instance_want_restart(struct instance *i, bool *ret_changed, struct err *e)
{
	if (may_change(i, e) < 0)
		return -1;
	*ret_changed = true;
	i->restart_generation++;
	become(i, INSTANCE_WANT_RUNNING, i->was_ready ? INSTANCE_RESTARTING : INSTANCE_PROVISIONING,
	       INSTANCE_OP_RESTART);
	return 0;
}

int instance_want_delete(struct instance *i, bool *ret_changed, struct err *e)
{
	(void)e;
	*ret_changed = i->desired != INSTANCE_WANT_DELETED;
	if (*ret_changed)
		become(i, INSTANCE_WANT_DELETED, INSTANCE_DELETING, INSTANCE_OP_DELETE);
	return 0;
}
