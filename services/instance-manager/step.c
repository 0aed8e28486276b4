#include "step.h"

#include "act.h"
#include "assistant_config.h"
#include "checkpoint.h"
#include "glance.h"
#include "link/holder.h"
#include "probe.h"

#include "base/clock.h"
#include "base/log.h"

#include <sodium.h>

#define STEPS_MAX    32   /* of one visit; the rest at the next */
#define SLOW_WAIT_MS 300  /* until there may be a place for what takes long */
#define AWAY_MS      2000 /* until the engine is asked again */
#define AGAIN_MS     1000 /* after STEPS_MAX */
#define JITTER_MS    1500
#define CONFIG_MS    2000 /* after a new config: OpenClaw takes a second to take it in (measured) */
/* How long a run must have lived before its channels, which OpenClaw's breaker holds back after
 * crashes, are begun by us. */
#define CHANNELS_OFF_MS 20000

static void probe(struct app *app, const struct instance *row, struct sight *s)
{
	struct probe_target target = { .address = "127.0.0.1", .port = row->port };
	struct arena a __attribute__((cleanup(own_arena)));
	struct err e = ERR_INIT;

	arena_init(&a, 64 * 1024);
	if (app->reach == CONTAINER_REACH_NETWORK) {
		target.address = s->container.address;
		target.port = CONTAINER_PORT;
	}
	/* Without the token nothing is said about why; that it does not open is told elsewhere. */
	(void)assistant_gateway_token(app, row, &a, &target.token, &e);
	probe_instance(app->probes, &target, &s->probe);
	s->has_probe = true;
	s->now_ms = clock_now_ms();
	if (s->probe.verdict == PROBE_CHANNELS_OFF && s->container.started_ms &&
	    s->now_ms - s->container.started_ms > CHANNELS_OFF_MS)
		log_info("channels are switched on again", "instance_id", row->id, "user_id",
		         row->user_id, "taken",
		         probe_start_channels(app->probes, &target) ? "yes" : "no");
}

/* A row from before images were written down has the one that its container has. */
static void learn_image(const struct app *app, struct instance *row, const struct sight *s)
{
	const struct engine_state *c = &s->container;
	bool is_there = c->item.status != ENGINE_ABSENT && c->item.is_ours && c->image[0];

	if (!row->image[0])
		snprintf(row->image, sizeof(row->image), "%s",
		         is_there ? c->image : app->openclaw_image);
}

static int look(struct app *app, struct instance *row, struct sight *s, struct err *e)
{
	struct container_spec spec;

	*s = (struct sight){ .now_ms = clock_now_ms(),
		             .ready_timeout_ms = app->ready_timeout_s * 1000 };
	if (engine_inspect(app->engine, row->container_name, &s->container, e) < 0)
		return -1;
	learn_image(app, row, s);
	act_spec(app, row, &spec);
	return container_spec_digest(&spec, s->spec, e);
}

/* The backup that an upgrade begins with. */
static enum sight_backup ask_backup(struct app *app, const struct instance *row)
{
	char status[CHECKPOINT_STATUS_SIZE];
	struct err e = ERR_INIT;

	/* One that never ran has nothing that it could lose. */
	if (!row->was_ready)
		return BACKUP_DONE;
	if (checkpoint_ask(app, row, "upgrade", row->upgrade_ms, status, &e) < 0) {
		log_debug("storage-backup does not answer", "instance_id", row->id, "error", e.msg);
		return BACKUP_AWAY;
	}
	if (checkpoint_is_failed(status))
		return BACKUP_FAILED;
	return strcmp(status, "done") == 0 ? BACKUP_DONE : BACKUP_UNDER_WAY;
}

/* With nothing left to do, what the person asked for has come to its end. */
static void end_operation(struct decision *d)
{
	struct instance *n = &d->next;
	bool is_due = n->config_generation > n->applied_config && n->status == INSTANCE_RUNNING;

	if (d->action != ACT_NONE || !instance_is_settled(n->status) || is_due ||
	    n->upgrade != UPGRADE_NONE || (n->status == INSTANCE_UNHEALTHY && n->retry_at_ms))
		return;
	n->operation = INSTANCE_OP_NONE;
	n->trace_id[0] = '\0';
}

static void log_change(const struct lease_write *w, const struct instance *row)
{
	if (w->d->drift != DRIFT_NONE)
		log_warn("drift, being mended", "instance_id", row->id, "user_id", row->user_id,
		         "kind", drift_name(w->d->drift), "reason", w->d->drift_text);
	if (w->before->status != row->status || strcmp(w->before->reason, row->reason) != 0)
		log_info("instance status", "instance_id", row->id, "user_id", row->user_id, "from",
		         instance_status_name(w->before->status), "to",
		         instance_status_name(row->status), "reason", row->reason);
}

