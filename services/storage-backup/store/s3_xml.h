#ifndef S3_XML_H
#define S3_XML_H

#include "base/err.h"

#include <stddef.h>

/* The few answers of S3 that are XML, read by expat. */
#define S3_XML_VALUE_MAX 4096 /* bytes of one value: a key, percent-encoded, and more */

/* Each value of a leaf element: its name and its parent's. False ends the reading. */
typedef bool s3_xml_value(void *ctx, const char *parent, const char *name, const char *value);

/* ERR_UPSTREAM: is no XML, or a value is too long. */
int s3_xml_read(const char *text, size_t len, s3_xml_value *on_value, void *ctx, struct err *e);

#endif
