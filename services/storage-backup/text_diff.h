#ifndef TEXT_DIFF_H
#define TEXT_DIFF_H

#include "base/err.h"

#include <stddef.h>

/*
 * The difference of two texts in lines, in the unified format (three lines of context) without its
 * two heading lines: what `before` has and `after` has not begins with '-', the reverse with '+'. Equal
 * texts give "". Pure; time and memory are bounded: ERR_TOO_LARGE where more than TEXT_DIFF_LINES
 * lines lie between the equal beginning and the equal end of either. The caller frees *ret.
 */
#define TEXT_DIFF_LINES 2000

int text_diff(const char *before, const char *after, char **ret, struct err *e);

#endif
