#include "decide_parts.h"

#include <stdarg.h>

/*
 * The way of an instance to another image. One container has its name and its files, so that there
 * are never two: the old one is gone before the new one is made, and the other way round.
 *
 *	backup  it goes on serving until storage-backup has a backup that was begun after the wish.
 *	        One that is stopped, or in error, is given its new image here and now, and is not
 *	        started for it: it starts with the new image when a person next asks, and the way
 *	        back is the backup.
 *	stop    the container ends; its files are copied aside (ACT_KEEP). From there on the row's
 *	        image is the new one.
 *	try     whatever it takes until it is ready, as with any start, but at the first failure:
 *	back    the new container goes, then the files from before take their place and the row's
 *	        image is the old one (ACT_BACK).
 *	clear   it is brought up as the row says, and what was kept aside goes (ACT_CLEAR).
 *
 * Each step is in the row before anything is done in it, and each of its acts may be repeated, so a
 * crash anywhere leads back into the same step.
 */
#define REMOVING_MS 500
#define BACKUP_MS   300 /* between questions how far the backup is */
#define TRY_MS      1000
#define TRY_TEXT    "It is being upgraded to another version of OpenClaw."
#define BACK_TEXT   "The other version of OpenClaw did not work; it is put back to the one before."

/* Why it was given up, for programs and for people; the first reason stays. */
__attribute__((format(printf, 3, 4))) static void
blame(struct instance *n, enum instance_cause cause, const char *fmt, ...)
{
	va_list ap;

	if (n->upgrade_error[0])
		return;
	va_start(ap, fmt);
	vsnprintf(n->upgrade_error, sizeof(n->upgrade_error), fmt, ap);
	va_end(ap);
	n->upgrade_cause = cause;
}

/* What went wrong with the new image, shorter than what a person is told of a start of theirs. */
static const char *what_failed(enum instance_cause cause)
{
	switch (cause) {
	case CAUSE_CONFIG:
		return "OpenClaw refused its configuration";
	case CAUSE_MEMORY:
		return "it ran out of memory";
	case CAUSE_CRASH:
	case CAUSE_CRASH_LOOP:
		return "it ended by itself";
	case CAUSE_NOT_READY:
	case CAUSE_CONNECTING:
		return "it was not ready in time";
	case CAUSE_NO_ANSWER:
		return "it stopped answering";
	case CAUSE_CHANNELS_OFF:
		return "its channels stayed off";
	case CAUSE_FOREIGN:
		return "a container that is not ours has its name";
	default:
		return "it could not be started";
	}
}

static void go_back(struct decision *d, const struct sight *s)
{
	struct sight ours = decide_ours(s);
	enum engine_status status = ours.container.item.status;

	decide_become(d, INSTANCE_RESTARTING, CAUSE_UPGRADING, "%s", BACK_TEXT);
	d->next.is_channel_up = false;
	if (decide_is_up(status)) {
		decide_act(d, ACT_STOP, PLACE_KEEP);
		return;
	}
	decide_at_rest(d, ours.container.finished_ms);
	if (status == ENGINE_REMOVING)
		decide_wait(d, REMOVING_MS);
	else if (status == ENGINE_ABSENT)
		decide_act(d, ACT_BACK, PLACE_KEEP);
	else
		decide_act(d, ACT_REMOVE, PLACE_KEEP);
}

static void stop(struct decision *d, const struct sight *s)
{
	struct sight ours = decide_ours(s);
	enum engine_status status = ours.container.item.status;

	decide_become(d, INSTANCE_RESTARTING, CAUSE_UPGRADING, "%s", TRY_TEXT);
	d->next.is_channel_up = false;
	if (decide_is_up(status)) {
		decide_act(d, ACT_STOP, PLACE_TAKE);
		return;
	}
	decide_at_rest(d, ours.container.finished_ms);
	if (status == ENGINE_REMOVING)
		decide_wait(d, REMOVING_MS);
	else
		decide_act(d, ACT_KEEP, PLACE_TAKE);
}

/* Nothing is begun yet: it goes on with what it has. */
static void no_backup(struct decision *d, const char *why)
{
	blame(&d->next, CAUSE_BACKUP, "There was no backup of it before: %s.", why);
	d->next.upgrade = UPGRADE_NONE;
}

