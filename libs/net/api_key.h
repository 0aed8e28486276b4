#ifndef NET_API_KEY_H
#define NET_API_KEY_H

#include <stdbool.h>

/*
 * API keys as auth makes them and the gateway takes them: "zaki_" and 256 random bits as base64url,
 * so that people and scanners of leaked secrets recognise one. What is kept, asked for and compared is
 * the BLAKE2b of it, from which nothing leads back. Pure but for the random bits; any thread.
 */
#define API_KEY_PREFIX    "zaki_"
#define API_KEY_SIZE      49 /* with the zero */
#define API_KEY_HASH_SIZE 65 /* hex of 32 bytes, and the zero */

void api_key_make(char ret[API_KEY_SIZE]);

/* Whether it looks like one: nothing else is asked for. */
bool api_key_is_one(const char *text);

void api_key_hash(const char *key, char ret[API_KEY_HASH_SIZE]);

#endif
