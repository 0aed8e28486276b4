#ifndef JOB_H
#define JOB_H

#include "base/uuid.h"
#include "store/pg.h"

/*
 * Work to do and under way: the table `backup_jobs`. Whoever has a job's lease works on it: several
 * storage-backups may run, and one works on an assistant at a time. A lease of a process that died
 * runs out, or is voided at once by the next look of another, and the job is taken up again from its
 * last step. owner is of one claim alone; its first part is bus_instance_id(), which the
 * process's connections bear too (JOB_APP and the id).
 */
#define JOB_LEASE_S      30 /* renewed every JOB_BEAT_MS while it is worked on */
#define JOB_BEAT_MS      2000
#define JOB_ATTEMPTS_MAX 5
#define JOB_DEATHS_MAX   3     /* times that one job may end its process, then it is given up */
#define JOB_REST_S       21600 /* until what is never given up is begun again, then */
#define JOB_APP          "storage-backup "
#define JOB_OWNER_SIZE   64
#define JOB_PLATFORM     "00000000-0000-0000-0000-000000000000"

enum job_work {
	JOB_BACKUP,
	JOB_VERIFY,
	JOB_DRILL,
	JOB_RESTORE,
	JOB_PRUNE,
	JOB_ERASE,
	JOB_DUMP,   /* of the platform: its user and scope are JOB_PLATFORM */
	JOB_MIRROR, /* in a scope of its own: it holds up nothing else of the assistant's */
	JOB_WORK_COUNT
};

const char *job_work_name(enum job_work w);
bool job_work_from(const char *name, enum job_work *ret);

/* Who asked: a lower one comes first. */
enum job_priority { JOB_PERSON, JOB_SCHEDULE, JOB_UPKEEP };

struct job {
	char id[UUID_SIZE], user_id[UUID_SIZE];
	char instance_id[UUID_SIZE], backup_id[UUID_SIZE]; /* "": none */
	enum job_work work;
	char step[32]; /* "": not begun */
	long long attempts;
	long long deaths; /* begun so often since its end was last heard of: its process died */
	char trace_id[33];
	char owner[JOB_OWNER_SIZE];
};

/* Asks for work. id "": one is made, and put there. A drill, prune, erase, dump or mirror that is asked
 * for already is not asked for again: *ret_new (may be NULL) is false, and id is the one there is. */
int job_add(struct pg_conn *c, struct job *j, enum job_priority priority, bool *ret_new,
            struct err *e);

/* Mirrors have a worker of their own: backups and proofs never wait for them. */
enum job_lane { JOB_LANE_BACKUPS, JOB_LANE_MIRRORS };

/* The lane's next that is due; *ret_got false: there is none. */
int job_claim(struct pg_conn *c, const char *owner, enum job_lane lane, struct job *ret,
              bool *ret_got, struct err *e);

/* Keeps the leases of these claims: a PostgreSQL array of owners. */
int job_beat(struct pg_conn *c, const char *owners, struct err *e);

/* Voids leases of processes that have no connection to the database any more. *ret_any: there were
 * some, and what they are of can be claimed. */
int job_void_dead(struct pg_conn *c, bool *ret_any, struct err *e);

/* Before anything is done: that it is done is written down, so that work which ends its process is
 * known by it. */
int job_begin(struct pg_conn *c, const struct job *j, struct err *e);

/* Writes of the claim's owner. ERR_CONFLICT: the job is another's now. */
int job_step(struct pg_conn *c, const struct job *j, const char *step, int percent, struct err *e);
int job_done(struct pg_conn *c, const struct job *j, struct err *e);
int job_failed(struct pg_conn *c, const struct job *j, const char *text, struct err *e);
int job_again(struct pg_conn *c, const struct job *j, const char *text, long long delay_s,
              struct err *e);
/* Put down as it is, at once to be taken up again: the process ends. */
int job_put_down(struct pg_conn *c, const struct job *j, struct err *e);

#endif
