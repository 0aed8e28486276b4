#ifndef GATEWAY_EXPORT_NAME_H
#define GATEWAY_EXPORT_NAME_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/*
 * A file's name in the zip, from its row of export.def: each {field} becomes that field's text. What
 * some system would not take in a name is percent-encoded, a part of more than NAME_PART_MAX bytes is cut
 * and ends in a digest of the whole. So any name that an assistant thinks of can be unpacked, below the
 * folder that it is unpacked into. Pure.
 */
#define NAME_SIZE     4096
#define NAME_PART_MAX 240 /* bytes between two slashes; file systems take 255 */

/* ERR_INVALID: a field is not there, or the name would lead out or be too long. */
int name_make(const char *pattern, const cJSON *fields, char ret[NAME_SIZE], struct err *e);

#endif
