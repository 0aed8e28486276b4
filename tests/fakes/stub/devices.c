/* The one device that may link: approved once, by device.pair.approve. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ws.h"

/* lock guards all of it. */
static struct {
	pthread_mutex_t lock;
	char asking_device[65], asking_id[33], paired[65];
	bool is_loaded;
} d = { .lock = PTHREAD_MUTEX_INITIALIZER };

void ws_random_hex(char *out, size_t bytes)
{
	unsigned char raw[32];

	if (getrandom(raw, bytes, 0) != (ssize_t)bytes)
		abort();
	for (size_t i = 0; i < bytes; i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

/* The device that was approved outlives a restart, as with the real one. With the lock. */
static void paired_load(struct stub *s)
{
	char path[512];
	FILE *f;

	if (d.is_loaded)
		return;
	d.is_loaded = true;
	snprintf(path, sizeof(path), "%s/stub-device", s->dir);
	f = fopen(path, "re");
	if (f) {
		if (fread(d.paired, 1, 64, f) != 64)
			d.paired[0] = '\0';
		fclose(f);
	}
}

bool ws_approve(struct stub *s, const char *request_id)
{
	char path[512];
	bool is_known;
	FILE *f;

	pthread_mutex_lock(&d.lock);
	is_known = d.asking_id[0] && strcmp(d.asking_id, request_id) == 0;
	if (is_known) {
		memcpy(d.paired, d.asking_device, sizeof(d.paired));
		d.asking_id[0] = '\0';
		snprintf(path, sizeof(path), "%s/stub-device", s->dir);
		f = fopen(path, "we");
		if (f) {
			fwrite(d.paired, 1, 64, f);
			fclose(f);
		}
	}
	pthread_mutex_unlock(&d.lock);
	return is_known;
}

bool ws_is_paired(struct stub *s, const char *device, char request_id[33])
{
	bool is_known;

	pthread_mutex_lock(&d.lock);
	paired_load(s);
	is_known = d.paired[0] && strcmp(d.paired, device) == 0;
	if (!is_known && (!d.asking_id[0] || strcmp(d.asking_device, device) != 0)) {
		snprintf(d.asking_device, sizeof(d.asking_device), "%s", device);
		ws_random_hex(d.asking_id, 16);
	}
	memcpy(request_id, d.asking_id, 33);
	pthread_mutex_unlock(&d.lock);
	return is_known;
}
