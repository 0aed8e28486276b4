#include "container.h"

#include <assert.h>
#include <sodium.h>

#define PIDS_MAX       512
#define CPU_SHARES     1024
#define FILES_OPEN_MAX 4096 /* descriptors; some 110 are in use (measured) */
#define MIB            (1024LL * 1024)
#define PORT_KEY       "18789/tcp"
#define TRIAL          "zaki-trial-"
#define CHECK_NS       2000000000LL /* between checks of a trial; each takes a process of its own */
#define CHECK_LATE_NS  10000000000LL /* one that takes longer has failed */
#define CHECKS_MAX     100000        /* whoever waits for the trial says when it is too late */
/* Both lie in the container's memory. OpenClaw wants ~/.cache, its tools the rest of a home; exec,
 * since the workspace, which has no such wall, would do as well for whoever wants to run something. */
#define TMP_OPTIONS  "rw,exec,nosuid,nodev,size=256m,mode=1777"
#define HOME_OPTIONS "rw,exec,nosuid,nodev,size=128m,mode=0700,uid=1000,gid=1000"

#define MEMORY_MIB_MIN 6 /* the engine's own */
#define MEMORY_MIB_MAX (1024 * 1024)

/* OpenClaw's heap stays well within its memory limit; restarts are the engine's business; there is
 * nothing to announce itself to. None of it is a secret, since whoever may inspect reads it. */
static const char *const environment[] = {
	"NODE_OPTIONS=--max-old-space-size=1024",
	"OPENCLAW_NO_RESPAWN=1",
	"OPENCLAW_DISABLE_BONJOUR=1",
};

/* Prints nothing: what a check says is shown to whoever may inspect. */
static const char *const check[] = {
	"CMD",
	"node",
	"-e",
	"fetch('http://127.0.0.1:18789/readyz').then(r=>r.json())"
	".then(j=>process.exit(j.ready===true?0:1)).catch(()=>process.exit(1))",
};

bool container_reach_from(const char *name, enum container_reach *ret)
{
	if (strcmp(name, "host") == 0)
		*ret = CONTAINER_REACH_HOST;
	else if (strcmp(name, "network") == 0)
		*ret = CONTAINER_REACH_NETWORK;
	else
		return false;
	return true;
}

char *container_name(const char *instance_id, char out[CONTAINER_NAME_SIZE])
{
	assert(uuid_is_valid(instance_id));
	snprintf(out, CONTAINER_NAME_SIZE, "zaki-user-%s", instance_id);
	return out;
}

char *container_trial_name(const char *trial_id, char out[CONTAINER_NAME_SIZE])
{
	assert(uuid_is_valid(trial_id));
	snprintf(out, CONTAINER_NAME_SIZE, TRIAL "%s", trial_id);
	return out;
}

bool container_trial_from(const char *name, char ret_id[UUID_SIZE])
{
	if (strncmp(name, TRIAL, strlen(TRIAL)) != 0 || !uuid_is_valid(name + strlen(TRIAL)))
		return false;
	memcpy(ret_id, name + strlen(TRIAL), UUID_SIZE);
	return true;
}

const char *container_path(const char *data_dir, const char *user_id, const char *instance_id,
                           const char *part, struct arena *a)
{
	assert(uuid_is_valid(user_id) && uuid_is_valid(instance_id));
	return arena_printf(a, "%s/%s/%s/%s", data_dir, user_id, instance_id, part);
}

/* DATA_DIR becomes the source of a mount on the host, the port a number the engine believes. */
static int spec_check(const struct container_spec *s, struct err *e)
{
	if (s->data_dir[0] != '/')
		return err_field(e, "DATA_DIR", "must be an absolute path");
	if (!s->trial_id && s->reach == CONTAINER_REACH_HOST && (s->port < 1 || s->port > 65535))
		return err_set(e, ERR_INTERNAL, "port %d is none", s->port);
	if (s->memory_mib < MEMORY_MIB_MIN || s->memory_mib > MEMORY_MIB_MAX)
		return err_set(e, ERR_INTERNAL, "memory of %d MiB is out of bounds", s->memory_mib);
	if (s->stop_grace_s < 1)
		return err_set(e, ERR_INTERNAL, "no time to stop in");
	return 0;
}

static bool add_text(cJSON *obj, const char *key, const char *value)
{
	return cJSON_AddStringToObject(obj, key, value) != NULL;
}

