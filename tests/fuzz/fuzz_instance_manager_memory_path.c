/* A workspace file's path, and a cursor: what is taken stays below the workspace. */

#include "memory/path.h"

#include "base/own.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);
	char path[MEMORY_PATH_MAX + 1], again[MEMORY_CURSOR_MAX];
	struct err e = ERR_INIT;

	memcpy(text, data, size);
	if (memory_path_check(text, &e) == 0) {
		assert(text[0] != '/' && text[0] != '.' && !strstr(text, "/.") &&
		       !strstr(text, "//"));
		assert(text[strlen(text) - 1] != '/' && strlen(text) <= MEMORY_PATH_MAX);
		assert(memory_path_compare(text, text) == 0 && !memory_path_is_above(text, text));
		memory_cursor_text(text, again);
		assert(memory_cursor_parse(again, path, &e) == 0 && strcmp(path, text) == 0);
	}
	if (memory_cursor_parse(text, path, &e) == 0)
		assert(strcmp(memory_cursor_text(path, again), text) == 0);
	return 0;
}
