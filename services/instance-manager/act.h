#ifndef ACT_H
#define ACT_H

#include "app.h"
#include "decide.h"

/*
 * What decide() says, done: one action on one instance. Each may be repeated after a crash at any
 * line, and each leaves something that the next look sees.
 *
 * Fault points (base/fault.h), by which the tests kill the process; <op> is the operation that the
 * person asked for, or "mend" where nobody did:
 *
 *	create.claimed              row, bot, port and operation are committed, nobody is answered
 *	{start,stop,restart,delete,update,upgrade}.wanted
 *	                              the same of the other wishes
 *	<op>.dirs                   directories are made
 *	<op>.config                 openclaw.json is written
 *	<op>.container              create, restart …: the container is made, not started;
 *	                            delete: it is removed
 *	<op>.removed                a container is removed that is to be made anew
 *	<op>.started                the container is started, nothing is written of it
 *	<op>.ready                  it was seen ready, nothing is written of it
 *	<op>.stopped                the container is stopped, nothing is written of it
 *	<op>.resized                its memory is another
 *	<op>.port                   another port is claimed
 *	upgrade.kept                its files are kept aside
 *	upgrade.aside               the files of the new image are out of the way, those from before
 *	                            not yet in their place
 *	upgrade.back                those are in their place, the row does not know it
 *	upgrade.cleared             what was kept is gone
 *	restart.recorded            the stop of a restart is written, the start is still to come
 *	stop.recorded               "stopped" is written
 *	delete.data                 the directories are gone
 *	delete.row                  the row is gone
 *	outbox.published            an event is in the stream and still in the outbox
 */

/* Why an action failed, for people. */
struct act_failure {
	enum failure kind;
	long long
		again_ms; /* nothing went wrong: it waits for another, and is to be tried again then; else 0 */
	char text[256];
};

/* Kills the process where a test says so: "<op>.<step>". */
void act_fault(const struct instance *i, const char *step);

/* What a container of this instance is made from. Strings are views into both. */
void act_spec(const struct app *app, const struct instance *i, struct container_spec *ret);

/* *i learns what is now so (applied_config, upgrade, image). *ret_gone: the row is erased, or is another's to do.
 * -1 with *why and the detail for the log in *e. */
int act_run(struct app *app, enum action action, struct instance *i, bool *ret_gone,
            struct act_failure *why, struct err *e);

#endif
