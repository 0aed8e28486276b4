#ifndef LINK_CHAT_NEWS_H
#define LINK_CHAT_NEWS_H

#include "link/news.h"

/* A piece or the end of a reply, as events for the person's sockets. Pieces go to the stream at
 * once and one that is lost is not missed: the end has the whole text and is never lost. */
int chat_news(const struct news_of *of, struct news *n, struct err *e);

/* The text of a message's content, which is a text or a list of parts; cut at size. */
#include <cjson/cJSON.h>
void chat_text(const cJSON *message, char *out, size_t size);

#endif