static bool add_number(cJSON *obj, const char *key, long long value)
{
	return cJSON_AddNumberToObject(obj, key, (double)value) != NULL;
}

static bool add_true(cJSON *obj, const char *key)
{
	return cJSON_AddTrueToObject(obj, key) != NULL;
}

static bool add_texts(cJSON *obj, const char *key, const char *const *values, size_t count)
{
	cJSON *array = cJSON_CreateStringArray(values, (int)count);

	return array && cJSON_AddItemToObject(obj, key, array);
}

static bool add_labels(cJSON *root, const struct container_spec *s)
{
	cJSON *labels = cJSON_AddObjectToObject(root, "Labels");

	if (s->trial_id)
		return add_text(labels, CONTAINER_LABEL_TRIAL, s->trial_id) &&
		       add_text(labels, CONTAINER_LABEL_TRIAL_OF, s->instance_id) &&
		       add_text(labels, CONTAINER_LABEL_PLATFORM, s->platform_id);
	return add_text(labels, CONTAINER_LABEL_INSTANCE, s->instance_id) &&
	       add_text(labels, CONTAINER_LABEL_USER, s->user_id) &&
	       add_text(labels, CONTAINER_LABEL_PLATFORM, s->platform_id);
}

/* A new object at the array's end; NULL: no memory. */
static cJSON *add_object(cJSON *array)
{
	cJSON *obj = cJSON_CreateObject();

	if (cJSON_AddItemToArray(array, obj))
		return obj;
	cJSON_Delete(obj);
	return NULL;
}

static const char *trial_path(const struct container_spec *s, const char *part, struct arena *a)
{
	assert(uuid_is_valid(s->trial_id));
	return arena_printf(a, "%s/" CONTAINER_SCRATCH_DIR "/trial-%s/%s", s->data_dir, s->trial_id,
	                    part);
}

/* As a mount, not as a bind: the engine refuses a source that is not there, instead of making an
 * empty directory that belongs to root. */
static bool add_mount(cJSON *mounts, const struct container_spec *s, const char *part,
                      struct arena *a)
{
	const char *source =
		s->trial_id ? trial_path(s, part, a)
			    : container_path(s->data_dir, s->user_id, s->instance_id, part, a);
	const char *target = arena_printf(a, "%s/%s", CONTAINER_HOME, part);
	cJSON *mount = add_object(mounts);

	return source && target && add_text(mount, "Type", "bind") &&
	       add_text(mount, "Source", source) && add_text(mount, "Target", target);
}

static bool add_port(cJSON *root, cJSON *host, const struct container_spec *s)
{
	cJSON *exposed = cJSON_AddObjectToObject(root, "ExposedPorts");
	cJSON *bindings = cJSON_AddObjectToObject(host, "PortBindings");
	cJSON *binding;
	char port[8];

	if (!cJSON_AddObjectToObject(exposed, PORT_KEY))
		return false;
	if (s->reach != CONTAINER_REACH_HOST)
		return bindings != NULL;

	snprintf(port, sizeof(port), "%d", s->port);
	binding = add_object(cJSON_AddArrayToObject(bindings, PORT_KEY));
	return add_text(binding, "HostIp", "127.0.0.1") && add_text(binding, "HostPort", port);
}

static bool add_limits(cJSON *host)
{
	cJSON *ulimits = cJSON_AddArrayToObject(host, "Ulimits");
	cJSON *files = add_object(ulimits);

	return add_number(host, "CpuShares", CPU_SHARES) &&
	       add_number(host, "PidsLimit", PIDS_MAX) && add_text(files, "Name", "nofile") &&
	       add_number(files, "Soft", FILES_OPEN_MAX) &&
	       add_number(files, "Hard", FILES_OPEN_MAX);
}

/* The engine's own look at a trial, from within: nobody else reaches it. */
static bool add_check(cJSON *root)
{
	cJSON *health = cJSON_AddObjectToObject(root, "Healthcheck");

	return add_texts(health, "Test", check, COUNT(check)) &&
	       add_number(health, "Interval", CHECK_NS) &&
	       add_number(health, "Timeout", CHECK_LATE_NS) &&
	       add_number(health, "Retries", CHECKS_MAX);
}

/* Log files and what a restart follows. A container that ends is started by the engine at once,
 * also while this daemon is away; a trial's end is its result. */
