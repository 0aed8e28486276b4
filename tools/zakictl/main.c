/* The operator's command line. */

#include "command.h"

#include "base/log.h"
#include "base/own.h"
#include "svc/trust.h"

#include <sodium.h>

#define EXIT_USAGE 2

static const struct command *const commands[] = {
	&command_backups, &command_disaster, &command_instances, &command_migrate,
	&command_status,  &command_tail,     &command_trace,     &command_user,
};

static int help(FILE *to)
{
	fprintf(to, "zakictl: looks after a Zaki suite\n\nUsage: zakictl COMMAND [--help]\n\n");
	for (size_t i = 0; i < COUNT(commands); i++)
		fprintf(to, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
	return to == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

static int help_one(const struct command *c)
{
	printf("zakictl %s: %s\n\nUsage: zakictl %s%s%s\n%s\nEnvironment:\n", c->name, c->summary,
	       c->name, c->usage[0] ? " " : "", c->usage, c->help);
	conf_help(c->conf, c->conf_count);
	conf_help(trust_conf, TRUST_CONF_COUNT);
	return EXIT_SUCCESS;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct trust_conf trust;
	struct err e = ERR_INIT;

	if (conf_load(trust_conf, TRUST_CONF_COUNT, &trust, &e) == 0 &&
	    trust_load(&trust, &e) == 0 && c->run(argc, argv, &e) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "zakictl %s: %s%s%s\n", c->name, e.field, e.field[0] ? " " : "", e.msg);
	return e.code == ERR_INVALID ? EXIT_USAGE : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	trust_begin();
	log_open("zakictl", LOG_ERR);
	if (sodium_init() < 0)
		return EXIT_FAILURE;
	if (argc < 2)
		return help(stderr);
	if (strcmp(argv[1], "--help") == 0)
		return help(stdout);
	for (size_t i = 0; i < COUNT(commands); i++) {
		if (strcmp(commands[i]->name, argv[1]) != 0)
			continue;
		if (argc > 2 && strcmp(argv[2], "--help") == 0)
			return help_one(commands[i]);
		return run(commands[i], argc - 2, argv + 2);
	}
	fprintf(stderr, "zakictl: unknown command '%s'; see zakictl --help\n", argv[1]);
	return EXIT_USAGE;
}
