#ifndef CONTAINER_H
#define CONTAINER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/uuid.h"

/*
 * What an instance's container is. Pure: ids and settings in, names, paths and the engine's JSON
 * out. Every name, path and label that comes from an id is made here and nowhere else, so that
 * whoever finds a container, a directory or a port finds the same one.
 *
 * Ids are lower-case UUIDs: they have been checked before (wire, database) and are asserted here,
 * since they become paths.
 */
#define CONTAINER_PORT 18789 /* OpenClaw's gateway inside the container */
#define CONTAINER_UID  1000  /* user and group of OpenClaw, owner of its directories */
/* OpenClaw leaves a lease on its state where it is killed, or copied while it runs, and a host of another
 * name waits five minutes for its end (measured): all have the same, since a state may come back in the
 * next container, in a trial, or in another assistant. */
#define CONTAINER_HOSTNAME      "openclaw"
#define CONTAINER_STATE_DIR     ".openclaw"
#define CONTAINER_WORKSPACE_DIR "workspace"
#define CONTAINER_HOME          "/home/node"
#define CONTAINER_MEMORY_MIB    2048 /* 1 GiB is killed after the first message (measured) */

#define CONTAINER_LABEL_INSTANCE "zaki.instance"
#define CONTAINER_LABEL_USER     "zaki.user"
#define CONTAINER_LABEL_TRACE    "zaki.trace"
#define CONTAINER_LABEL_PLATFORM "zaki.platform"
#define CONTAINER_LABEL_SPEC     "zaki.spec"
#define CONTAINER_LABEL_TRIAL    "zaki.trial"    /* on trials alone, and these two bear no */
#define CONTAINER_LABEL_TRIAL_OF "zaki.trial.of" /* CONTAINER_LABEL_INSTANCE */

/* Below DATA_DIR: what storage-backup restored for a trial lies there, under the trial's name. */
#define CONTAINER_SCRATCH_DIR ".scratch"

#define CONTAINER_NAME_SIZE 48 /* "zaki-trial-", a UUID, the zero */
#define CONTAINER_SPEC_SIZE 33 /* 32 hexadecimal digits, the zero */

/* How the daemons reach OpenClaw: through a port published on 127.0.0.1, or at the container's own
 * address, where they share its network. */
enum container_reach { CONTAINER_REACH_HOST, CONTAINER_REACH_NETWORK };

bool container_reach_from(const char *name, enum container_reach *ret); /* "host" "network" */

/* Everything that a container is made from. Strings are views. */
struct container_spec {
	const char *instance_id;
	const char *user_id;
	const char *platform_id; /* of the stack: two may share one engine */
	const char *trace_id;    /* of the request that led to it; NULL or "": none */
	const char *image;
	const char *data_dir; /* DATA_DIR, absolute, as the engine sees it */
	const char *network;
	enum container_reach reach;
	int port;       /* on 127.0.0.1; only with CONTAINER_REACH_HOST */
	int memory_mib; /* swap is the same: none beyond it */
	int stop_grace_s;
	/*
	 * NULL: the instance's own. Else a trial of this id: started once from files that were
	 * restored beside it, to see that it does. It has no network at all, so that it polls no bot,
	 * asks no LLM and is reached by nobody; the engine runs its check within it.
	 */
	const char *trial_id;
};

/* "zaki-user-<instance id>", into out. Returns out. */
char *container_name(const char *instance_id, char out[CONTAINER_NAME_SIZE]);

/* "zaki-trial-<trial id>", likewise. */
char *container_trial_name(const char *trial_id, char out[CONTAINER_NAME_SIZE]);

/* Whose trial a container of this name is; false: of none. */
bool container_trial_from(const char *name, char ret_id[UUID_SIZE]);

/* "DATA_DIR/<user id>/<instance id>/<part>", part one of the two names above. NULL: no memory. */
const char *container_path(const char *data_dir, const char *user_id, const char *instance_id,
                           const char *part, struct arena *a);

/*
 * A digest of all that takes a new container to change: image, port, network, directories, limits,
 * environment, options. Not the trace id, which differs each time; not the memory, which a running
 * container can be given (engine_resize); not the time to stop, which each stop says itself. A
 * container whose label zaki.spec differs from it is of an older kind and must be made anew.
 */
int container_spec_digest(const struct container_spec *s, char out[CONTAINER_SPEC_SIZE],
                          struct err *e);

/* The body of the engine's POST /containers/create; *ret lies in the arena. */
int container_json(const struct container_spec *s, struct arena *a, const char **ret,
                   struct err *e);

#endif
