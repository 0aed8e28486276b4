#ifndef ACTIVITY_H
#define ACTIVITY_H

#include "base/arena.h"
#include "instance.h"

/*
 * An instance's timeline: what people did to it and what happened to it, in the table `activity`,
 * with an event (instance.activity) for each entry. Kept for ACTIVITY_DAYS, gone with the instance.
 */
#define ACTIVITY_DAYS        "90"
#define ACTIVITY_KIND_MAX    40  /* characters */
#define ACTIVITY_SUMMARY_MAX 512 /* characters; longer ones are cut */

struct activity {
	const char *kind;    /* small letters and _: "start", "status", "channel_up" */
	const char *actor;   /* "user", "platform" or "assistant" */
	const char *summary; /* for people; NULL: none */
	const char *trace_id;
};

/* In a transaction of the caller's, with its event. An instance that is not there has no timeline:
 * fine. */
int activity_add(struct pg_conn *c, const char *user_id, const char *instance_id,
                 const struct activity *what, struct err *e);

/* A page, newest first, in the arena. */
struct activity_page {
	const char *user_id, *instance_id;
	long long before; /* id of the entry that it goes on after; 0: from the newest */
	long long limit;
};
int activity_list(struct pg_conn *c, const struct activity_page *page, struct arena *a,
                  struct activity_list *ret, struct err *e);

/* Removes what is older than ACTIVITY_DAYS. */
int activity_purge(struct pg_conn *c, struct err *e);

#endif
