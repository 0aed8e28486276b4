#include "decide.h"

#include <stdarg.h>

#define AWAY_MS        2000
#define REMOVING_MS    500
#define BACKOFF_MAX_MS 16000

/* While it boots it is looked at often, since a person waits. */
#define BOOT_EARLY_MS      3000
#define BOOT_EARLY_STEP_MS 100
#define BOOT_STEP_MS       1000

static const char *const action_names[ACT_COUNT] = {
	[ACT_NONE] = "none",     [ACT_CREATE] = "create", [ACT_START] = "start",
	[ACT_STOP] = "stop",     [ACT_REMOVE] = "remove", [ACT_RESIZE] = "resize",
	[ACT_CONFIG] = "config", [ACT_ERASE] = "erase",
};

static const char *const drift_names[DRIFT_COUNT] = {
	[DRIFT_NONE] = "none",
	[DRIFT_MISSING] = "container_missing",
	[DRIFT_STOPPED] = "container_stopped",
	[DRIFT_CHANGED] = "container_changed",
	[DRIFT_RUNNING] = "container_running",
	[DRIFT_STRAY] = "container_stray",
};

const char *action_name(enum action a)
{
	return action_names[a];
}

const char *drift_name(enum drift d)
{
	return drift_names[d];
}

static bool is_up(enum engine_status s)
{
	return s == ENGINE_RUNNING || s == ENGINE_PAUSED || s == ENGINE_RESTARTING;
}

/* Is it to be up: wanted, and not given up on? */
static bool wants_up(const struct instance *i, long long now_ms)
{
	return i->desired == INSTANCE_WANT_RUNNING &&
	       (i->status != INSTANCE_ERROR || (i->retry_at_ms && i->retry_at_ms <= now_ms));
}

/* Was it serving, as far as the row knows, with nothing of ours under way? Then what the engine
 * shows otherwise is someone else's doing. retry_at_ms: we have stopped it ourselves. */
static bool is_serving(const struct instance *i)
{
	return (i->status == INSTANCE_RUNNING || i->status == INSTANCE_UNHEALTHY) &&
	       !i->retry_at_ms;
}

__attribute__((format(printf, 3, 4))) static void
become(struct decision *d, enum instance_status status, const char *fmt, ...)
{
	va_list ap;

	d->next.status = status;
	d->next.reason[0] = '\0';
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(d->next.reason, sizeof(d->next.reason), fmt, ap);
	va_end(ap);
}

static void act(struct decision *d, enum action action, enum place place)
{
	d->action = action;
	d->place = place;
	d->delay_ms = 0;
}

static void wait(struct decision *d, long long delay_ms)
{
	d->action = ACT_NONE;
	d->delay_ms = delay_ms;
}

/* Given up on until a person asks again: what runs of it is stopped. */
static void give_up(struct decision *d, bool is_running)
{
	d->next.status = INSTANCE_ERROR;
	d->next.retry_at_ms = 0;
	d->next.is_channel_up = false;
	d->place = PLACE_DROP;
	if (is_running)
		act(d, ACT_STOP, PLACE_DROP);
	else
		wait(d, DECIDE_CHECK_MS);
}

/* One more restart. How many there were of late, this one too. */
static int count_restart(struct instance *n, long long now_ms)
{
	long long recent[INSTANCE_RESTARTS] = { 0 };
	int count = 0;

	for (int i = 0; i < INSTANCE_RESTARTS; i++)
		if (n->restart_times[i] && now_ms - n->restart_times[i] < INSTANCE_RESTARTS_MS)
			recent[count++] = n->restart_times[i];
	if (count == INSTANCE_RESTARTS)
		memmove(recent, recent + 1, (size_t)--count * sizeof(recent[0]));
	recent[count++] = now_ms;
	memcpy(n->restart_times, recent, sizeof(recent));
	return count;
}

