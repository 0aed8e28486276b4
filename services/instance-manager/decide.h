#ifndef DECIDE_H
#define DECIDE_H

#include "engine.h"
#include "instance.h"
#include "probe.h"

/*
 * What is to be done about an instance, from its row and from what was just seen. Pure: the whole
 * of the reconciler's judgement, as one function of its inputs. One action at a time; after it the
 * instance is looked at anew, so that whatever a crash, a person or the engine did in between is
 * seen and not remembered.
 */
enum action {
	ACT_NONE,   /* look again after delay_ms */
	ACT_CREATE, /* directories, config, container */
	ACT_START,  /* config, start */
	ACT_STOP,   /* with grace */
	ACT_REMOVE, /* the container */
	ACT_RESIZE, /* its memory, as it runs */
	ACT_CONFIG, /* written anew; OpenClaw reads it by itself */
	ACT_ERASE,  /* the instance's data, then its row */
	ACT_KEEP,   /* its files as they are, aside; then the new image is tried */
	ACT_BACK,   /* those files and the image from before, in their place again */
	ACT_CLEAR,  /* what was kept aside goes, and the upgrade is over */
	ACT_COUNT
};

/* What differed from what was wanted, by someone else's hand. */
enum drift {
	DRIFT_NONE,
	DRIFT_MISSING, /* the container was gone */
	DRIFT_STOPPED,
	DRIFT_CHANGED, /* it is not what the settings say */
	DRIFT_RUNNING, /* though it is to be stopped */
	DRIFT_STRAY,   /* a container that belongs to no instance */
	DRIFT_COUNT
};

/* The place among those that boot at a time. */
enum place {
	PLACE_KEEP,
	PLACE_TAKE, /* needed before the action; without one it is not done */
	PLACE_DROP,
};

/* The backup that an upgrade begins with. */
enum sight_backup {
	BACKUP_UNKNOWN, /* not asked yet */
	BACKUP_UNDER_WAY,
	BACKUP_AWAY, /* storage-backup does not answer */
	BACKUP_FAILED,
	BACKUP_DONE,
};

struct sight {
	struct engine_state container;
	bool has_probe;
	struct probe_report probe;
	char spec[CONTAINER_SPEC_SIZE]; /* what the settings would make now */
	enum sight_backup backup;
	long long now_ms; /* unix ms */
	long long ready_timeout_ms;
};

struct decision {
	struct instance next; /* the row as it is to be written, before the action */
	enum action action;
	enum place place;
	enum drift drift;
	const char *drift_text;  /* for people; a constant; NULL: none */
	bool is_restart_counted; /* it failed, and was or will be restarted */
	bool needs_probe;        /* nothing else of it counts: probe, and decide again */
	bool needs_backup;       /* likewise: ask how far the backup is */
	long long delay_ms;      /* with ACT_NONE: until the next look */
};

#define DECIDE_CHECK_MS    9000  /* between looks at what is as it should be; ten seconds at most */
#define DECIDE_REST_MS     30000 /* at what is stopped; the engine's events tell before that */
#define DECIDE_AILING_MS   3000  /* at what lives and does not serve */
#define DECIDE_MISSES      3     /* probes without an answer, before a restart */
#define DECIDE_CHANNEL_MS  60000 /* channels may take as long to come back */
#define DECIDE_BACKUP_MS   (30LL * 60 * 1000) /* an upgrade's backup may take as long */
#define DECIDE_OUTSIDE_MS  30000 /* a new image's bot may be in conflict with itself as long */
#define DECIDE_EXIT_CONFIG 78    /* how OpenClaw ends when it refuses its config (measured) */

const char *action_name(enum action a); /* "create" */
const char *drift_name(enum drift d);   /* "container_missing" */

void decide(const struct instance *row, const struct sight *s, struct decision *ret);

/* How an action failed. */
enum failure {
	FAIL_AWAY,     /* the engine, the database: nothing is known, the same again soon */
	FAIL_PLATFORM, /* something of ours is missing: said, and tried again by itself */
	FAIL_ATTEMPT,  /* it may work the next time; counted as a restart */
	FAIL_FINAL,    /* only a person can change it */
};

/* What follows from it. text: for people; unused with FAIL_AWAY. */
void decide_failed(const struct instance *row, enum failure failure, enum action failed,
                   const char *text, long long now_ms, struct decision *ret);

#endif
