#ifndef LOGS_MASK_H
#define LOGS_MASK_H

#include <stddef.h>

/*
 * Puts asterisks over secrets in a text, in place: those that are given, and whatever looks like a
 * bot token, an API key ("sk-…") or what follows "Bearer " — also where it is another's. Pure.
 */
#define MASK_SECRET_MIN 6 /* characters; shorter ones would cover ordinary words */

void mask_text(char *text, const char *const *secrets, size_t count);

/* Control characters, and the escape sequences that colour a terminal, become nothing; a tab stays.
 * In place. */
void mask_controls(char *text);

#endif