/* False: that was once too often, and it is given up. why: "it ran out of memory". */
static bool may_restart(struct decision *d, long long now_ms, const char *why, bool is_running)
{
	int count = count_restart(&d->next, now_ms);

	d->is_restart_counted = true;
	d->next.probe_misses = 0;
	if (count < INSTANCE_RESTARTS) {
		d->next.retry_at_ms = now_ms + (1000LL << (count - 1));
		return true;
	}
	become(d, INSTANCE_ERROR,
	       "The assistant was restarted five times within ten minutes, the last time because "
	       "%s. It is stopped now. Look at its settings, then start it again.",
	       why);
	give_up(d, is_running);
	return false;
}

static void refused_config(struct decision *d)
{
	become(d, INSTANCE_ERROR,
	       "OpenClaw refused its configuration (exit status %d). Change the model or the "
	       "provider, then start the assistant again.",
	       DECIDE_EXIT_CONFIG);
	d->next.exit_code = -1;
	give_up(d, true);
}

/* Its container is to be started; we are to wait for a while before. */
static bool is_backing_off(struct decision *d, long long now_ms)
{
	long long left_ms = d->next.retry_at_ms - now_ms;

	if (left_ms <= 0) {
		d->next.retry_at_ms = 0;
		return false;
	}
	wait(d, left_ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : left_ms);
	return true;
}

/* In a transitional status, by now. */
static void be_starting(struct decision *d)
{
	switch (d->next.status) {
	case INSTANCE_RUNNING:
	case INSTANCE_UNHEALTHY:
		d->next.status = INSTANCE_RESTARTING;
		break;
	case INSTANCE_PROVISIONING:
	case INSTANCE_STARTING:
	case INSTANCE_RESTARTING:
		break;
	default:
		become(d, d->next.was_ready ? INSTANCE_STARTING : INSTANCE_PROVISIONING, NULL);
		break;
	}
}

/* There is nothing that runs: whatever restart was asked for is had by the start that follows. */
static void at_rest(struct decision *d, long long finished_ms)
{
	d->next.applied_generation = d->next.restart_generation;
	d->next.seen_end_ms = finished_ms;
	d->next.ready_run_ms = 0;
	d->next.not_ready_since_ms = 0;
	d->next.exit_code = -1;
	d->next.exit_oom = false;
	d->next.probe_misses = 0;
	d->next.is_channel_up = false;
}

static void decide_absent(struct decision *d, const struct sight *s)
{
	if (is_serving(&d->next)) {
		d->drift = DRIFT_MISSING;
		become(d, INSTANCE_RESTARTING,
		       "Its container was removed from outside and is being made again.");
	}
	at_rest(d, 0);
	if (is_backing_off(d, s->now_ms))
		return;
	be_starting(d);
	act(d, ACT_CREATE, PLACE_TAKE);
}

static void decide_ended(struct decision *d, const struct sight *s)
{
	const struct engine_state *c = &s->container;
	bool is_other = strcmp(c->item.spec, s->spec) != 0;

	if (is_serving(&d->next) && is_other) {
		d->drift = DRIFT_CHANGED;
		become(d, INSTANCE_RESTARTING, "Its container is made anew with other settings.");
	} else if (is_serving(&d->next)) {
		d->drift = DRIFT_STOPPED;
		become(d, INSTANCE_RESTARTING,
		       "It was stopped from outside (exit status %d) and is being started again.",
		       c->exit_code);
	}
	at_rest(d, c->finished_ms);
	if (is_other) {
		act(d, ACT_REMOVE, PLACE_TAKE);
		return;
	}
	if (c->memory_mib != d->next.memory_mib) {
		act(d, ACT_RESIZE, PLACE_KEEP);
		return;
	}
	if (is_backing_off(d, s->now_ms))
		return;
	be_starting(d);
	if (d->next.status == INSTANCE_PROVISIONING)
		d->next.status = INSTANCE_STARTING;
	act(d, ACT_START, PLACE_TAKE);
}

/* It ended by itself, and the engine has started it again or is about to. True: nothing more is to
 * be judged now. */
