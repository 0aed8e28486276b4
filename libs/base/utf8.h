#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* UTF-8 as RFC 3629 has it: shortest form only, no surrogates, nothing past U+10FFFF. Any thread. */

/* Bytes of the character at s, of which left bytes may be read; 0 when there is none that is
 * valid. A zero byte is a character of one byte. */
size_t utf8_len(const char *s, size_t left);

/* Copies text into to[size], cut between two characters where it is too long. Each byte that is no
 * UTF-8 becomes '?', so that whatever a client sent can go into a log, a database or a reply. */
void utf8_copy(char *to, size_t size, const char *text);

#endif
