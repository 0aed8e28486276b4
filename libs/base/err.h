#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

/*
 * One error value, carried from where a failure is noticed to where it is answered.
 *
 * A function that can fail takes `struct err *e` last and returns int: 0, or -1 with *e set. On 0
 * it leaves *e alone; on -1 it leaves its out parameters alone. It does not log: the runtime logs a
 * failed call once. struct err owns no memory, so setting one cannot itself fail. Its texts are
 * always UTF-8, whatever they were made of; what does not fit is cut off.
 */

enum err_code {
	ERR_NONE,
#define ERR_CODE(code, name, http, retry, text) ERR_##code,
#include "base/err_codes.def"
#undef ERR_CODE
	ERR_CODE_COUNT
};

struct err {
	enum err_code code;
	char msg[192];     /* for people: which thing, which value; no secrets */
	char field[64];    /* ERR_INVALID: dotted path of the offending field, else "" */
	int retry_after_s; /* seconds after which trying again makes sense; 0: not known */
};

#define ERR_INIT ((struct err){ .code = ERR_NONE })

/* Sets *e and returns -1, so that a failing path reads `return err_set(...)`. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set() with ERR_INVALID, naming the field. */
int err_field(struct err *e, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set(), for a failure that passes: says when to come back. */
int err_busy(struct err *e, enum err_code code, int retry_after_s, const char *msg);

/* Puts "what: " before the message already there. Keeps the code. Returns -1. */
int err_wrap(struct err *e, const char *what);

/* Puts "outer." before the field already there, as decoding returns from a nested object. -1. */
int err_under(struct err *e, const char *outer);

const char *err_name(enum err_code code);      /* "NOT_FOUND" */
enum err_code err_from_name(const char *name); /* an unknown name is ERR_INTERNAL */
int err_http(enum err_code code);              /* 404 */
bool err_is_retryable(enum err_code code);

/* What a client may read: the message, or the code's public text where the detail is ours alone. */
const char *err_public(const struct err *e);

#endif