static bool decide_crashed(struct decision *d, const struct sight *s)
{
	const struct engine_state *c = &s->container;
	bool is_between = c->item.status == ENGINE_RESTARTING;
	int code = is_between ? c->exit_code : d->next.exit_code;
	bool is_oom = d->next.exit_oom || (c->oom_killed && (code < 0 || code == 137));
	char why[64];

	/* An exit status that was told of without an end to be seen is another container's. */
	if (c->finished_ms <= d->next.seen_end_ms)
		return false;
	if (code == DECIDE_EXIT_CONFIG) {
		refused_config(d);
		return true;
	}

	d->next.seen_end_ms = c->finished_ms;
	d->next.exit_code = -1;
	d->next.exit_oom = false;
	d->next.is_channel_up = false;
	if (is_oom)
		snprintf(why, sizeof(why), "it ran out of memory");
	else if (code >= 0)
		snprintf(why, sizeof(why), "it ended by itself (exit status %d)", code);
	else
		snprintf(why, sizeof(why), "it ended by itself");
	if (!may_restart(d, s->now_ms, why, true))
		return true;

	d->next.retry_at_ms = 0; /* the engine starts it, in its own time */
	be_starting(d);
	if (is_oom)
		become(d, d->next.status,
		       "The assistant ran out of memory (%d MiB) and was restarted. Give it more "
		       "memory if this comes back.",
		       d->next.memory_mib);
	else
		become(d, d->next.status, "The assistant was restarted: %s.", why);
	return false;
}

/* It lives, and is as it will be: whatever was under way has come to its end. */
static void up(struct decision *d, const struct sight *s, enum instance_status status,
               const char *why)
{
	become(d, status, why[0] ? "%s" : NULL, why);
	d->next.ready_run_ms = s->container.started_ms;
	d->next.probe_misses = 0;
	d->next.retry_at_ms = 0;
	d->place = PLACE_DROP;
	wait(d, DECIDE_CHECK_MS);
}

static void channel_down(struct decision *d, const struct sight *s)
{
	up(d, s, INSTANCE_UNHEALTHY, s->probe.text);
	d->delay_ms = DECIDE_AILING_MS;
	d->next.is_channel_up = false;
}

static void wait_boot(struct decision *d, long long since_ms)
{
	be_starting(d);
	wait(d, since_ms < BOOT_EARLY_MS ? BOOT_EARLY_STEP_MS : BOOT_STEP_MS);
}

/* It lives; its channels are on their way. */
static void decide_no_channel_yet(struct decision *d, const struct sight *s, bool is_booting)
{
	long long since_ms = s->now_ms - s->container.started_ms;

	d->next.probe_misses = 0;
	if (is_booting && since_ms < s->ready_timeout_ms) {
		wait_boot(d, since_ms);
		return;
	}
	if (!d->next.not_ready_since_ms)
		d->next.not_ready_since_ms = s->now_ms;
	if (is_booting || s->now_ms - d->next.not_ready_since_ms > DECIDE_CHANNEL_MS) {
		channel_down(d, s);
		return;
	}
	wait(d, BOOT_STEP_MS);
}

static void decide_no_answer(struct decision *d, const struct sight *s, bool is_booting)
{
	long long since_ms = s->now_ms - s->container.started_ms;

	if (is_booting && since_ms < s->ready_timeout_ms) {
		wait_boot(d, since_ms);
		return;
	}
	if (is_booting) {
		become(d, INSTANCE_ERROR,
		       "OpenClaw was not ready within %lld seconds of its start. It is stopped "
		       "now; "
		       "start it again to try anew.",
		       s->ready_timeout_ms / 1000);
		give_up(d, true);
		return;
	}
	if (++d->next.probe_misses < DECIDE_MISSES) {
		wait(d, DECIDE_CHECK_MS);
		return;
	}
	if (!may_restart(d, s->now_ms, "it did not answer any more", true))
		return;
	become(d, INSTANCE_UNHEALTHY, "The assistant does not answer and is being restarted.");
	d->next.is_channel_up = false;
	act(d, ACT_STOP, PLACE_KEEP);
}

