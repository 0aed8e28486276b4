#ifndef BOT_H
#define BOT_H

#include "app.h"
#include "telegram.h"

/*
 * A bot token, from what a person pasted to what is kept: asked of Telegram, sealed, and its bot's
 * id turned into the digest that is unique over all tenants.
 */

/* Asks Telegram whose it is. Its names are made fit for one line. */
int bot_ask(const struct app *app, const char *token, struct arena *a, struct telegram_bot *ret,
            struct err *e);

/* What the row of the instance is to have of it. */
struct store_bot;
int bot_seal(const struct app *app, const struct instance *i, const char *token,
             const struct telegram_bot *bot, struct arena *a, struct store_bot *ret, struct err *e);

/* A text from outside on one line: control characters become spaces, none at either end; at most
 * chars_max characters. In place; pure. */
void bot_line(char *text, size_t chars_max);

#endif
