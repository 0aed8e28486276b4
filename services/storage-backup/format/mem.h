#ifndef MEM_H
#define MEM_H

#include "base/own.h"

/* Memory for locals declared OWN(mem), and for what owns itself. free() frees it. All answer NULL
 * when there is none. (clang's analyser does not know the cleanup attribute, and takes each malloc()
 * that it sees in a function for a leak of it.) */
void *mem_new(size_t size); /* zeroed */
void *mem_array(size_t count, size_t size);
char *mem_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
