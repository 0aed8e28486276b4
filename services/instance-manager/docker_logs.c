#include "docker.h"

#define FRAME_HEAD 8 /* stream, three zeroes, length (big endian) */

static size_t frame_len(const unsigned char *head)
{
	return (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
}

/* Moves the frames' contents together, in place. */
static int frames_join(unsigned char *data, size_t len, size_t *ret_len, struct err *e)
{
	size_t at = 0, out = 0, n;

	while (at < len) {
		if (len - at < FRAME_HEAD || data[at] > 2 || data[at + 1] || data[at + 2] ||
		    data[at + 3])
			return err_set(e, ERR_UPSTREAM, "the log is not in the engine's frames");
		n = frame_len(data + at);
		at += FRAME_HEAD;
		if (n > len - at)
			return err_set(e, ERR_UPSTREAM, "the log's last frame is cut");
		memmove(data + out, data + at, n);
		at += n;
		out += n;
	}
	*ret_len = out;
	return 0;
}

int docker_logs_text(const struct http_res *res, size_t max, struct arena *a, const char **ret,
                     struct err *e)
{
	OWN(mem) unsigned char *data = malloc(res->body_len + 1);
	const char *from, *line;
	size_t len;
	char *text;

	if (!data)
		return err_set(e, ERR_INTERNAL, "out of memory");
	memcpy(data, res->body, res->body_len);
	if (frames_join(data, res->body_len, &len, e) < 0)
		return -1;

	from = (const char *)data;
	if (len > max) {
		from += len - max;
		line = memchr(from, '\n', max);
		if (line && line + 1 < from + max)
			from = line + 1;
		len -= (size_t)(from - (const char *)data);
	}
	text = arena_strndup(a, from, len);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < len; i++)
		if (text[i] == 0)
			text[i] = '?';
	*ret = text;
	return 0;
}
