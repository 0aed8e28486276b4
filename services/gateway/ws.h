#ifndef GATEWAY_WS_H
#define GATEWAY_WS_H

#include "app.h"
#include "ws_client.h"

/*
 * WebSockets (SPEC 4). Three kinds of threads:
 *
 *	the gate (ws_gate.c) accepts, and reads the request that opens a socket;
 *	app->workers wait for Redis and the bus: who is it, may it listen to this (ws_call.c);
 *	the loop (ws.c) has all sockets and topics, and never waits.
 *
 * What others have for the loop they put into its inbox as a task.
 */
struct ws;
struct ws_slots;
struct ws_topics;

struct ws_task {
	struct ws_task *next;
	/* On the loop's thread; owns the task. Once the loop has ended, by whoever ends it: then no
	 * client has a socket. */
	void (*run)(struct ws *w, struct ws_task *t);
};

/* Listens. ERR_UNAVAILABLE when it cannot. *ret is to be freed also where it fails. */
int ws_start(struct app *app, struct ws **ret, struct err *e);

/* Takes no more, closes all (1001), ends the threads; the workers and the bus have to be there. */
void ws_quiesce(struct ws *w);
void ws_free(struct ws *w); /* NULL is fine */

/* Any thread. */
void ws_post(struct ws *w, struct ws_task *t);

/* For tasks. */
struct app *ws_app(struct ws *w);
struct ws_topics *ws_topics_of(struct ws *w);
struct ws_slots *ws_slots_of(struct ws *w);

/* Puts a job into the workers' queue; the job's task comes back through the inbox. false: it is
 * full. */
bool ws_work(struct ws *w, struct app_job *job);

/* Makes a socket of fd, for which everything has been agreed upon; takes fd and p's slot. key: of
 * the request. Any thread. */
void ws_adopt(struct ws *w, int fd, const struct ws_person *p, const char *key);

/* All sockets of the session (all: of every one) close. */
void ws_close_session(struct ws *w, const char *session_id, int code, const char *reason);

/* Looks soon whether the session of each goes on. */
void ws_check_all(struct ws *w);

/* How often sessions ended, or may have. Whoever is found good by a question asked before the latest is
 * looked at again: the end was heard while nobody had the socket. Any thread. */
unsigned long long ws_ends(struct ws *w);

#endif