static void back_up(struct decision *d, const struct sight *s)
{
	bool is_late = s->now_ms - d->next.upgrade_ms > DECIDE_BACKUP_MS;

	decide_as_wanted(d, s);
	if (d->action != ACT_NONE || d->needs_probe)
		return;
	if (s->backup == BACKUP_UNKNOWN) {
		d->needs_backup = true;
		return;
	}
	if (d->delay_ms > BACKUP_MS)
		d->delay_ms = BACKUP_MS;
	if (s->backup == BACKUP_FAILED)
		no_backup(d, "it failed");
	else if (s->backup != BACKUP_DONE && is_late)
		no_backup(d, s->backup == BACKUP_AWAY ? "storage-backup does not answer"
		                                      : "it took too long");
	if (s->backup != BACKUP_DONE || !instance_is_settled(d->next.status) ||
	    (d->next.status == INSTANCE_UNHEALTHY && d->next.retry_at_ms))
		return;
	if (decide_is_up(s->container.item.status)) {
		d->next.upgrade = UPGRADE_STOP;
		stop(d, s);
		return;
	}
	snprintf(d->next.image, sizeof(d->next.image), "%s", d->next.upgrade_to);
	d->next.upgrade = UPGRADE_NONE;
}

/* The bot's own troubles are none of the image's. */
static bool is_outside(enum instance_cause cause)
{
	return cause == CAUSE_BOT_REFUSED || cause == CAUSE_BOT_CONFLICT ||
	       cause == CAUSE_NO_TELEGRAM;
}

static void try_it(struct decision *d, const struct sight *s)
{
	const struct instance before = d->next;
	long long since_ms = s->now_ms - s->container.started_ms;
	enum instance_status now;
	bool is_over;

	decide_as_wanted(d, s);
	now = d->next.status;
	if (d->needs_probe)
		return;
	is_over = now == INSTANCE_RUNNING ||
	          (now == INSTANCE_UNHEALTHY && is_outside(d->next.cause) &&
	           since_ms > DECIDE_OUTSIDE_MS);
	if (is_over && d->action == ACT_NONE) {
		d->next.upgrade = UPGRADE_CLEAR;
		decide_act(d, ACT_CLEAR, d->place);
		return;
	}
	if (now == INSTANCE_ERROR || d->is_restart_counted ||
	    (now == INSTANCE_UNHEALTHY && since_ms > s->ready_timeout_ms)) {
		enum instance_cause cause = d->next.cause;

		*d = (struct decision){ .next = before };
		d->next.upgrade = UPGRADE_BACK;
		blame(&d->next, cause, "It did not get ready with %s: %s.", before.upgrade_to,
		      what_failed(cause));
		go_back(d, s);
		return;
	}
	if (now != INSTANCE_UNHEALTHY)
		return;
	/* It lives, and may yet serve; until then nothing of it is settled. */
	*d = (struct decision){ .next = before };
	decide_wait(d, TRY_MS);
}

static void clear(struct decision *d, const struct sight *s)
{
	decide_as_wanted(d, s);
	if (d->action == ACT_NONE && !d->needs_probe && instance_is_settled(d->next.status))
		decide_act(d, ACT_CLEAR, d->place);
}

void decide_upgrade(struct decision *d, const struct sight *s)
{
	switch (d->next.upgrade) {
	case UPGRADE_BACKUP:
		back_up(d, s);
		break;
	case UPGRADE_STOP:
		stop(d, s);
		break;
	case UPGRADE_TRY:
		try_it(d, s);
		break;
	case UPGRADE_BACK:
		go_back(d, s);
		break;
	case UPGRADE_CLEAR:
		clear(d, s);
		break;
	case UPGRADE_NONE:
	case UPGRADE_COUNT:
		break;
	}
}

bool decide_upgrade_failed(struct decision *d, enum failure failure, enum action failed,
                           const char *text)
{
	struct instance *n = &d->next;

	switch (n->upgrade) {
	case UPGRADE_STOP:
		/* Nothing of the new one is there yet: the old one goes on. What cannot be stopped
		 * is stopped again and again. */
		if (failed == ACT_KEEP) {
			blame(n, CAUSE_PLATFORM, "Its files could not be kept aside: %s", text);
			n->upgrade = UPGRADE_CLEAR;
			decide_become(d, INSTANCE_RESTARTING, CAUSE_UPGRADING, "%s", BACK_TEXT);
		}
		return true;
	case UPGRADE_TRY:
		blame(n, failure == FAIL_FINAL ? CAUSE_SETTINGS : CAUSE_PLATFORM,
		      "It could not be started with %s: %s", n->upgrade_to, text);
		n->upgrade = UPGRADE_BACK;
		decide_become(d, INSTANCE_RESTARTING, CAUSE_UPGRADING, "%s", BACK_TEXT);
		return true;
	case UPGRADE_BACK: /* there is nothing else to do */
		return true;
	case UPGRADE_CLEAR:
		return failed == ACT_CLEAR;
	case UPGRADE_NONE:
	case UPGRADE_BACKUP:
	case UPGRADE_COUNT:
		break;
	}
	return false;
}
