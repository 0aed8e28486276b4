#include "decide_parts.h"

#define REMOVING_MS    500
#define BACKOFF_MAX_MS 16000
#define EXIT_KILLED    137 /* 128 + SIGKILL */

/* While it boots it is looked at often, since a person waits. */
#define BOOT_EARLY_MS      3000
#define BOOT_EARLY_STEP_MS 100
#define BOOT_STEP_MS       1000

/* Was it serving, as far as the row knows, with nothing of ours under way? Then what the engine
 * shows otherwise is someone else's doing. retry_at_ms: we have stopped it ourselves. */
static bool is_serving(const struct instance *i)
{
	return (i->status == INSTANCE_RUNNING || i->status == INSTANCE_UNHEALTHY) &&
	       !i->retry_at_ms;
}

static void refused_config(struct decision *d)
{
	decide_become(
		d, INSTANCE_ERROR, CAUSE_CONFIG,
		"OpenClaw refused its configuration (exit status %d). Change the model or the "
		"provider, then start the assistant again.",
		DECIDE_EXIT_CONFIG);
	d->next.exit_code = -1;
	decide_give_up(d, true);
}

/* Its container is to be started; we are to wait for a while before. */
static bool is_backing_off(struct decision *d, long long now_ms)
{
	long long left_ms = d->next.retry_at_ms - now_ms;

	if (left_ms <= 0) {
		d->next.retry_at_ms = 0;
		return false;
	}
	decide_wait(d, left_ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : left_ms);
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
		decide_become(d, d->next.was_ready ? INSTANCE_STARTING : INSTANCE_PROVISIONING,
		              CAUSE_NONE, NULL);
		break;
	}
}

static void decide_absent(struct decision *d, const struct sight *s)
{
	if (is_serving(&d->next))
		decide_drifted(d, DRIFT_MISSING, INSTANCE_RESTARTING,
		               "Its container was removed from outside and is being made again.");
	decide_at_rest(d, 0);
	if (is_backing_off(d, s->now_ms))
		return;
	be_starting(d);
	decide_act(d, ACT_CREATE, PLACE_TAKE);
}

static void decide_ended(struct decision *d, const struct sight *s)
{
	const struct engine_state *c = &s->container;
	bool is_other = strcmp(c->item.spec, s->spec) != 0;

	if (is_serving(&d->next) && is_other)
		decide_drifted(d, DRIFT_CHANGED, INSTANCE_RESTARTING,
		               "Its container is made anew with other settings.");
	else if (is_serving(&d->next))
		decide_drifted(d, DRIFT_STOPPED, INSTANCE_RESTARTING,
		               "It was stopped from outside and is being started again.");
	decide_at_rest(d, c->finished_ms);
	if (is_other) {
		decide_act(d, ACT_REMOVE, PLACE_TAKE);
		return;
	}
	if (c->memory_mib != d->next.memory_mib) {
		decide_act(d, ACT_RESIZE, PLACE_KEEP);
		return;
	}
	if (is_backing_off(d, s->now_ms))
		return;
	be_starting(d);
	if (d->next.status == INSTANCE_PROVISIONING)
		d->next.status = INSTANCE_STARTING;
	decide_act(d, ACT_START, PLACE_TAKE);
}

/* How a run ended that nobody asked to end, for people; *ret_is_memory: for lack of memory. code: -1
 * when its status was not told of. */
static void why_ended(const struct decision *d, const struct engine_state *c, int code, char *ret,
                      size_t size, bool *ret_is_memory)
{
	bool is_told = d->next.exit_oom || (c->oom_killed && (code < 0 || code == EXIT_KILLED));
	/* The engine may tell of the kernel's kill after the end, or not at all. What it kills itself
	 * it does not start again by itself, so SIGKILL was the kernel's. */
	bool is_guessed = code == EXIT_KILLED &&
	                  (c->restart_count > 0 || c->item.status == ENGINE_RESTARTING);

	*ret_is_memory = is_told || is_guessed;
	if (is_told)
		snprintf(ret, size, "it ran out of memory");
	else if (is_guessed)
		snprintf(ret, size, "the system killed it, as happens when memory runs out");
	else if (code >= 0)
		snprintf(ret, size, "it ended by itself (exit status %d)", code);
	else
		snprintf(ret, size, "it ended by itself");
}

/* It ended by itself, and the engine has started it again or is about to. True: that is what there
 * is to say now. It is told before anything else of it is judged, for it may serve again already. */
static bool decide_crashed(struct decision *d, const struct sight *s)
{
	const struct engine_state *c = &s->container;
	bool is_between = c->item.status == ENGINE_RESTARTING;
	int code = is_between ? c->exit_code : d->next.exit_code;
	bool is_memory = false;
	char why[64];

	/* An exit status that was told of without an end to be seen is another container's. */
	if (c->finished_ms <= d->next.seen_end_ms) {
		d->next.exit_code = -1;
		return false;
	}
	if (code == DECIDE_EXIT_CONFIG) {
		refused_config(d);
		return true;
	}

	why_ended(d, c, code, why, sizeof(why), &is_memory);
	d->next.seen_end_ms = c->finished_ms;
	d->next.exit_code = -1;
	d->next.exit_oom = false;
	d->next.is_channel_up = false;
	if (!decide_may_restart(d, s->now_ms, why, true))
		return true;

	d->next.retry_at_ms = 0; /* the engine starts it, in its own time */
	be_starting(d);
	decide_wait(d, is_between ? BOOT_STEP_MS : BOOT_EARLY_STEP_MS);
	if (is_memory)
		decide_become(
			d, d->next.status, CAUSE_MEMORY,
			"The assistant was restarted: %s (it has %d MiB). Give it more memory "
			"if this comes back.",
			why, d->next.memory_mib);
	else
		decide_become(d, d->next.status, CAUSE_CRASH, "The assistant was restarted: %s.",
		              why);
	return true;
}

