#ifndef RUN_H
#define RUN_H

#include "app.h"
#include "tell.h"

/*
 * One claim of a job, while it is worked on by one thread: what it is about, how far it has come, and
 * whether to go on. Each run_*() of the kinds of work may be begun anew after a crash at any point.
 *
 * They fail with ERR_CONFLICT where the work was taken from them (run_is_cut()), else with what is
 * wrong: what may pass by itself (run_may_pass()) is tried again.
 */
#define RUN_DAMAGED_MAX 32
#define RUN_OBJECT_SIZE 128

struct run {
	struct app *app;
	struct job job;
	enum backup_kind kind;
	const char *restore_id;    /* NULL: not a restore */
	const char *status;        /* in events */
	char backup_id[UUID_SIZE]; /* that events are of */
	char step[32];
	long long files,
		bytes; /* of what was made, put in or read, once that is known: for its end */
	long long told_ms;
	int told_percent;
	char hold_id[UUID_SIZE]; /* "": none; kept from running out by run_go_on() */
	long long held_ms;       /* monotonic: last asked for */
	bool is_cut;
	bool is_given_up;     /* it has ended its process too often */
	bool is_sound;        /* of a proof that failed: not because of the backup's files */
	size_t damaged_count; /* objects of the store that were found damaged: damage.h */
	char damaged[RUN_DAMAGED_MAX][RUN_OBJECT_SIZE];
	long long
		trial_ms; /* until the assistant had started from the backup; -1: it was not tried */
};

/* May it go on? Not when the process ends, or the lease may have run out. */
bool run_go_on(struct run *r);

/* For the engine: tells of progress at most once a second. */
struct engine_watch run_watch(struct run *r);

/* A step begins: written down, and told. */
int run_step(struct run *r, const char *step, struct err *e);

/* Tells how it is now, with the job's end in the same transaction where there is one. */
enum run_end { RUN_DONE, RUN_FAILED, RUN_AGAIN };
int run_end(struct run *r, enum run_end how, const char *text, struct err *e);

bool run_may_pass(const struct err *e);

/* A text for people of an error: what is inside stays inside the log. */
const char *run_text(const struct err *e);

/* Makes one backup, stored and read back; the row is there. Used by the backup's and the
 * restore's work. */
int run_snapshot(struct run *r, const char *backup_id, enum backup_kind kind, struct err *e);

int run_backup(struct run *r, struct err *e);
int run_restore(struct run *r, struct err *e);
int run_verify(struct run *r, struct err *e);
int run_drill(struct run *r, struct err *e);
int run_prune(struct run *r, struct err *e);
int run_erase(struct run *r, struct err *e);
int run_dump(struct run *r, struct err *e);
int run_mirror(struct run *r, struct err *e);

/* The restore's row at its end: given up. */
int run_restore_failed(struct run *r, const char *text, struct err *e);

#endif
