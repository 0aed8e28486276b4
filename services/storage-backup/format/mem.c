#include "format/mem.h"

#include <stdarg.h>

void *mem_new(size_t size)
{
	return calloc(1, size ? size : 1);
}

void *mem_array(size_t count, size_t size)
{
	return calloc(count ? count : 1, size);
}

char *mem_text(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	return len < 0 ? NULL : text;
}
