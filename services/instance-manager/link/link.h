#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "app.h"

#include <cjson/cJSON.h>

/*
 * The links to the gateways of the assistants that this process holds (holder.h): one WebSocket
 * each, all on one thread of libwebsockets. A link that breaks is made again, later each time. What
 * a gateway tells goes to the news desk (news.h); what is asked of it comes back to the thread that
 * asked.
 *
 * A gateway is a person's own program. What it sends is bounded in size, number and time, and one
 * that hangs or floods is cut without any other noticing.
 */
#define LINK_OPEN_MS      10000  /* from the connection to the end of the handshake */
#define LINK_RETRY_MIN_MS 500    /* each further try waits about twice as long … */
#define LINK_RETRY_MAX_MS 30000  /* … up to this */
#define LINK_STEADY_MS    5000   /* one that lasted so long begins at the shortest wait again */
#define LINK_FRAMES_PER_S 200    /* that one gateway may send in the long run … */
#define LINK_FRAMES_BURST 2000   /* … and at once */
#define LINK_ASKS_MAX     8      /* requests under way with one gateway */
#define LINK_RESYNC_MS    300000 /* all is asked for anew so often, whatever was heard */
#define LINK_AGAIN_MS     2000   /* or so soon, where something was lost … */
#define LINK_AGAIN_MAX_MS 10000  /* … and so often, where it is each time */
#define LINK_SEND_MAX     ((size_t)1 << 20) /* bytes that wait to be sent to one */

struct links;

/* Where a gateway is, and what opens it. */
struct link_target {
	char id[UUID_SIZE], user_id[UUID_SIZE];
	char address[64];
	int port;
	char gateway_token[512]; /* secret */
	char device_token[512];  /* secret; "": none yet */
};

int links_start(struct app *app, struct links **ret, struct err *e);
void links_stop(struct links *l); /* NULL is fine; those who wait are told UNAVAILABLE */

/* From now on this gateway is to be linked (again, where anything about it changed); is no more. */
void links_add(struct links *l, const struct link_target *t);
void links_remove(struct links *l, const char *instance_id);
/* All of them are this process's until then (monotonic ms), and are cut where it is not put off. */
void links_keep_until(struct links *l, long long mono_ms);
void links_retry(struct links *l, const char *instance_id); /* now, whatever it waits for */

/* Something that it told was lost: all is asked for anew soon, where it is linked. */
void links_resync(struct links *l, const char *instance_id);

/* One request. ERR_UNAVAILABLE: not linked; ERR_TIMEOUT; ERR_LIMIT: too many under way; what
 * frame_error() says. The caller owns *ret, which may be NULL. Any thread but the loop's. */
struct link_ask {
	const char *instance_id;
	const char *method;
	const cJSON *params;
	int timeout_ms;
};
int links_call(struct links *l, const struct link_ask *ask, cJSON **ret, struct err *e);

struct links_figures {
	size_t wanted, up;
};
void links_figures(struct links *l, struct links_figures *ret);

#endif
