#ifndef ALERT_H
#define ALERT_H

#include "app.h"

/* What is wrong with assistants' backups is said once, as an error in the log and an event, and stands
 * in the health until it is no more: overdue, failed, unproven, damaged, unstartable. */
int alert_look(struct pg_conn *c, const struct app *app, struct err *e);

#endif