static void decide_probed(struct decision *d, const struct sight *s)
{
	bool is_booting = s->container.started_ms != d->next.ready_run_ms;

	/* A probe may take seconds: what the engine says is judged before it. */
	if (!s->has_probe) {
		d->needs_probe = true;
		return;
	}
	if (s->probe.verdict != PROBE_STARTING)
		d->next.not_ready_since_ms = 0;
	switch (s->probe.verdict) {
	case PROBE_READY:
		up(d, s, INSTANCE_RUNNING, "");
		d->next.is_channel_up = true;
		d->next.was_ready = true;
		break;
	case PROBE_BOT_REFUSED:
	case PROBE_BOT_CONFLICT:
	case PROBE_NO_TELEGRAM:
	case PROBE_CHANNELS_OFF:
		channel_down(d, s);
		break;
	case PROBE_STARTING:
		decide_no_channel_yet(d, s, is_booting);
		break;
	case PROBE_DOWN:
	case PROBE_STRANGER:
		decide_no_answer(d, s, is_booting);
		break;
	}
}

static void decide_running(struct decision *d, const struct sight *s)
{
	const struct engine_state *c = &s->container;

	if (d->next.restart_generation > d->next.applied_generation) {
		d->next.is_channel_up = false;
		be_starting(d);
		act(d, ACT_STOP, PLACE_KEEP);
		return;
	}
	/* We have decided to stop it, for not answering, and have not come to it yet. */
	if (d->next.status == INSTANCE_UNHEALTHY && d->next.retry_at_ms) {
		act(d, ACT_STOP, PLACE_KEEP);
		return;
	}
	if (decide_crashed(d, s))
		return;
	if (strcmp(c->item.spec, s->spec) != 0) {
		if (is_serving(&d->next)) {
			d->drift = DRIFT_CHANGED;
			become(d, INSTANCE_RESTARTING,
			       "Its container is made anew with other settings.");
		}
		d->next.is_channel_up = false;
		act(d, ACT_STOP, PLACE_TAKE);
	} else if (c->memory_mib != d->next.memory_mib) {
		act(d, ACT_RESIZE, PLACE_KEEP);
	} else if (d->next.config_generation > d->next.applied_config) {
		act(d, ACT_CONFIG, PLACE_KEEP);
	} else {
		decide_probed(d, s);
	}
}

static void decide_up(struct decision *d, const struct sight *s)
{
	switch (s->container.item.status) {
	case ENGINE_ABSENT:
		decide_absent(d, s);
		break;
	case ENGINE_CREATED:
	case ENGINE_EXITED:
		decide_ended(d, s);
		break;
	case ENGINE_PAUSED:
		if (is_serving(&d->next)) {
			d->drift = DRIFT_STOPPED;
			become(d, INSTANCE_RESTARTING,
			       "It was paused from outside and is being started again.");
		}
		d->next.is_channel_up = false;
		act(d, ACT_STOP, PLACE_KEEP);
		break;
	case ENGINE_RESTARTING:
		if (!decide_crashed(d, s))
			wait(d, BOOT_STEP_MS);
		break;
	case ENGINE_RUNNING:
		decide_running(d, s);
		break;
	case ENGINE_REMOVING:
		wait(d, REMOVING_MS);
		break;
	case ENGINE_DEAD:
		be_starting(d);
		act(d, ACT_REMOVE, PLACE_KEEP);
		break;
	}
}

