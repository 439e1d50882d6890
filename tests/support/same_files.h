/* SPDX-License-Identifier: Apache-2.0 */
/* Two files hold the same bytes. */
#ifndef SQZT_SAME_FILES_H
#define SQZT_SAME_FILES_H

#include <stdio.h>

#include "support/test.h"

static inline void sqzt_assert_same_files(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    assert_true(x && y);
    size_t at = 0;
    for (int c = 0, d = 0; c != EOF; at++) {
        c = getc(x);
        d = getc(y);
        if (c != d) fail_msg("%s and %s differ at byte %zu", a, b, at);
    }
    fclose(x);
    fclose(y);
}

#endif
