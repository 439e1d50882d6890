/* SPDX-License-Identifier: Apache-2.0 */
/* A context of one thread for all tests of a file:
 * cmocka_run_group_tests(tests, sqzt_open_context, sqzt_close_context). */
#ifndef SQZT_ONE_CONTEXT_H
#define SQZT_ONE_CONTEXT_H

#include <squeezebert/context.h>

#include "support/test.h"

static sqz_context *context;

static int sqzt_open_context(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    return 0;
}

static int sqzt_close_context(void **state)
{
    (void)state;
    sqz_context_close(context);
    return 0;
}

#endif
