#ifndef WIRE_FORMAT_H
#define WIRE_FORMAT_H

#include "wire/wire.h"

/*
 * The `format` keywords that a schema may use, each with its check (one row a format, format.c):
 *
 *	uuid       lower case, 8-4-4-4-12
 *	email      local@domain with a dot in the domain, no IP address; nothing quoted (RFC 5321); ASCII
 *	           before the @, in the domain what IDNA makes of it
 *	timestamp  RFC 3339 in UTC with milliseconds
 *	line       text on one line: no control characters or line ends, no space at either end
 *	token      visible ASCII without spaces
 *	url        http or https, a host by name or address, maybe a port; no user or password
 *
 * NULL: it fits. Else what is wrong with it, for people ("must be a lower-case UUID").
 */
const char *wire_format_check(enum wire_format f, const char *s);

#endif
