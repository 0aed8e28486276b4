#ifndef MIRROR_ROW_H
#define MIRROR_ROW_H

#include "app.h"
#include "job.h"

/*
 * The table `mirrors`: what lies in the store as plain objects (engine/mirror.h). A row is there before
 * the first object and goes after the last, so that nothing plain is ever forgotten. The first of a
 * person's assistants that is mirrored has the seat, the paths that hold no assistant's id, until its
 * mirror is removed; each other one lies under its own id.
 */
struct mirror_row {
	bool is_there;
	bool has_seat;
	char held_id[UUID_SIZE]; /* "": not known what lies there, or it is by other rules */
	char next_id[UUID_SIZE]; /* a pass to it was broken off; "": none */
};

/* What is to become of an assistant's mirror, as of now. */
enum mirror_want {
	MIRROR_FORWARD, /* to newest_id, or it is there already */
	MIRROR_REMOVE,  /* the setting is off, or the assistant is gone */
	MIRROR_LEAVE,   /* no backup yet; or the account is being erased, which takes it along */
};

struct mirror_state {
	enum mirror_want want;
	char newest_id[UUID_SIZE]; /* the newest good backup, if it is newer than what is held */
	struct mirror_row row;
};
int mirror_load(struct pg_conn *c, const struct app *app, const struct job *j,
                struct mirror_state *ret, struct err *e);

/* A row, with the seat where that is free. */
int mirror_take(struct pg_conn *c, const struct job *j, struct err *e);

/* Writes of a pass. */
int mirror_begun(struct pg_conn *c, const struct job *j, const char *backup_id, struct err *e);
int mirror_held(struct pg_conn *c, const struct job *j, const char *backup_id, struct err *e);
int mirror_lost(struct pg_conn *c, const struct job *j, struct err *e);
int mirror_gone(struct pg_conn *c, const struct job *j, struct err *e);

/* Asks for work on those that are behind, or are to go. *ret grows by those that were asked for. */
int mirror_plan(struct pg_conn *c, const struct app *app, int *ret, struct err *e);

/* A backup is done: its mirror is asked for now. Where that fails the next mirror_plan() asks. */
void mirror_soon(struct app *app, struct pg_conn *c, const struct job *of);

/* Rows for what lies in the store and no row tells of, as after a disaster: mirror_plan() has it go. */
int mirror_sweep(struct app *app, const char *user_id, struct err *e);

/* Says once which are behind, and measures, for Prometheus and /health. */
int mirror_look(struct pg_conn *c, struct err *e);
int mirror_measure(struct app *app, struct err *e);
int mirror_check(struct app *app, struct err *e);

#endif