static bool add_upkeep(cJSON *host, bool is_trial)
{
	cJSON *restart = cJSON_AddObjectToObject(host, "RestartPolicy");
	cJSON *log = cJSON_AddObjectToObject(host, "LogConfig");
	cJSON *log_config = cJSON_AddObjectToObject(log, "Config");

	return add_text(restart, "Name", is_trial ? "no" : "unless-stopped") &&
	       add_text(log, "Type", "json-file") && add_text(log_config, "max-size", "10m") &&
	       add_text(log_config, "max-file", "3");
}

/* Without a disk of its own to write to, a container cannot fill the host's: only its data can. */
static bool add_walls(cJSON *host)
{
	static const char *const caps[] = { "ALL" };
	static const char *const security[] = { "no-new-privileges" };
	cJSON *tmpfs = cJSON_AddObjectToObject(host, "Tmpfs");

	return add_texts(host, "CapDrop", caps, COUNT(caps)) &&
	       add_texts(host, "SecurityOpt", security, COUNT(security)) &&
	       add_true(host, "ReadonlyRootfs") && add_text(tmpfs, "/tmp", TMP_OPTIONS) &&
	       add_text(tmpfs, CONTAINER_HOME, HOME_OPTIONS) && add_true(host, "Init");
}

/* All that takes a new container to change; the caller adds the rest. NULL: no memory. */
static cJSON *lasting(const struct container_spec *s, struct arena *a)
{
	OWN(json) cJSON *root = cJSON_CreateObject();
	cJSON *host = cJSON_AddObjectToObject(root, "HostConfig");
	cJSON *mounts = cJSON_AddArrayToObject(host, "Mounts");
	char user[24];

	snprintf(user, sizeof(user), "%d:%d", CONTAINER_UID, CONTAINER_UID);
	if (add_text(root, "Image", s->image) && add_text(root, "User", user) &&
	    add_texts(root, "Env", environment, COUNT(environment)) && add_labels(root, s) &&
	    add_text(host, "NetworkMode", s->trial_id ? "none" : s->network) &&
	    add_mount(mounts, s, CONTAINER_STATE_DIR, a) &&
	    add_mount(mounts, s, CONTAINER_WORKSPACE_DIR, a) &&
	    (s->trial_id ? add_check(root) : add_port(root, host, s)) && add_limits(host) &&
	    add_upkeep(host, s->trial_id != NULL) && add_walls(host))
		return TAKE(root);
	return NULL;
}

static int digest(const cJSON *root, char out[CONTAINER_SPEC_SIZE], struct err *e)
{
	unsigned char hash[(CONTAINER_SPEC_SIZE - 1) / 2];
	OWN(json_text) char *text = cJSON_PrintUnformatted(root);

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)text, strlen(text), NULL, 0);
	sodium_bin2hex(out, CONTAINER_SPEC_SIZE, hash, sizeof(hash));
	return 0;
}

int container_spec_digest(const struct container_spec *s, char out[CONTAINER_SPEC_SIZE],
                          struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(json) cJSON *root = NULL;

	arena_init(&a, 64 * 1024);
	if (spec_check(s, e) < 0)
		return -1;
	root = lasting(s, &a);
	if (!root)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return digest(root, out, e);
}

int container_json(const struct container_spec *s, struct arena *a, const char **ret, struct err *e)
{
	OWN(json) cJSON *root = NULL;
	OWN(json_text) char *text = NULL;
	char spec[CONTAINER_SPEC_SIZE];
	cJSON *labels, *host;
	const char *copy;

	if (spec_check(s, e) < 0)
		return -1;
	root = lasting(s, a);
	if (!root)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (digest(root, spec, e) < 0)
		return -1;

	labels = cJSON_GetObjectItemCaseSensitive(root, "Labels");
	host = cJSON_GetObjectItemCaseSensitive(root, "HostConfig");
	if (add_text(root, "Hostname", CONTAINER_HOSTNAME) &&
	    add_number(root, "StopTimeout", s->stop_grace_s) &&
	    add_text(labels, CONTAINER_LABEL_SPEC, spec) &&
	    add_text(labels, CONTAINER_LABEL_TRACE, s->trace_id ? s->trace_id : "") &&
	    add_number(host, "Memory", s->memory_mib * MIB) &&
	    add_number(host, "MemorySwap", s->memory_mib * MIB))
		text = cJSON_PrintUnformatted(root);
	copy = text ? arena_strdup(a, text) : NULL;
	if (!copy)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = copy;
	return 0;
}
