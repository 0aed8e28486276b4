#include "decide_parts.h"

#include <stdarg.h>

bool decide_is_up(enum engine_status s)
{
	return s == ENGINE_RUNNING || s == ENGINE_PAUSED || s == ENGINE_RESTARTING;
}

void decide_become(struct decision *d, enum instance_status status, enum instance_cause cause,
                   const char *fmt, ...)
{
	va_list ap;

	d->next.status = status;
	d->next.cause = cause;
	d->next.reason[0] = '\0';
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(d->next.reason, sizeof(d->next.reason), fmt, ap);
	va_end(ap);
}

void decide_drifted(struct decision *d, enum drift drift, enum instance_status status,
                    const char *text)
{
	d->drift = drift;
	d->drift_text = text;
	decide_become(d, status, CAUSE_OUTSIDE, "%s", text);
}

void decide_act(struct decision *d, enum action action, enum place place)
{
	d->action = action;
	d->place = place;
	d->delay_ms = 0;
}

void decide_wait(struct decision *d, long long delay_ms)
{
	d->action = ACT_NONE;
	d->delay_ms = delay_ms;
}

void decide_give_up(struct decision *d, bool is_running)
{
	d->next.status = INSTANCE_ERROR;
	d->next.retry_at_ms = 0;
	d->next.is_channel_up = false;
	d->place = PLACE_DROP;
	if (is_running)
		decide_act(d, ACT_STOP, PLACE_DROP);
	else
		decide_wait(d, DECIDE_CHECK_MS);
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

bool decide_may_restart(struct decision *d, long long now_ms, const char *why, bool is_running)
{
	int count = count_restart(&d->next, now_ms);

	d->is_restart_counted = true;
	d->next.probe_misses = 0;
	if (count < INSTANCE_RESTARTS) {
		d->next.retry_at_ms = now_ms + (1000LL << (count - 1));
		return true;
	}
	decide_become(
		d, INSTANCE_ERROR, CAUSE_CRASH_LOOP,
		"The assistant was restarted five times within ten minutes, the last time because "
		"%s. It is stopped now. Look at its settings, then start it again.",
		why);
	decide_give_up(d, is_running);
	return false;
}

void decide_at_rest(struct decision *d, long long finished_ms)
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
