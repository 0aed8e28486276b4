#include "decide_parts.h"

#define AWAY_MS           2000
#define REMOVING_MS       500
#define PLATFORM_RETRY_MS 30000
#define HELD_TEXT         "Its files are being restored from a backup."

static const char *const action_names[ACT_COUNT] = {
	[ACT_NONE] = "none",     [ACT_CREATE] = "create", [ACT_START] = "start",
	[ACT_STOP] = "stop",     [ACT_REMOVE] = "remove", [ACT_RESIZE] = "resize",
	[ACT_CONFIG] = "config", [ACT_ERASE] = "erase",   [ACT_KEEP] = "keep",
	[ACT_BACK] = "back",     [ACT_CLEAR] = "clear",
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

/* Is it to be up: wanted, and not given up on? */
static bool wants_up(const struct instance *i, long long now_ms)
{
	return i->desired == INSTANCE_WANT_RUNNING && !i->is_held &&
	       (i->status != INSTANCE_ERROR || (i->retry_at_ms && i->retry_at_ms <= now_ms));
}

/* Stopping or stopped, as it is wanted or for as long as it is held. */
static void become_stopped(struct decision *d, enum instance_status status)
{
	if (d->next.is_held)
		decide_become(d, status, CAUSE_HELD, HELD_TEXT);
	else
		decide_become(d, status, CAUSE_NONE, NULL);
}

static void decide_down(struct decision *d, const struct sight *s)
{
	enum engine_status status = s->container.item.status;
	bool is_wanted_so = d->next.desired == INSTANCE_WANT_STOPPED || d->next.is_held;

	d->place = PLACE_DROP;
	if (decide_is_up(status)) {
		if (d->next.status == INSTANCE_STOPPED)
			decide_drifted(d, DRIFT_RUNNING, INSTANCE_STOPPING,
			               "It was started from outside and is being stopped again.");
		else if (d->next.is_held && d->next.status != INSTANCE_STOPPING)
			become_stopped(d, INSTANCE_STOPPING);
		d->next.is_channel_up = false;
		decide_act(d, ACT_STOP, PLACE_DROP);
		return;
	}
	decide_at_rest(d, s->container.finished_ms);
	if (status == ENGINE_DEAD)
		decide_act(d, ACT_REMOVE, PLACE_DROP);
	else if (status == ENGINE_REMOVING)
		decide_wait(d, REMOVING_MS);
	else
		decide_wait(d, DECIDE_REST_MS);
	if (is_wanted_so && d->next.status != INSTANCE_STOPPED)
		become_stopped(d, INSTANCE_STOPPED);
	if (!is_wanted_so && d->next.retry_at_ms > s->now_ms &&
	    d->next.retry_at_ms - s->now_ms < d->delay_ms)
		d->delay_ms = d->next.retry_at_ms - s->now_ms;
}

static void decide_delete(struct decision *d, const struct sight *s)
{
	enum engine_status status = s->container.item.status;

	if (d->next.status != INSTANCE_DELETING)
		decide_become(d, INSTANCE_DELETING, CAUSE_NONE, NULL);
	d->next.is_channel_up = false;
	if (status == ENGINE_ABSENT)
		decide_act(d, ACT_ERASE, PLACE_DROP);
	else if (decide_is_up(status))
		decide_act(d, ACT_STOP, PLACE_DROP);
	else if (status == ENGINE_REMOVING)
		decide_wait(d, REMOVING_MS);
	else
		decide_act(d, ACT_REMOVE, PLACE_DROP);
}

/* Someone made a container of this name that is not ours: it is not ours to touch. */
static void decide_foreign(struct decision *d)
{
	decide_become(d, INSTANCE_ERROR, CAUSE_FOREIGN,
	              "A container that is not the platform's has this assistant's name. An "
	              "administrator "
	              "has to remove or rename it; then start the assistant again.");
	decide_give_up(d, false);
}

static bool is_foreign(const struct sight *s)
{
	return s->container.item.status != ENGINE_ABSENT && !s->container.item.is_ours;
}

struct sight decide_ours(const struct sight *s)
{
	struct sight ours = *s;

	if (is_foreign(s))
		ours.container = (struct engine_state){ .item = { .status = ENGINE_ABSENT } };
	return ours;
}

void decide_as_wanted(struct decision *d, const struct sight *s)
{
	struct sight ours = decide_ours(s);

	if (!wants_up(&d->next, s->now_ms))
		decide_down(d, &ours);
	else if (is_foreign(s))
		decide_foreign(d);
	else
		decide_up(d, s);
}

void decide(const struct instance *row, const struct sight *s, struct decision *ret)
{
	struct sight ours = decide_ours(s);

	*ret = (struct decision){ .next = *row, .delay_ms = DECIDE_CHECK_MS };
	if (row->desired == INSTANCE_WANT_DELETED)
		decide_delete(ret, &ours);
	else if (row->upgrade != UPGRADE_NONE)
		decide_upgrade(ret, s);
	else
		decide_as_wanted(ret, s);
}

/* Memory that is in use cannot be taken from what runs; from what is stopped it can. */
static void stop_to_resize(struct decision *d)
{
	decide_become(d, INSTANCE_RESTARTING, CAUSE_RESIZING,
	              "It is being restarted to have other memory.");
	d->next.retry_at_ms = 0;
	d->next.is_channel_up = false;
	decide_act(d, ACT_STOP, PLACE_KEEP);
}

void decide_failed(const struct instance *row, enum failure failure, enum action failed,
                   const char *text, long long now_ms, struct decision *ret)
{
	*ret = (struct decision){ .next = *row, .delay_ms = AWAY_MS };

	/* What cannot be deleted or stopped is tried again for ever: there is nothing else to do. */
	if (failure == FAIL_AWAY || row->desired != INSTANCE_WANT_RUNNING || row->is_held)
		return;
	if (decide_upgrade_failed(ret, failure, failed, text))
		return;
	if (failure == FAIL_ATTEMPT) {
		if (!decide_may_restart(ret, now_ms, text, false))
			return;
		if (failed == ACT_RESIZE) {
			stop_to_resize(ret);
			return;
		}
		ret->delay_ms = ret->next.retry_at_ms - now_ms;
		decide_become(ret, row->status, CAUSE_NOT_STARTED,
		              "It could not be started yet: %s.", text);
		return;
	}
	decide_become(ret, INSTANCE_ERROR,
	              failure == FAIL_PLATFORM ? CAUSE_PLATFORM : CAUSE_SETTINGS, "%s", text);
	decide_give_up(ret, false);
	if (failure == FAIL_PLATFORM)
		ret->next.retry_at_ms = now_ms + PLATFORM_RETRY_MS;
}
