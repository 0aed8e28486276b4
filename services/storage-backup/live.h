#ifndef LIVE_H
#define LIVE_H

#include "base/err.h"

#include <stddef.h>

/* A text file of an assistant as it is now, below its directory: no link on the way is followed. 1:
 * the caller frees *ret; 0: it is no text (too long, no plain file, no UTF-8); where there is no such
 * file, it is the empty text. */
int live_text(const char *dir, const char *path, size_t max, char **ret, struct err *e);

#endif
