#include "svc/conf.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>

#define SECRET_FILE_MAX 4096 /* bytes */

/* A whole small file, its last newline cut off. The caller frees *ret. */
static int file_read(const char *env, const char *path, char **ret, struct err *e)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	OWN(mem) char *text = calloc(1, SECRET_FILE_MAX + 1);
	ssize_t len = 0, n;

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (fd < 0)
		return err_field(e, env, "cannot be read: %s", strerrordesc_np(errno));
	while (len < SECRET_FILE_MAX &&
	       (n = read(fd, text + len, (size_t)(SECRET_FILE_MAX - len))) > 0)
		len += n;
	if (len < SECRET_FILE_MAX && n < 0)
		return err_field(e, env, "cannot be read: %s", strerrordesc_np(errno));
	if (len == SECRET_FILE_MAX)
		return err_field(e, env, "is a file of more than %d bytes", SECRET_FILE_MAX - 1);
	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (strlen(text) != (size_t)len)
		return err_field(e, env, "is a file with a zero byte in it");
	*ret = TAKE(text);
	return 0;
}

/* The text of a setting. *ret_read: what came from a file, the caller's to free, or NULL. */
static int find(const struct conf_key *k, const char **ret, char **ret_read, struct err *e)
{
	const char *text = getenv(k->env), *path = NULL;
	char env_file[80];

	snprintf(env_file, sizeof(env_file), "%s_FILE", k->env);
	if (k->secret)
		path = getenv(env_file);
	if (path && path[0]) {
		if (text && text[0])
			return err_field(e, k->env, "is set, and %s too: one is enough", env_file);
		if (file_read(env_file, path, ret_read, e) < 0)
			return -1;
		text = *ret_read;
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
		OWN(mem) char *read = NULL;
		const char *text = NULL;

		if (find(&keys[i], &text, &read, e) < 0 ||
		    put(&keys[i], text, (char *)to + keys[i].offset, e) < 0)
			return -1;
		/* Only text is kept as it stands, until the process ends. */
		if (keys[i].type == CONF_STR)
			(void)TAKE(read);
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
