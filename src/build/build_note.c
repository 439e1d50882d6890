/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for the user. */
#include <stdarg.h>
#include <stdio.h>

#include "build/builder.h"

void sqzi_build_note(const sqz_build *b, const char *format, ...)
{
    char text[700];
    va_list values;
    if (!b->options.note) return;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    b->options.note(b->options.user, text);
}