/* Writes what was decided; *row is what it was, and becomes what it is. d->next has what acts have
 * learnt since, too. */
static int write_down(struct app *app, struct instance *row, struct decision *d, bool is_failure,
                      enum lease_written *ret_how, struct err *e)
{
	const struct instance saved = *row;
	struct lease_write w = {
		.owner = bus_instance_id(app->bus),
		.before = &saved,
		.d = d,
		.places_max = app->provision_max,
		.place_ms = app->ready_timeout_s * 1000,
		.is_failure = is_failure,
	};
	OWN(pg_conn) struct pg_conn *db = NULL;

	/* What begins by itself is a story of its own. */
	if (saved.trace_id[0])
		snprintf(w.trace_id, sizeof(w.trace_id), "%s", saved.trace_id);
	else
		random_hex((INSTANCE_TRACE_SIZE - 1) / 2, w.trace_id);
	snprintf(d->next.trace_id, sizeof(d->next.trace_id), "%s", w.trace_id);
	log_trace_set(w.trace_id);
	end_operation(d);

	/* A crash here: it was seen, and will be seen again. */
	if (d->next.status == INSTANCE_RUNNING && saved.status != INSTANCE_RUNNING)
		act_fault(&saved, "ready");
	if (pg_take(app->db, &db, e) < 0 || lease_write(db, &w, row, ret_how, e) < 0)
		return -1;
	if (*ret_how != LEASE_WRITTEN)
		return 0;
	outbox_wake(app->outbox);
	if (row->status != saved.status)
		holder_wake(app->holder);
	log_change(&w, row);
	if (saved.operation == INSTANCE_OP_RESTART &&
	    saved.applied_generation != row->applied_generation)
		act_fault(&saved, "recorded");
	if (row->status == INSTANCE_STOPPED && saved.status != INSTANCE_STOPPED)
		act_fault(&saved, "recorded");
	return 0;
}

static enum step_end seen(const struct instance *row, long long delay_ms, bool is_observed,
                          struct lease_seen *ret)
{
	*ret = (struct lease_seen){ .wake = row->wake,
		                    .delay_ms = delay_ms,
		                    .is_observed = is_observed };
	snprintf(ret->id, sizeof(ret->id), "%s", row->id);
	/* Not all at one time. */
	if (delay_ms >= DECIDE_CHECK_MS)
		ret->delay_ms -= (long long)randombytes_uniform(JITTER_MS);
	return STEP_SEEN;
}

static bool is_slow(enum action a)
{
	return a == ACT_STOP || a == ACT_REMOVE || a == ACT_KEEP || a == ACT_BACK || a == ACT_CLEAR;
}

enum visit { VISIT_GO_ON, VISIT_RELEASED, VISIT_SEEN };

/* The row as the database has it, and as it is with what was learnt since. */
struct visit_row {
	struct instance saved, now;
	bool has_new_config; /* it was written anew: what comes of it is seen soon */
};

/* An action went wrong: what follows is written. VISIT_GO_ON with an action in *d: that is to be
 * done now. */
static enum visit after_failure(struct app *app, struct visit_row *v, const struct act_failure *why,
                                struct decision *d)
{
	struct err e = ERR_INIT;
	enum lease_written how;

	decide_failed(&v->now, why->kind, d->action, why->text, clock_now_ms(), d);
	if (write_down(app, &v->saved, d, true, &how, &e) < 0) {
		log_warn("a failure could not be written, its lease runs out", "instance_id",
		         v->saved.id, "error", e.msg);
		return VISIT_RELEASED;
	}
	v->now = v->saved;
	if (how == LEASE_CHANGED)
		d->action = ACT_NONE;
	if (how == LEASE_LOST || (how == LEASE_WRITTEN && d->action == ACT_NONE))
		return VISIT_RELEASED;
	return VISIT_GO_ON;
}

static enum visit act_once(struct app *app, struct visit_row *v, struct decision *d,
                           struct lease_seen *ret)
{
	enum visit r = VISIT_GO_ON;

	while (r == VISIT_GO_ON && d->action != ACT_NONE) {
		struct act_failure why;
		struct err e = ERR_INIT;
		bool is_gone = false;

		v->has_new_config |= d->action == ACT_CONFIG;
		if (act_run(app, d->action, &v->now, &is_gone, &why, &e) == 0)
			return is_gone ? VISIT_RELEASED : VISIT_GO_ON;
		if (why.again_ms > 0) {
			seen(&v->saved, why.again_ms, true, ret);
			return VISIT_SEEN;
		}
		log_warn("step failed, trying again", "instance_id", v->saved.id, "step",
		         action_name(d->action), "code", err_name(e.code), "field", e.field,
		         "error", e.msg);
		r = after_failure(app, v, &why, d);
	}
	return r;
}

