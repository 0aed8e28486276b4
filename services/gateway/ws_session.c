#include "ws_session.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "ws_auth.h"
#include "ws_slot.h"
#include "ws_topics.h"

#define RETRY_MS 3000 /* until a question that could not be asked or answered is asked again */

/* One of these at a time is what a job is about. */
struct job {
	struct app_job job; /* first */
	struct ws_task task;
	struct ws *ws;
	struct ws_client *client; /* held; NULL: of none */
	struct ws_person person;  /* the client's, or what is to become of it */
	char *ticket, *token;     /* renewal */
	char trace_id[BUS_TRACE_SIZE];
	struct err err;
};

static struct job *job_of(struct ws_task *t)
{
	return (struct job *)((char *)t - offsetof(struct job, task));
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void job_free(struct job *j)
{
	if (j->client)
		ws_client_drop(j->client);
	wipe(j->ticket);
	wipe(j->token);
	free(j);
}

/* The loop's thread. */
static struct job *job_new(struct ws *w, struct ws_client *c, const struct ws_person *p)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->ws = w;
	j->client = c ? ws_client_hold(c) : NULL;
	if (p)
		j->person = *p;
	return j;
}

/* ---- is it still good -------------------------------------------------------------------------- */

static void check_done(struct ws *w, struct ws_task *t)
{
	struct job *j = job_of(t);

	(void)w;
	j->client->is_checking = false;
	if (j->err.code == ERR_UNAUTHENTICATED)
		ws_client_close(j->client, WS_CLOSE_SIGNED_OUT, "the session has ended");
	else if (j->err.code != ERR_NONE)
		j->client->check_ms = clock_mono_ms() + RETRY_MS;
	job_free(j);
}

static void check(struct app_job *base)
{
	struct job *j = (struct job *)base;

	/* What cannot be told now is asked again in RETRY_MS. */
	(void)ws_slot_keep(ws_slots_of(j->ws), &j->person, &j->err);
	ws_post(j->ws, &j->task);
}

void ws_session_check(struct ws *w, struct ws_client *c)
{
	struct job *j = job_new(w, c, &c->person);

	c->check_ms = clock_mono_ms() + RETRY_MS;
	if (!j)
		return;
	j->job.run = check;
	j->task.run = check_done;
	c->is_checking = ws_work(w, &j->job);
	if (c->is_checking)
		c->check_ms += WS_CHECK_MS - RETRY_MS;
	else
		job_free(j);
}

/* ---- a new token ------------------------------------------------------------------------------- */

static void renew_done(struct ws *w, struct ws_task *t)
{
	struct job *j = job_of(t);
	const struct ws_frame_out f = { .event = "authenticated", .trace_id = j->trace_id };

	if (j->err.code != ERR_NONE) {
		ws_client_send_error(j->client, NULL, j->trace_id, &j->err);
	} else {
		memcpy(j->client->person.session_id, j->person.session_id, UUID_SIZE);
		j->client->person.expires_s = j->person.expires_s;
		if (j->person.ends != ws_ends(w))
			j->client->check_ms = 0;
		ws_client_send_frame(j->client, &f);
	}
	job_free(j);
}

static void renew(struct app_job *base)
{
	struct job *j = (struct job *)base;
	struct ws_person was = j->person;

	j->person.ends = ws_ends(j->ws);
	if (ws_auth_again(ws_app(j->ws), j->ticket, j->token, &j->person, &j->err) == 0) {
		/* A socket stays one person's: its topics were allowed to them. */
		if (strcmp(was.user_id, j->person.user_id) != 0)
			err_set(&j->err, ERR_FORBIDDEN, "this is someone else's");
		else
			(void)ws_slot_keep(ws_slots_of(j->ws), &j->person, &j->err);
	}
	fault_delay("ws.renewed");
	ws_post(j->ws, &j->task);
}

void ws_session_renew(struct ws *w, struct ws_client *c, const struct ws_frame *f,
                      const char *trace_id)
{
	struct job *j = job_new(w, c, &c->person);
	struct err e = ERR_INIT;

	if (!j)
		return;
	j->job.run = renew;
	j->task.run = renew_done;
	j->ticket = strdup(f->ticket);
	j->token = strdup(f->token);
	snprintf(j->trace_id, sizeof(j->trace_id), "%s", trace_id);
	if (j->ticket && j->token && ws_work(w, &j->job))
		return;
	err_busy(&e, ERR_UNAVAILABLE, 1, "too much to do");
	ws_client_send_error(c, NULL, trace_id, &e);
	job_free(j);
}

/* ---- it is gone -------------------------------------------------------------------------------- */

static void leave(struct app_job *base)
{
	struct job *j = (struct job *)base;

	ws_slot_give(ws_slots_of(j->ws), &j->person);
	job_free(j);
}

void ws_session_leave(struct ws *w, const struct ws_person *p)
{
	struct job *j = job_new(w, NULL, p);

	if (j) {
		j->job.run = leave;
		if (ws_work(w, &j->job))
			return;
		job_free(j);
	}
	ws_slot_forget(ws_slots_of(w), p);
}
