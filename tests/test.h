#ifndef TEST_H
#define TEST_H

/* cmocka.h needs these before it, in this order. Every test includes this file and not cmocka.h. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
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

#define PATIENCE 30

/*
 * Time-outs so many times as long, of the test and of the daemons that it starts: what surely comes is
 * waited for so long that no machine which stands still for a while makes a failure of it. Before
 * anything is opened; be_patient(1) where a time-out is what the test is about.
 */
static inline void be_patient(int times)
{
	char text[12];

	snprintf(text, sizeof(text), "%d", times);
	setenv("ZAKI_FAULT_PATIENCE", text, 1);
}

#endif