static void decide_down(struct decision *d, const struct sight *s)
{
	enum engine_status status = s->container.item.status;
	bool is_wanted_so = d->next.desired == INSTANCE_WANT_STOPPED;

	d->place = PLACE_DROP;
	if (is_up(status)) {
		if (d->next.status == INSTANCE_STOPPED) {
			d->drift = DRIFT_RUNNING;
			become(d, INSTANCE_STOPPING,
			       "It was started from outside and is being stopped again.");
		}
		d->next.is_channel_up = false;
		act(d, ACT_STOP, PLACE_DROP);
		return;
	}
	at_rest(d, s->container.finished_ms);
	if (status == ENGINE_DEAD)
		act(d, ACT_REMOVE, PLACE_DROP);
	else if (status == ENGINE_REMOVING)
		wait(d, REMOVING_MS);
	else
		wait(d, DECIDE_CHECK_MS);
	if (is_wanted_so && d->next.status != INSTANCE_STOPPED)
		become(d, INSTANCE_STOPPED, NULL);
	if (!is_wanted_so && d->next.retry_at_ms > s->now_ms &&
	    d->next.retry_at_ms - s->now_ms < d->delay_ms)
		d->delay_ms = d->next.retry_at_ms - s->now_ms;
}

static void decide_delete(struct decision *d, const struct sight *s)
{
	enum engine_status status = s->container.item.status;

	if (d->next.status != INSTANCE_DELETING)
		become(d, INSTANCE_DELETING, NULL);
	d->next.is_channel_up = false;
	if (status == ENGINE_ABSENT)
		act(d, ACT_ERASE, PLACE_DROP);
	else if (is_up(status))
		act(d, ACT_STOP, PLACE_DROP);
	else if (status == ENGINE_REMOVING)
		wait(d, REMOVING_MS);
	else
		act(d, ACT_REMOVE, PLACE_DROP);
}

/* Someone made a container of this name that is not ours: it is not ours to touch. */
static void decide_foreign(struct decision *d)
{
	become(d, INSTANCE_ERROR,
	       "A container that is not the platform's has this assistant's name. An administrator "
	       "has to remove or rename it; then start the assistant again.");
	give_up(d, false);
}

void decide(const struct instance *row, const struct sight *s, struct decision *ret)
{
	const struct engine_item *item = &s->container.item;
	bool is_foreign = item->status != ENGINE_ABSENT && !item->is_ours;
	struct sight none = *s;

	*ret = (struct decision){ .next = *row, .delay_ms = DECIDE_CHECK_MS };
	if (is_foreign)
		none.container = (struct engine_state){ .item = { .status = ENGINE_ABSENT } };

	if (row->desired == INSTANCE_WANT_DELETED)
		decide_delete(ret, &none);
	else if (!wants_up(row, s->now_ms))
		decide_down(ret, &none);
	else if (is_foreign)
		decide_foreign(ret);
	else
		decide_up(ret, s);
}

#define PLATFORM_RETRY_MS 30000

/* Memory that is in use cannot be taken from what runs; from what is stopped it can. */
static void stop_to_resize(struct decision *d)
{
	become(d, INSTANCE_RESTARTING, "It is being restarted to have other memory.");
	d->next.retry_at_ms = 0;
	d->next.is_channel_up = false;
	act(d, ACT_STOP, PLACE_KEEP);
}

void decide_failed(const struct instance *row, enum failure failure, enum action failed,
                   const char *text, long long now_ms, struct decision *ret)
{
	*ret = (struct decision){ .next = *row, .delay_ms = AWAY_MS };

	/* What cannot be deleted or stopped is tried again for ever: there is nothing else to do. */
	if (failure == FAIL_AWAY || row->desired != INSTANCE_WANT_RUNNING)
		return;
	if (failure == FAIL_ATTEMPT) {
		if (!may_restart(ret, now_ms, text, false))
			return;
		if (failed == ACT_RESIZE) {
			stop_to_resize(ret);
			return;
		}
		ret->delay_ms = ret->next.retry_at_ms - now_ms;
		become(ret, row->status, "It could not be started yet: %s.", text);
		return;
	}
	become(ret, INSTANCE_ERROR, "%s", text);
	give_up(ret, false);
	if (failure == FAIL_PLATFORM)
		ret->next.retry_at_ms = now_ms + PLATFORM_RETRY_MS;
}
