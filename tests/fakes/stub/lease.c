/* OpenClaw's lease on its state directory: one that its holder's end left behind is taken over where
 * the holder was of this host (where it is dead, since we are there), else once it has run out. */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stub.h"

enum { LEASE_S = 300, HOST_MAX = 128, PATH_LEN = 512 };

static const char *path_of(const char *dir, char ret[PATH_LEN])
{
	snprintf(ret, PATH_LEN, "%s/stub-owner", dir);
	return ret;
}

bool lease_take(const char *dir)
{
	char path[PATH_LEN], ours[HOST_MAX] = "", theirs[HOST_MAX] = "";
	struct stat st;
	FILE *f = fopen(path_of(dir, path), "re");
	bool is_fresh;

	gethostname(ours, sizeof(ours) - 1);
	if (f) {
		is_fresh = fstat(fileno(f), &st) == 0 && time(NULL) - st.st_mtime < LEASE_S;
		if (fgets(theirs, sizeof(theirs), f) && is_fresh && strcmp(ours, theirs) != 0) {
			stub_log("Gateway failed to start: Another Gateway owner lease is still "
			         "active for this state directory.");
			fclose(f);
			return false;
		}
		fclose(f);
	}
	f = fopen(path, "we");
	if (!f || fputs(ours, f) < 0 || fclose(f) != 0)
		stub_log("cannot write %s", path);
	return true;
}

void lease_give_back(const char *dir)
{
	char path[PATH_LEN];

	unlink(path_of(dir, path));
}
