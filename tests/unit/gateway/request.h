#ifndef TEST_REQUEST_H
#define TEST_REQUEST_H

#include <civetweb.h>
#include <string.h>

/*
 * A request's header as civetweb 1.15 leaves it to us: zeros where texts end, in the one buffer that
 * they all lie in, and no word about lines that it did not understand. buf is cut up.
 */
static inline void request_cut(char *buf, struct mg_request_info *ret)
{
	char *s = strchr(buf, ' '), *end = buf + strlen(buf) - 1;

	memset(ret, 0, sizeof(*ret));
	*end = '\0';
	ret->request_method = buf;
	*s++ = '\0';
	ret->request_uri = s;
	s = strchr(s, ' ');
	*s++ = '\0';
	ret->http_version = s + strlen("HTTP/");
	s += strcspn(s, "\r\n");
	while (*s == '\r' || *s == '\n' || *s == ' ')
		*s++ = '\0';
	while (ret->num_headers < MG_MAX_HEADERS) {
		char *name = s;

		while (*s > ' ' && *s < 127 && *s != ':')
			s++;
		if (s == name)
			return;
		while (*s == ' ')
			*s++ = '\0';
		*s++ = '\0';
		s += strspn(s, " \t");
		ret->http_headers[ret->num_headers].name = name;
		ret->http_headers[ret->num_headers++].value = s;
		s += strcspn(s, "\r\n");
		if (*s == '\r')
			*s++ = '\0';
		if (!*s)
			return;
		*s++ = '\0';
		if (*s == '\r' || *s == '\n')
			return;
	}
}

#endif
