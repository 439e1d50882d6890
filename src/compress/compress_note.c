/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for a user. */
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "compress/compressor.h"

void sqzi_compress_note(const sqzi_compressor *c, const char *format, ...)
{
    char text[480];
    va_list arguments;
    if (!c->options.note) return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    c->options.note(c->options.user, text);
}
