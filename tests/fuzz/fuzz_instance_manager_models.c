/* What an LLM provider answers when it is asked for its models: any server's text. */

#include "provider/ask.h"

#include "base/own.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define MEMORY ((size_t)8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);
	OWN(arena) struct arena a = { .limit = MEMORY };
	struct provider_models models = { 0 };

	memcpy(text, data, size);
	if (!provider_models_read("fake", text, size, &a, &models))
		return 0;
	assert(models.count <= PROVIDER_MODELS_MAX);
	for (size_t i = 0; i < models.count; i++) {
		assert(strncmp(models.ids[i], "fake/", 5) == 0);
		assert(strlen(models.ids[i]) <= PROVIDER_MODEL_MAX);
		assert(i == 0 || strcmp(models.ids[i - 1], models.ids[i]) < 0);
	}
	return 0;
}
