#include "run.h"

#include "mirror_row.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "engine/mirror.h"

/*
 * Brings an assistant's mirror to its newest good backup, or takes it away: whatever is wanted when it is
 * looked at, which is asked again while a pass is under way. It fails and is tried again without anything
 * else noticing: the backup is done.
 */
#define ROUNDS_MAX 16 /* then another job goes on: a backup came in each */
#define LOOK_MS    2000

/* A pass, which ends early where it is not wanted any more. */
struct pass {
	struct run *r;
	struct engine_watch watch; /* the run's own */
	enum mirror_want want;
	long long looked_ms;
	bool is_unwanted;
};

static int load(struct run *r, struct mirror_state *ret, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	return pg_take(r->app->db, &c, e) < 0 ? -1 : mirror_load(c, r->app, &r->job, ret, e);
}

static bool on_progress(void *ctx, const struct engine_progress *at)
{
	struct pass *p = ctx;
	const long long now_ms = clock_mono_ms();
	struct err ignored = ERR_INIT; /* the database may be back in time */
	struct mirror_state s;

	if (!p->watch.on_progress(p->watch.ctx, at))
		return false;
	if (now_ms - p->looked_ms < LOOK_MS)
		return true;
	p->looked_ms = now_ms;
	if (load(p->r, &s, &ignored) == 0 && s.want != p->want)
		p->is_unwanted = true;
	return !p->is_unwanted;
}

static struct pass pass_of(struct run *r, enum mirror_want want)
{
	return (struct pass){
		.r = r, .watch = run_watch(r), .want = want, .looked_ms = clock_mono_ms()
	};
}

static void say(const struct run *r, const struct mirror_totals *t)
{
	char files[24], deleted[24], unfit[24], left_out[24];

	snprintf(files, sizeof(files), "%lld", t->files);
	snprintf(deleted, sizeof(deleted), "%lld", t->deleted);
	snprintf(unfit, sizeof(unfit), "%lld", t->unfit);
	snprintf(left_out, sizeof(left_out), "%lld", t->left_out);
	log_info("a mirror is brought forward", "instance_id", r->job.instance_id, "backup_id",
	         r->backup_id, "files", files, "deleted", deleted, "left_out", left_out, "unfit",
	         unfit);
	if (t->unfit)
		log_warn("files are not mirrored: a store has no such names, or they are too large",
		         "instance_id", r->job.instance_id, "files", unfit);
}

/* 1: it is not wanted any more. 0: done. */
static int pass_run(struct run *r, const struct mirror_state *s, const char *backup_id,
                    struct err *e)
{
	struct pass p = pass_of(r, MIRROR_FORWARD);
	struct mirror_req req = {
		.place = { r->job.user_id, r->job.instance_id, s->row.has_seat },
		.backup_id = backup_id,
		.held_id = s->row.held_id[0] ? s->row.held_id : NULL,
		.watch = { .on_progress = on_progress, .ctx = &p },
	};
	struct mirror_totals t = { 0 };
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(r->app->db, &c, e) < 0 || mirror_begun(c, &r->job, backup_id, e) < 0)
		return -1;
	pg_give(TAKE(c));
	/* A crash here, or at any point of the pass: the row says so, and the next one mends it. */
	fault_point("mirror.begun");
	if (mirror_forward(r->app->engine, &req, &t, e) < 0)
		return p.is_unwanted ? 1 : -1;
	/* A crash here: the pass is done again. */
	fault_point("mirror.done");
	if (pg_take(r->app->db, &c, e) < 0 || mirror_held(c, &r->job, backup_id, e) < 0)
		return -1;
	say(r, &t);
	return 0;
}

/* Whose first pass it is. What an earlier mirror may have left in the other place is gone before. */
static int take(struct run *r, struct mirror_state *s, struct err *e)
{
	struct pass p = pass_of(r, MIRROR_FORWARD);
	const struct engine_watch watch = { .on_progress = on_progress, .ctx = &p };
	struct mirror_place other = { r->job.user_id, r->job.instance_id, false };
	struct mirror_totals t;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (mirror_remove(r->app->engine, &other, &watch, &t, e) < 0)
		return p.is_unwanted ? 0 : -1;
	if (pg_take(r->app->db, &c, e) < 0 || mirror_take(c, &r->job, e) < 0)
		return -1;
	return mirror_load(c, r->app, &r->job, s, e);
}

static int forward(struct run *r, struct mirror_state *s, struct err *e)
{
	const bool is_resumed = s->row.next_id[0];
	char backup_id[UUID_SIZE];
	struct err why = ERR_INIT;
	OWN(pg_conn) struct pg_conn *c = NULL;
	int done;

	if (!s->row.is_there && take(r, s, e) < 0)
		return -1;
	/* One that was broken off is ended first: what lies there is of its two backups. */
	memcpy(backup_id, is_resumed ? s->row.next_id : s->newest_id, sizeof(backup_id));
	if (!s->row.is_there || !backup_id[0])
		return 0; /* it is not wanted any more: the next round sees */
	snprintf(r->backup_id, sizeof(r->backup_id), "%s", backup_id);
	done = pass_run(r, s, backup_id, &why);
	if (done >= 0)
		return 0;
	*e = why;
	if (!is_resumed || (why.code != ERR_NOT_FOUND && why.code != ERR_UPSTREAM))
		return -1;
	/* It is gone, or damaged, since: the next round compares all that lies there. */
	*e = ERR_INIT;
	return pg_take(r->app->db, &c, e) < 0 ? -1 : mirror_lost(c, &r->job, e);
}

static int remove_all(struct run *r, const struct mirror_state *s, struct err *e)
{
	struct pass p = pass_of(r, MIRROR_REMOVE);
	const struct engine_watch watch = { .on_progress = on_progress, .ctx = &p };
	const struct mirror_place place = { r->job.user_id, r->job.instance_id, s->row.has_seat };
	struct mirror_totals t = { 0 };
	OWN(pg_conn) struct pg_conn *c = NULL;
	char deleted[24];

	if (pg_take(r->app->db, &c, e) < 0 || mirror_lost(c, &r->job, e) < 0)
		return -1;
	pg_give(TAKE(c));
	if (mirror_remove(r->app->engine, &place, &watch, &t, e) < 0)
		return p.is_unwanted ? 0 : -1;
	/* A crash here: the row is there still, and what it tells of is looked for again. */
	fault_point("mirror.removed");
	if (pg_take(r->app->db, &c, e) < 0 || mirror_gone(c, &r->job, e) < 0)
		return -1;
	snprintf(deleted, sizeof(deleted), "%lld", t.deleted);
	log_info("a mirror is removed", "instance_id", r->job.instance_id, "deleted", deleted);
	return 0;
}

static int rounds(struct run *r, struct err *e)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		struct mirror_state s;

		if (!run_go_on(r))
			return err_set(e, ERR_CONFLICT, "the work was taken away");
		if (load(r, &s, e) < 0)
			return -1;
		if (s.want == MIRROR_LEAVE)
			return 0;
		if (run_step(r, s.want == MIRROR_REMOVE ? "removing" : "mirroring", e) < 0 ||
		    (s.want == MIRROR_REMOVE ? remove_all(r, &s, e) : forward(r, &s, e)) < 0)
			return -1;
	}
	return 0;
}

int run_mirror(struct run *r, struct err *e)
{
	if (rounds(r, e) == 0)
		return run_end(r, RUN_DONE, NULL, e);
	if (!r->is_cut)
		metric_add(METRIC_MIRROR_FAILURES, 1);
	return -1;
}
