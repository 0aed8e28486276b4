#include "bus/delivery.h"

#include <stdio.h>
#include <string.h>

#define OVER     " over"
#define HEAD_MAX (2 * DELIVERY_WORD_SIZE + sizeof(OVER))

size_t delivery_size(const struct delivery *d)
{
	return HEAD_MAX + d->frame_len + 1;
}

size_t delivery_write(const struct delivery *d, char *to)
{
	size_t len = (size_t)snprintf(to, HEAD_MAX, "%s %s%s\n", d->position, d->topic,
	                              d->is_over ? OVER : "");

	memcpy(to + len, d->frame, d->frame_len);
	to[len + d->frame_len] = '\n';
	return len + d->frame_len + 1;
}

/* The characters between, which must be printable and no spaces. */
static bool read_word(const char *from, const char *to, char ret[DELIVERY_WORD_SIZE])
{
	size_t len = (size_t)(to - from);

	if (len == 0 || len >= DELIVERY_WORD_SIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		if (from[i] <= ' ' || from[i] > '~')
			return false;
	memcpy(ret, from, len);
	ret[len] = '\0';
	return true;
}

static bool read_head(const char *at, const char *end, struct delivery *ret)
{
	const size_t over = strlen(OVER);
	const char *space = memchr(at, ' ', (size_t)(end - at));

	ret->is_over = (size_t)(end - at) > over && memcmp(end - over, OVER, over) == 0;
	if (ret->is_over)
		end -= over;
	return space && space < end && read_word(at, space, ret->position) &&
	       read_word(space + 1, end, ret->topic);
}

int delivery_read(const char **at, const char *end, struct delivery *ret, struct err *e)
{
	const char *line = memchr(*at, '\n', (size_t)(end - *at));
	const char *stop = line ? memchr(line + 1, '\n', (size_t)(end - line - 1)) : NULL;

	if (!stop || stop == line + 1)
		return err_field(e, "", "is not two lines for each event");
	if (!read_head(*at, line, ret))
		return err_field(e, "", "has a head that is not a position and a topic");
	ret->frame = line + 1;
	ret->frame_len = (size_t)(stop - line - 1);
	*at = stop + 1;
	return 0;
}
