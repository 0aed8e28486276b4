/* zakictl trace: one request's whole story, from the logs of all daemons, in order. */

#include "command.h"

#include "base/json.h"
#include "base/own.h"

#include <dirent.h>
#include <errno.h>

#define ID_LEN    32
#define LINES_MAX 100000 /* of one story */

struct settings {
	const char *log_dir;
};

struct story {
	const char *id;
	cJSON **lines;
	size_t count, room;
};

/* clang-format off */
static const struct conf_key conf[] = {
	{ "LOG_DIR", CONF_STR, offsetof(struct settings, log_dir), NULL, 1, 4096, false,
	  "Directory with the daemons' logs, *.log, one JSON object a line" },
};
/* clang-format on */

OWN_DEFINE(file, FILE *, fclose)
OWN_DEFINE(dir, DIR *, closedir)

static void own_story(struct story *s)
{
	for (size_t i = 0; i < s->count; i++)
		cJSON_Delete(s->lines[i]);
	free((void *)s->lines);
}

static int add(struct story *s, cJSON *line, struct err *e)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		cJSON **lines = room > LINES_MAX
		                        ? NULL
		                        : reallocarray((void *)s->lines, room, sizeof(*lines));

		if (!lines)
			return err_set(e, ERR_TOO_LARGE, "the story has too many lines");
		s->lines = lines;
		s->room = room;
	}
	s->lines[s->count++] = line;
	return 0;
}

/* A line that is no JSON is some library's own word or was cut by a crash: no story has it. */
static int line_read(struct story *s, const char *text, size_t len, struct err *e)
{
	OWN(json) cJSON *line = NULL;
	struct err ignored = ERR_INIT;
	const char *id;

	if (!strstr(text, s->id) || json_parse(text, len, &line, &ignored) < 0)
		return 0;
	id = json_text(line, "trace_id");
	if (!id || strcmp(id, s->id) != 0 || !json_text(line, "timestamp"))
		return 0;
	return add(s, TAKE(line), e);
}

static int file_read(struct story *s, const char *path, struct err *e)
{
	OWN(file) FILE *f = fopen(path, "re");
	OWN(mem) char *text = NULL;
	size_t room = 0;
	ssize_t len;

	if (!f)
		return err_set(e, ERR_INTERNAL, "%s: %s", path, strerrordesc_np(errno));
	while ((len = getline(&text, &room, f)) > 0)
		if (line_read(s, text, (size_t)len, e) < 0)
			return -1;
	return 0;
}

static int dir_read(struct story *s, const char *path, struct err *e)
{
	OWN(dir) DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return err_field(e, "LOG_DIR", "%s: %s", path, strerrordesc_np(errno));
	while ((entry = readdir(dir))) {
		const char *end = strrchr(entry->d_name, '.');
		char file[4096];

		if (!end || strcmp(end, ".log") != 0)
			continue;
		if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= (int)sizeof(file))
			return err_field(e, "LOG_DIR", "is too long a path");
		if (file_read(s, file, e) < 0)
			return -1;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const cJSON *const *x = a, *const *y = b;

	return strcmp(json_text(*x, "timestamp"), json_text(*y, "timestamp"));
}

static void print(const cJSON *line)
{
	static const char *const in_front[] = { "timestamp", "level", "service", "message" };
	const cJSON *v;

	for (size_t i = 0; i < COUNT(in_front); i++) {
		const char *text = json_text(line, in_front[i]);

		printf(i == 2 ? "%-16s " : i == 1 ? "%-5s " : "%s ", text ? text : "-");
	}
	cJSON_ArrayForEach(v, line) {
		OWN(json_text) char *text = NULL;
		bool is_shown = strcmp(v->string, "trace_id") == 0;

		for (size_t i = 0; i < COUNT(in_front); i++)
			is_shown |= strcmp(v->string, in_front[i]) == 0;
		/* Quoted as JSON: what a client sent must not reach the terminal raw. */
		text = is_shown ? NULL : cJSON_PrintUnformatted(v);
		if (text)
			printf(" %s=%s", v->string, text);
	}
	putchar('\n');
}

static int run(int argc, char **argv, struct err *e)
{
	OWN(story) struct story s = { 0 };
	struct settings set;

	if (argc != 1 || strlen(argv[0]) != ID_LEN || strspn(argv[0], "0123456789abcdef") != ID_LEN)
		return err_field(e, "", "needs one trace id: %d hex digits, as in X-Request-Id",
		                 ID_LEN);
	s.id = argv[0];
	if (conf_load(conf, COUNT(conf), &set, e) < 0 || dir_read(&s, set.log_dir, e) < 0)
		return -1;
	if (s.count == 0)
		return err_set(e, ERR_NOT_FOUND, "no line with this trace id in %s", set.log_dir);

	qsort((void *)s.lines, s.count, sizeof(cJSON *), by_time);
	for (size_t i = 0; i < s.count; i++)
		print(s.lines[i]);
	return 0;
}

const struct command command_trace = {
	.name = "trace",
	.usage = "ID",
	.summary = "prints what all daemons logged about one request, in order",
	.help = "ID is the answer's X-Request-Id.\n",
	.conf = conf,
	.conf_count = COUNT(conf),
	.run = run,
};
