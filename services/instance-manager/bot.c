#include "bot.h"

#include "assistant_config.h"

#define NAME_MAX_CHARS 255

void bot_line(char *text, size_t chars_max)
{
	size_t from = 0, len, chars = 0, at = 0;

	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < ' ' || *p == 0x7f)
			*p = ' ';
	from = strspn(text, " ");
	len = strlen(text + from);
	memmove(text, text + from, len + 1);
	/* Cut between characters, never within one. */
	for (; text[at]; at++) {
		chars += ((unsigned char)text[at] & 0xc0) != 0x80;
		if (chars > chars_max)
			break;
	}
	while (at > 0 && text[at - 1] == ' ')
		at--;
	text[at] = '\0';
}

int bot_ask(const struct app *app, const char *token, struct arena *a, struct telegram_bot *ret,
            struct err *e)
{
	struct telegram_bot bot;
	long long bot_id = 0;

	if (telegram_token_check(token, &bot_id, e) < 0 ||
	    telegram_get_me(app->telegram, token, a, &bot, e) < 0)
		return -1;
	bot_line(bot.username, NAME_MAX_CHARS);
	bot_line(bot.name, NAME_MAX_CHARS);
	if (!bot.username[0])
		return err_set(e, ERR_UPSTREAM, "Telegram says no name of this bot");
	*ret = bot;
	return 0;
}

int bot_seal(const struct app *app, const struct instance *i, const char *token,
             const struct telegram_bot *bot, struct arena *a, struct store_bot *ret, struct err *e)
{
	const struct vault_place where = { i->user_id, i->id, ASSISTANT_BOT_TOKEN };
	char key[VAULT_MAC_SIZE];

	if (vault_seal(app->vault, &where, token, a, &ret->token_encrypted, e) < 0)
		return -1;
	vault_bot_mac(app->vault, bot->id, key);
	ret->username = arena_strdup(a, bot->username);
	ret->key = arena_strdup(a, key);
	return ret->username && ret->key ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
