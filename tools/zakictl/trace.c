/* zakictl trace: one request's whole story, from the logs of all daemons, in order. */

#include "command.h"

#include "base/json.h"
#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>

#define ID_LEN    32
#define LINES_MAX 100000 /* of one story */

struct settings {
	const char *log_dir;
};

struct entry {
	cJSON *line;
	size_t order; /* in which it was read: lines of one file and time stay as they stand */
};

struct story {
	const char *id;
	struct entry *entries;
	size_t count, room;
};

/* clang-format off */
static const struct conf_key conf[] = {
	{ "LOG_DIR", CONF_STR, offsetof(struct settings, log_dir), NULL, 1, 4096, false,
	  "Directory with the daemons' logs, *.log, one JSON object a line" },
};
/* clang-format on */

OWN_DEFINE(file, FILE *, fclose)

static void own_story(struct story *s)
{
	for (size_t i = 0; i < s->count; i++)
		cJSON_Delete(s->entries[i].line);
	free(s->entries);
}

static int add(struct story *s, cJSON *line, struct err *e)
{
	size_t room = s->room ? 2 * s->room : 64;

	if (s->count == s->room) {
		struct entry *entries = NULL;

		if (room <= LINES_MAX)
			entries = reallocarray(s->entries, room, sizeof(*entries));
		if (!entries)
			return err_set(e, ERR_TOO_LARGE, "the story has too many lines");
		s->entries = entries;
		s->room = room;
	}
	s->entries[s->count] = (struct entry){ line, s->count };
	s->count++;
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
	if (add(s, line, e) < 0)
		return -1;
	(void)TAKE(line);
	return 0;
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

static int is_log(const struct dirent *entry)
{
	const char *end = strrchr(entry->d_name, '.');

	return end && strcmp(end, ".log") == 0;
}

static int dir_read(struct story *s, const char *path, struct err *e)
{
	struct dirent **names = NULL;
	int count = scandir(path, &names, is_log, alphasort), r = 0;

	if (count < 0)
		return err_field(e, "LOG_DIR", "%s: %s", path, strerrordesc_np(errno));
	for (int i = 0; i < count; i++) {
		char file[PATH_MAX];

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (r == 0)
			r = file_read(s, file, e);
		free(names[i]);
	}
	free((void *)names);
	return r;
}

static int by_time(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(json_text(x->line, "timestamp"), json_text(y->line, "timestamp"));

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void print(const cJSON *line)
{
	static const char *const in_front[] = { "timestamp", "level", "service", "message" };
	static const int widths[] = { 24, 5, 16, 0 };
	const cJSON *v;

	for (size_t i = 0; i < COUNT(in_front); i++) {
		const char *text = json_text(line, in_front[i]);

		printf("%-*s ", widths[i], text ? text : "-");
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

	qsort(s.entries, s.count, sizeof(*s.entries), by_time);
	for (size_t i = 0; i < s.count; i++)
		print(s.entries[i].line);
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
