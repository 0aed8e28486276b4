#ifndef LINK_NEWS_H
#define LINK_NEWS_H

#include "app.h"
#include "link/pace.h"

#include <cjson/cJSON.h>

/*
 * What gateways tell, on its way into the database and the event stream. The news of a
 * box are worked off one after the other, on any of the desk's threads; a box that fills up loses
 * what does not fit, and everything is asked for anew once it is empty. An assistant has two: asking
 * for everything may take PACE_WHOLE_MS, and that its channel broke is not told behind that.
 */
#define NEWS_WORKERS 12
#define NEWS_BOX_MAX 256 /* waiting in one box */

enum news_kind {
	NEWS_UP,      /* linked and subscribed */
	NEWS_DOWN,    /* text: why */
	NEWS_TOKEN,   /* text: the device's new token (secret) */
	NEWS_APPROVE, /* text: the request of our device that is to be approved */
	NEWS_CHANNEL, /* text: how its channel is now, as probe_name() says it */
	NEWS_GAP,     /* something was missed */
	NEWS_EVENT,   /* text: its name; with a payload */
};

struct news_desk;
struct news_box;

/* What is worked off, as those see it who do (on_news.c). */
struct news {
	struct news *next;
	enum news_kind kind;
	cJSON *payload;
	char text[512];
};

struct news_of {
	struct app *app;
	const char *id, *user_id; /* of the instance */
	struct pace *pace;
};

/* on_news.c. On a thread of the desk. */
void on_news(const struct news_of *of, struct news *n);

int news_desk_start(struct app *app, struct news_desk **ret, struct err *e);
void news_desk_stop(struct news_desk *d); /* all boxes are closed; NULL is fine */

/* NULL: out of memory. */
struct news_box *news_box_open(struct news_desk *d, const char *id, const char *user_id);
void news_box_close(struct news_box *b); /* what is in it is still worked off; NULL is fine */

/* Takes payload over in any case. False: it was lost, which will be made up for. Never waits. */
bool news_put(struct news_box *b, enum news_kind kind, const char *text, cJSON *payload);

#endif
