#ifndef TEST_H
#define TEST_H

/* cmocka.h needs these before it, in this order. Every test includes this file and not cmocka.h. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"
#include "base/own.h"

/* A failure of the code under test is shown with what it said. */
#define assert_ok(call, e)                                                                \
	do {                                                                              \
		if ((call) != 0)                                                          \
			fail_msg("%s: %s %s", err_name((e)->code), (e)->field, (e)->msg); \
	} while (0)

#define assert_fails(call, e, want)                                       \
	do {                                                              \
		assert_int_equal((call), -1);                             \
		assert_string_equal(err_name((e)->code), err_name(want)); \
	} while (0)

#endif
