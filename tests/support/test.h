/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with what it wants included before it, and the asserts of this project. */
#ifndef SQZT_TEST_H
#define SQZT_TEST_H

#ifdef __wasi__
#include "support/plain_cmocka.h"
#else
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#endif
#include <squeezebert/status.h>
#include <string.h>

/* The call succeeded; otherwise its error text fails the test. */
#define sqzt_assert_ok(call, error)                                              \
    do {                                                                         \
        const sqz_status sqzt_status = (call);                                   \
        if (sqzt_status != SQZ_OK) fail_msg("%s: %s", #call, (error)->text); \
    } while (0)

/* The call failed with this code and a text that holds `part`. */
#define sqzt_assert_fails(call, wanted, error, part)                                               \
    do {                                                                                           \
        const sqz_status sqzt_status = (call);                                                     \
        if (sqzt_status != (wanted))                                                               \
            fail_msg("%s: status %d instead of %d: %s", #call, (int)sqzt_status, (int)(wanted),    \
                     (error)->text);                                                               \
        if (!strstr((error)->text, part))                                                          \
            fail_msg("%s: the error says '%s', without '%s'", #call, (error)->text, part);         \
    } while (0)

#endif