/* Nothing about it is other than when all is well. */
static bool is_well(const struct instance *i)
{
	return i->desired == INSTANCE_WANT_RUNNING && !i->is_held &&
	       i->status == INSTANCE_RUNNING && i->operation == INSTANCE_OP_NONE &&
	       i->is_channel_up && !i->reason[0] && !i->is_booting && !i->is_waiting &&
	       !i->probe_misses && !i->retry_at_ms && !i->not_ready_since_ms && i->exit_code < 0 &&
	       !i->exit_oom && i->restart_generation == i->applied_generation &&
	       i->config_generation == i->applied_config;
}

/* Was it well, is nothing to the contrary known of the engine, and does it answer? Then the engine
 * is not asked. */
static bool is_still_well(struct app *app, const struct instance *row)
{
	struct container_spec spec;
	struct err ignored = ERR_INIT; /* a closer look says it again */
	struct sight s = { 0 };

	if (!is_well(row) || !row->image[0] || app->reach != CONTAINER_REACH_HOST)
		return false;
	act_spec(app, row, &spec);
	if (container_spec_digest(&spec, s.spec, &ignored) < 0 ||
	    !glance_is_running(app->glance, row->id, s.spec))
		return false;
	probe(app, row, &s);
	return s.probe.verdict == PROBE_READY;
}

/* One look and what comes of it. */
static enum visit step(struct app *app, struct visit_row *v, const struct step_slow *slow,
                       struct lease_seen *ret)
{
	struct err e = ERR_INIT;
	long long mark = glance_mark(app->glance);
	enum lease_written how;
	struct decision d;
	struct sight s;
	bool has_slow = false;
	enum visit r = VISIT_RELEASED;

	/* What an act has learnt is to be written first. */
	if (v->now.applied_config == v->saved.applied_config && is_still_well(app, &v->now)) {
		seen(&v->saved, v->has_new_config ? CONFIG_MS : DECIDE_CHECK_MS, true, ret);
		return VISIT_SEEN;
	}
	if (look(app, &v->now, &s, &e) < 0) {
		log_debug("engine is away", "instance_id", v->saved.id, "error", e.msg);
		seen(&v->saved, AWAY_MS, false, ret);
		return VISIT_SEEN;
	}
	decide(&v->now, &s, &d);
	if (d.needs_probe) {
		probe(app, &v->now, &s);
		decide(&v->now, &s, &d);
	}
	if (d.needs_backup) {
		s.backup = ask_backup(app, &v->now);
		decide(&v->now, &s, &d);
	}
	end_operation(&d);
	if (v->has_new_config && d.delay_ms > CONFIG_MS)
		d.delay_ms = CONFIG_MS;
	if (!lease_is_news(&v->saved, &d)) {
		glance_settle(app->glance, v->saved.id, mark);
		seen(&v->saved, d.delay_ms, true, ret);
		return VISIT_SEEN;
	}
	if (is_slow(d.action)) {
		has_slow = slow->begin(slow->ctx);
		if (!has_slow) {
			seen(&v->saved, SLOW_WAIT_MS, true, ret);
			return VISIT_SEEN;
		}
	}

	if (write_down(app, &v->saved, &d, false, &how, &e) < 0)
		log_warn("a look could not be written, its lease runs out", "instance_id",
		         v->saved.id, "error", e.msg);
	else if (how == LEASE_CHANGED)
		r = VISIT_GO_ON;
	else if (how == LEASE_WRITTEN && d.action != ACT_NONE)
		r = VISIT_GO_ON;
	v->now = v->saved;
	if (r == VISIT_GO_ON && how == LEASE_WRITTEN)
		r = act_once(app, v, &d, ret);
	if (has_slow)
		slow->end(slow->ctx);
	return r;
}

enum step_end step_instance(struct app *app, struct instance *row, const struct step_slow *slow,
                            struct lease_seen *ret)
{
	struct visit_row v = { *row, *row, false };
	enum visit r = VISIT_GO_ON;

	for (int i = 0; i < STEPS_MAX && r == VISIT_GO_ON; i++)
		r = step(app, &v, slow, ret);
	log_trace_set(NULL);
	if (r == VISIT_GO_ON)
		return seen(&v.saved, AGAIN_MS, true, ret);
	return r == VISIT_SEEN ? STEP_SEEN : STEP_RELEASED;
}