/* It lives, and is as it will be: whatever was under way has come to its end. */
static void up(struct decision *d, const struct sight *s, enum instance_status status,
               const char *why)
{
	static const enum instance_cause causes[] = {
		[PROBE_STARTING] = CAUSE_CONNECTING,     [PROBE_READY] = CAUSE_NONE,
		[PROBE_BOT_REFUSED] = CAUSE_BOT_REFUSED, [PROBE_BOT_CONFLICT] = CAUSE_BOT_CONFLICT,
		[PROBE_NO_TELEGRAM] = CAUSE_NO_TELEGRAM, [PROBE_CHANNELS_OFF] = CAUSE_CHANNELS_OFF,
	};

	decide_become(d, status, causes[s->probe.verdict], why[0] ? "%s" : NULL, why);
	d->next.ready_run_ms = s->container.started_ms;
	d->next.probe_misses = 0;
	d->next.retry_at_ms = 0;
	d->next.exit_oom = false; /* the kernel killed a process of its, and not itself */
	d->place = PLACE_DROP;
	decide_wait(d, DECIDE_CHECK_MS);
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
	decide_wait(d, since_ms < BOOT_EARLY_MS ? BOOT_EARLY_STEP_MS : BOOT_STEP_MS);
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
		decide_become(d, INSTANCE_UNHEALTHY, CAUSE_CONNECTING,
		              "The assistant lives and does not come to connect to Telegram. It "
		              "keeps trying; where this lasts, restart it or look at its logs.");
		return;
	}
	decide_wait(d, BOOT_STEP_MS);
}

static void decide_no_answer(struct decision *d, const struct sight *s, bool is_booting)
{
	long long since_ms = s->now_ms - s->container.started_ms;

	if (is_booting && since_ms < s->ready_timeout_ms) {
		wait_boot(d, since_ms);
		return;
	}
	if (is_booting) {
		decide_become(
			d, INSTANCE_ERROR, CAUSE_NOT_READY,
			"OpenClaw was not ready within %lld seconds of its start. It is stopped "
			"now; "
			"start it again to try anew.",
			s->ready_timeout_ms / 1000);
		decide_give_up(d, true);
		return;
	}
	if (++d->next.probe_misses < DECIDE_MISSES) {
		decide_wait(d, DECIDE_CHECK_MS);
		return;
	}
	if (!decide_may_restart(d, s->now_ms, "it did not answer any more", true))
		return;
	decide_become(d, INSTANCE_UNHEALTHY, CAUSE_NO_ANSWER,
	              "The assistant does not answer and is being restarted.");
	d->next.is_channel_up = false;
	decide_act(d, ACT_STOP, PLACE_KEEP);
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
		decide_act(d, ACT_STOP, PLACE_KEEP);
		return;
	}
	/* We have decided to stop it, for not answering, and have not come to it yet. */
	if (d->next.status == INSTANCE_UNHEALTHY && d->next.retry_at_ms) {
		decide_act(d, ACT_STOP, PLACE_KEEP);
		return;
	}
	if (decide_crashed(d, s))
		return;
	if (strcmp(c->item.spec, s->spec) != 0) {
		if (is_serving(&d->next))
			decide_drifted(d, DRIFT_CHANGED, INSTANCE_RESTARTING,
			               "Its container is made anew with other settings.");
		d->next.is_channel_up = false;
		decide_act(d, ACT_STOP, PLACE_TAKE);
	} else if (c->memory_mib != d->next.memory_mib) {
		/* It keeps on serving, so its status stays. */
		if (is_serving(&d->next) && d->next.operation == INSTANCE_OP_NONE) {
			d->drift = DRIFT_CHANGED;
			d->drift_text = "Its memory was changed from outside and is set back.";
		}
		decide_act(d, ACT_RESIZE, PLACE_KEEP);
	} else if (d->next.config_generation > d->next.applied_config) {
		decide_act(d, ACT_CONFIG, PLACE_KEEP);
	} else {
		decide_probed(d, s);
	}
}

void decide_up(struct decision *d, const struct sight *s)
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
		if (is_serving(&d->next))
			decide_drifted(d, DRIFT_STOPPED, INSTANCE_RESTARTING,
			               "It was paused from outside and is being started again.");
		d->next.is_channel_up = false;
		decide_act(d, ACT_STOP, PLACE_KEEP);
		break;
	case ENGINE_RESTARTING:
		if (!decide_crashed(d, s))
			decide_wait(d, BOOT_STEP_MS);
		break;
	case ENGINE_RUNNING:
		decide_running(d, s);
		break;
	case ENGINE_REMOVING:
		decide_wait(d, REMOVING_MS);
		break;
	case ENGINE_DEAD:
		be_starting(d);
		decide_act(d, ACT_REMOVE, PLACE_KEEP);
		break;
	}
}
