#include "svc/conf.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>

#define SECRET_FILE_MAX 4096 /* bytes */
#define FILES_MAX       64

/* What came from files: settings point at it until the process ends. Filled at the start, by one
 * thread. */
static char *kept[FILES_MAX];
static size_t kept_count;

/* A whole small file, its last newline cut off. */
static int file_read(const char *env, const char *path, const char **ret, struct err *e)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[SECRET_FILE_MAX + 1] = "";
	ssize_t len = 0, n = 0;

	if (fd < 0)
		return err_field(e, env, "cannot be read: %s", strerrordesc_np(errno));
	while (len < SECRET_FILE_MAX &&
	       (n = read(fd, text + len, (size_t)(SECRET_FILE_MAX - len))) > 0)
		len += n;
	if (n < 0)
		return err_field(e, env, "cannot be read: %s", strerrordesc_np(errno));
	if (len == SECRET_FILE_MAX)
		return err_field(e, env, "is a file of more than %d bytes", SECRET_FILE_MAX - 1);
	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (strlen(text) != (size_t)len)
		return err_field(e, env, "is a file with a zero byte in it");
	if (kept_count == FILES_MAX || !(kept[kept_count] = strdup(text)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	explicit_bzero(text, sizeof(text));
	*ret = kept[kept_count++];
	return 0;
}

/* The text of a setting. */
static int find(const struct conf_key *k, const char **ret, struct err *e)
{
	const char *text = secure_getenv(k->env), *path = NULL;
	char env_file[80];

	snprintf(env_file, sizeof(env_file), "%s_FILE", k->env);
	if (k->secret)
		path = secure_getenv(env_file);
	if (path && path[0]) {
		if (text && text[0])
			return err_field(e, k->env, "is set, and %s too: one is enough", env_file);
		return file_read(env_file, path, ret, e);
	}
	*ret = text ? text : k->fallback;
	return *ret ? 0 : err_field(e, k->env, "must be set");
}

static int put(const struct conf_key *k, const char *text, void *slot, struct err *e)
{
	long long value;
	char *end;

	if (k->type == CONF_STR) {
		value = (long long)strlen(text);
		if (value < k->min || (k->max > 0 && value > k->max))
			return err_field(e, k->env, "must have %lld to %lld characters", k->min,
			                 k->max > 0 ? k->max : 4096);
		*(const char **)slot = text;
		return 0;
	}

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return err_field(e, k->env, "is not a whole number");
	if (value < k->min || value > k->max)
		return err_field(e, k->env, "must be %lld to %lld", k->min, k->max);
	*(long long *)slot = value;
	return 0;
}

int conf_load(const struct conf_key *keys, size_t count, void *to, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = "";

		if (find(&keys[i], &text, e) < 0 ||
		    put(&keys[i], text, (char *)to + keys[i].offset, e) < 0)
			return -1;
	}
	return 0;
}

void conf_help(const struct conf_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct conf_key *k = &keys[i];

		printf("  %s%s\n      %s%s. ", k->env, k->secret ? "[_FILE]" : "", k->help,
		       k->type == CONF_SEC ? ", in seconds" : "");
		if (k->type != CONF_STR)
			printf("%lld to %lld; ", k->min, k->max);
		if (!k->fallback)
			printf("Required.\n");
		else
			printf("Default: %s\n", k->fallback[0] ? k->fallback : "none");
	}
}
