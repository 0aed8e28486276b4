#ifndef INSTANCE_H
#define INSTANCE_H

#include "container.h"
#include "messages.h"
#include "store/pg.h"

/*
 * An instance: a person's assistant, as the table `instances` has it. Here is what a row means and
 * how a person's wish changes it; instance_store.h reads and writes rows, decide.h says what is to
 * be done so that the engine has what the row wants.
 *
 * Two things are told apart everywhere: `desired` is what the person wants, `status` what is known
 * to be. status ERROR ends all trying until a person asks again, unless retry_at_ms says when the
 * platform itself tries again.
 */
enum instance_status {
	INSTANCE_PROVISIONING, /* never yet started */
	INSTANCE_STARTING,
	INSTANCE_RUNNING,
	INSTANCE_UNHEALTHY, /* it lives but does not serve, or is about to be restarted */
	INSTANCE_STOPPING,
	INSTANCE_STOPPED,
	INSTANCE_RESTARTING,
	INSTANCE_ERROR,
	INSTANCE_DELETING,
	INSTANCE_SLEEPING,
	INSTANCE_STATUS_COUNT
};

enum instance_desired {
	INSTANCE_WANT_RUNNING,
	INSTANCE_WANT_STOPPED,
	INSTANCE_WANT_DELETED,
	INSTANCE_DESIRED_COUNT
};

/* What a person asked for that is still under way. */
enum instance_operation {
	INSTANCE_OP_NONE,
	INSTANCE_OP_CREATE,
	INSTANCE_OP_START,
	INSTANCE_OP_STOP,
	INSTANCE_OP_RESTART,
	INSTANCE_OP_UPDATE,
	INSTANCE_OP_DELETE,
	INSTANCE_OP_UPGRADE,
	INSTANCE_OP_COUNT
};

/* How far the change to another image is: decide_upgrade.c. */
enum instance_upgrade {
	UPGRADE_NONE,
	UPGRADE_BACKUP, /* a backup is made while the old container goes on */
	UPGRADE_STOP,   /* the old container ends, and its files are kept aside */
	UPGRADE_TRY,    /* a container of the new image is to become ready */
	UPGRADE_BACK,   /* it did not: it goes, and the files and the image from before come back */
	UPGRADE_CLEAR,  /* it is settled which image it is: the files that were kept go */
	UPGRADE_COUNT
};

/* Why it is not simply as it is wanted: cause.def. */
enum instance_cause {
	CAUSE_NONE,
#define CAUSE(id, name) CAUSE_##id,
#include "cause.def"
#undef CAUSE
	CAUSE_COUNT
};

#define INSTANCE_NAME_SIZE   1024 /* 255 characters of UTF-8 and the zero */
#define INSTANCE_MODEL_SIZE  201
#define INSTANCE_REASON_SIZE 512
#define INSTANCE_SEALED_SIZE 1024 /* of a sealed token */
#define INSTANCE_TRACE_SIZE  33
#define INSTANCE_IMAGE_SIZE  257 /* 256 characters and the zero */
#define INSTANCE_RESTARTS    5   /* as many within INSTANCE_RESTARTS_MS are an error */
#define INSTANCE_RESTARTS_MS (10LL * 60 * 1000)

struct instance {
	char id[UUID_SIZE], user_id[UUID_SIZE];
	char name[INSTANCE_NAME_SIZE];
	char container_name[CONTAINER_NAME_SIZE];
	int port;
	char bot_username[256]; /* "": none */
	char model[INSTANCE_MODEL_SIZE];
	int memory_mib;
	long long owner_telegram_id; /* 0: none */
	enum instance_desired desired;
	enum instance_status status;
	char reason[INSTANCE_REASON_SIZE]; /* for people; "": none */
	enum instance_cause cause;         /* for programs; of a reason that is not "" */
	enum instance_operation operation;
	char trace_id[INSTANCE_TRACE_SIZE];
	long long observed_ms; /* unix ms; 0: never */
	long long created_ms, updated_ms;
	long long created_us; /* as the database has it: lists are ordered by it */

	long long restart_generation, applied_generation;
	long long config_generation, applied_config;
	long long wake;
	bool is_booting; /* has one of the PROVISION_MAX places */
	bool is_waiting; /* for one */

