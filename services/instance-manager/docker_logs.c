#include "docker.h"

#define FRAME_HEAD 8 /* stream, three zeroes, length (big endian) */

struct frame {
	const char *text;
	size_t len;
};

/* The frame at *at, which moves behind it. */
static int frame_next(const struct http_res *res, size_t *at, struct frame *ret, struct err *e)
{
	const unsigned char *head = (const unsigned char *)res->body + *at;
	size_t left = res->body_len - *at, len;

	if (left < FRAME_HEAD || head[0] > 2 || head[1] || head[2] || head[3])
		return err_set(e, ERR_UPSTREAM, "the log is not in the engine's frames");
	len = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
	left -= FRAME_HEAD;
	if (len > left)
		return err_set(e, ERR_UPSTREAM, "the log's last frame is cut");
	*ret = (struct frame){ res->body + *at + FRAME_HEAD, len };
	*at += FRAME_HEAD + len;
	return 0;
}

static int frames_len(const struct http_res *res, size_t *ret, struct err *e)
{
	struct frame f = { "", 0 };
	size_t at = 0, len = 0;

	while (at < res->body_len) {
		if (frame_next(res, &at, &f, e) < 0)
			return -1;
		len += f.len;
	}
	*ret = len;
	return 0;
}

int docker_logs_text(const struct http_res *res, size_t max, struct arena *a, const char **ret,
                     struct err *e)
{
	size_t len = 0, skip, at = 0, out = 0;
	struct frame f = { "", 0 };
	const char *line;
	char *text;

	if (frames_len(res, &len, e) < 0)
		return -1;
	skip = len > max ? len - max : 0;
	text = arena_alloc(a, len - skip + 1);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");

	for (size_t left = skip; at < res->body_len && frame_next(res, &at, &f, e) == 0;) {
		size_t cut = left < f.len ? left : f.len;

		left -= cut;
		memcpy(text + out, f.text + cut, f.len - cut);
		out += f.len - cut;
	}
	for (size_t i = 0; i < out; i++)
		if (text[i] == 0)
			text[i] = '?';

	line = skip > 0 ? strchr(text, '\n') : NULL;
	*ret = line && line[1] ? line + 1 : text;
	return 0;
}
