/* Listings as a store may give them: no XML, whatever values in it; and any value of one. A key that
 * comes out of it is the same when it has gone through a request's percent-encoding and back. */

#include "store/key.h"
#include "store/s3_percent.h"
#include "store/s3_xml.h"
#include "store/storage.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_value(void *ctx, const char *parent, const char *name, const char *value)
{
	char key[S3_XML_VALUE_MAX + 1], sent[3 * STORAGE_KEY_MAX + 4];

	(void)ctx;
	assert(strlen(parent) + strlen(name) + strlen(value) < 8192);
	snprintf(key, sizeof(key), "%s", value);
	if (!s3_decode(key))
		return true;
	assert(strlen(key) <= strlen(value));
	if (!key_is_valid(key, STORAGE_KEY_MAX))
		return true;
	assert(key_is_prefix(key, STORAGE_KEY_MAX));
	s3_encode_path(key, sent, sizeof(sent));
	assert(s3_decode(sent) && strcmp(sent, key) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	char value[S3_XML_VALUE_MAX + 1];

	snprintf(value, sizeof(value), "%.*s", (int)size, (const char *)data);
	(void)on_value(NULL, "Contents", "Key", value);
	(void)s3_xml_read((const char *)data, size, on_value, NULL, &e);
	return 0;
}