	int probe_misses;
	long long restart_times[INSTANCE_RESTARTS]; /* unix ms, oldest first; 0: none */
	long long retry_at_ms;                      /* 0: none */
	int exit_code; /* of the last end that the engine told of; -1: none */
	bool exit_oom;
	long long seen_end_ms;  /* the container's last end that is accounted for */
	long long ready_run_ms; /* start of the container's run that was seen ready */
	long long
		not_ready_since_ms; /* since when its channels are on their way again; 0: they work */
	bool was_ready;             /* ever */
	bool is_channel_up;
	char image[INSTANCE_IMAGE_SIZE]; /* of its container; "": not known yet */
	enum instance_upgrade upgrade;
	char upgrade_from[INSTANCE_IMAGE_SIZE],
		upgrade_to[INSTANCE_IMAGE_SIZE];  /* the last one's */
	long long upgrade_ms;                     /* when it was asked for, unix ms */
	char upgrade_error[INSTANCE_REASON_SIZE]; /* why it was taken back; "": it was not */
	enum instance_cause upgrade_cause;        /* of that */
	bool is_held; /* kept stopped for now, whatever is wanted (hold.h) */

	char gateway_token_encrypted[INSTANCE_SEALED_SIZE];
};

const char *instance_status_name(enum instance_status s); /* "running" */
const char *instance_desired_name(enum instance_desired d);
const char *instance_operation_name(enum instance_operation op); /* NULL for none */
const char *instance_cause_name(const struct instance *i);       /* NULL: there is no reason */
const char *instance_upgrade_name(enum instance_upgrade u);      /* NULL for none */
const char *instance_upgrade_cause(const struct instance *i);    /* NULL: it was not taken back */

/* Nothing is under way in such a status: what was asked for has come to its end. */
bool instance_is_settled(enum instance_status s);

/* Row `row` of a statement that answers INSTANCE_COLUMNS. */
int instance_from_row(const PGresult *res, int row, struct instance *ret, struct err *e);

/* What the owner sees of it; texts in the arena. */
int instance_to_view(const struct instance *i, struct arena *a, struct instance_view *ret,
                     struct err *e);

/*
 * A person's wishes. Each may be repeated: what is already so is left alone, and the answer says
 * whether anything changed. ERR_CONFLICT when it is being deleted or upgraded (but for delete).
 */
int instance_want_start(struct instance *i, bool *ret_changed, struct err *e);
int instance_want_stop(struct instance *i, bool *ret_changed, struct err *e);
int instance_want_restart(struct instance *i, bool *ret_changed, struct err *e);
int instance_want_delete(struct instance *i, bool *ret_changed, struct err *e);

/* May its files be changed now? ERR_CONFLICT while they may yet be put back as they were. */
int instance_files_are_free(const struct instance *i, struct err *e);

/* Failures are forgotten: it is tried again from the start. */
void instance_forgive(struct instance *i);

/* clang-format off */
#define INSTANCE_MS(column) "floor(extract(epoch FROM " column ") * 1000)::bigint"
#define INSTANCE_COLUMNS                                                                           \
	"id, user_id, name, container_name, port, bot_username, model, memory_mib,"                \
	" owner_telegram_id, desired, status, status_reason, status_cause, operation, trace_id,"                 \
	" " INSTANCE_MS("observed_at") " AS observed_ms,"                                          \
	" " INSTANCE_MS("created_at") " AS created_ms,"                                            \
	" " INSTANCE_MS("updated_at") " AS updated_ms,"                                            \
	" (extract(epoch FROM created_at) * 1000000)::bigint AS created_us,"                       \
	" restart_generation, applied_generation, config_generation, applied_config, wake,"        \
	" coalesce(boot_until > now(), false) AS is_booting,"                                      \
	" boot_waiting_since IS NOT NULL AS is_waiting, probe_misses,"                             \
	" restart_times, retry_at_ms, exit_code, exit_oom, seen_end_ms, ready_run_ms,"             \
	" not_ready_since_ms, was_ready, channel, gateway_token_encrypted,"                        \
	" coalesce(hold_until > now(), false) AS is_held, image, upgrade_step, upgrade_from,"       \
	" upgrade_to, upgrade_error, upgrade_cause,"                                               \
	" " INSTANCE_MS("upgrade_at") " AS upgrade_ms"
/* clang-format on */

#endif
