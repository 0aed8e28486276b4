#ifndef TELL_H
#define TELL_H

#include "backup.h"
#include "job.h"

/* Events of an instance's backups, written in the transaction of the change that they tell of. */
struct tell {
	const struct job *job;
	const char *backup_id;
	const char *restore_id; /* NULL: none */
	enum backup_kind kind;
	const char *status;
	const char *step;  /* NULL: none */
	const char *error; /* NULL: none */
	long long percent, files, bytes;
	long long trial_ms; /* of a drill that is done; -1: none */
};

int tell_status(struct pg_conn *c, const struct tell *t, struct err *e);
int tell_alert(struct pg_conn *c, const char *instance_id, const char *problem, const char *text,
               struct err *e);

#endif
