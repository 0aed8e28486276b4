#ifndef DUMP_ROW_H
#define DUMP_ROW_H

#include "app.h"
#include "dump/dump.h"

/* The tables `platform_dumps`, `platform_dump_plan` and `erased_users`. */

/* A row that still says "running" is of a process that died: one works on a dump at a time. */
int dump_row_begin(struct pg_conn *c, const char *id, struct err *e);
int dump_row_done(struct pg_conn *c, const char *id, const struct dump_totals *t,
                  long long bytes_stored, struct err *e);
int dump_row_failed(struct pg_conn *c, const char *id, const char *text, struct err *e);
int dump_row_forget(struct pg_conn *c, const char *id, struct err *e);

/* Marks of accounts that were erased before the oldest dump there is was made: nothing holds them
 * any more. */
int erased_forget(struct app *app, const char *oldest_dump, struct err *e);

/* Asks for a dump when one is due: by the schedule, soon after an assistant came that no dump knows,
 * an hour after one failed. *ret grows by one where it asked. */
int dump_plan(struct pg_conn *c, const struct app *app, int *ret, struct err *e);
/* Looks whether the dumps are as they should be; a change is logged. */
int dump_alert(struct pg_conn *c, const struct app *app, struct err *e);
/* For /health. */
int dump_alert_check(struct pg_conn *c, struct err *e);

#endif
