#include "engine/mirror.h"

#include "base/own.h"

#include <fnmatch.h>

/*
 * What no mirror has: files into which the platform or OpenClaw puts secrets. A '*' also stands for
 * '/'; what lies below a folder that matches is left out with it. Who adds a row raises MIRROR_RULES.
 * docs/BACKUPS.md has the table for people.
 */
static const struct {
	const char *pattern, *why;
} rules[] = {
	{ ".openclaw/openclaw.json*",
	  "bot token, gateway token and provider keys; and its copies" },
	{ ".openclaw/state/openclaw.sqlite*", "device key, paired devices' tokens, secret store" },
	{ ".openclaw/*.key", "keys that sign or seal" },
	{ ".openclaw/agents/*/agent/auth*.json*", "provider keys and logins, of earlier versions" },
	{ ".openclaw/agents/*/agent/models.json*", "provider keys, of earlier versions" },
	{ ".openclaw/credentials", "channels' and providers' logins" },
	{ ".openclaw/identity", "device key, of earlier versions" },
	{ ".openclaw/devices", "paired devices' tokens, of earlier versions" },
	{ ".openclaw/secrets*", "secrets" },
	{ ".openclaw/exec-approvals.json*", "token of its socket" },
	{ ".openclaw/*.env", "secrets of the environment" },
	{ ".openclaw/.env*", "secrets of the environment" },
};

bool mirror_is_left_out(const char *path, const char **ret_why)
{
	for (size_t i = 0; i < COUNT(rules); i++) {
		if (fnmatch(rules[i].pattern, path, FNM_LEADING_DIR) == 0) {
			*ret_why = rules[i].why;
			return true;
		}
	}
	return false;
}
