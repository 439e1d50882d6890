/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that belong to somebody else: no NUL at the end, NULs allowed inside. */
#ifndef SQZI_SPAN_H
#define SQZI_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct sqzi_span {
    const char *bytes;
    size_t n;
} sqzi_span;

static inline sqzi_span sqzi_span_of(const char *text)
{
    return (sqzi_span){text, strlen(text)};
}

static inline bool sqzi_span_is(sqzi_span span, const char *text)
{
    const size_t n = strlen(text);
    return span.n == n && (n == 0 || memcmp(span.bytes, text, n) == 0);
}

static inline bool sqzi_span_begins(sqzi_span span, const char *prefix)
{
    const size_t n = strlen(prefix);
    return span.n >= n && (n == 0 || memcmp(span.bytes, prefix, n) == 0);
}

#endif
