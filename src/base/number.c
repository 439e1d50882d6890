/* SPDX-License-Identifier: Apache-2.0 */
/* The C library rounds; this puts a point where it wants to see the locale's mark, and the other
 * way round. The mark is taken from what printf writes, which needs no lock as localeconv does, and
 * may have several bytes. */
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARK_BYTES = 8 };

/* Bytes of the mark between the digits of 0.5, of which there is one at least. */
static size_t find_mark(char mark[MARK_BYTES + 1])
{
    char half[MARK_BYTES + 3];
    const int n = snprintf(half, sizeof half, "%.1f", 0.5);
    const size_t bytes = n > 3 && (size_t)n < sizeof half ? (size_t)n - 2 : 1;
    memcpy(mark, half + 1, bytes);
    return bytes;
}

static size_t skip_digits(const char *text, size_t n, size_t at)
{
    while (at < n && text[at] >= '0' && text[at] <= '9') at++;
    return at;
}

/* *point is where the point stands, n where there is none. */
static bool is_decimal(const char *text, size_t n, size_t *point)
{
    size_t at = n && (text[0] == '-' || text[0] == '+');
    const size_t whole = at;
    at = skip_digits(text, n, at);
    size_t digits = at - whole;
    *point = n;
    if (at < n && text[at] == '.') {
        *point = at++;
        digits += skip_digits(text, n, at) - at;
        at = skip_digits(text, n, at);
    }
    if (!digits) return false;
    if (at == n) return true;
    if (text[at] != 'e' && text[at] != 'E') return false;
    at++;
    if (at < n && (text[at] == '-' || text[at] == '+')) at++;
    return at < n && skip_digits(text, n, at) == n;
}

bool sqzi_parse_real(const char *text, size_t n, double *value)
{
    char copy[SQZI_REAL_DIGITS + MARK_BYTES + 1], mark[MARK_BYTES + 1];
    size_t point, used = 0;
    if (n > SQZI_REAL_DIGITS || !is_decimal(text, n, &point)) return false;
    memcpy(copy, text, point);
    used = point;
    if (point < n) {
        const size_t bytes = find_mark(mark);
        memcpy(copy + used, mark, bytes);
        used += bytes;
        memcpy(copy + used, text + point + 1, n - point - 1);
        used += n - point - 1;
    }
    copy[used] = '\0';
    *value = strtod(copy, NULL);
    return isfinite(*value);
}

const char *sqzi_real_text(char to[SQZI_REAL_BYTES], int digits, double value)
{
    char mark[MARK_BYTES + 1];
    const int n = snprintf(to, SQZI_REAL_BYTES, "%.*g", digits, value);
    if (n < 0 || !isfinite(value)) return to;
    const size_t bytes = find_mark(mark);
    mark[bytes] = '\0';
    char *found = strstr(to, mark);
    if (!found) return to;
    memmove(found + 1, found + bytes, strlen(found + bytes) + 1);
    *found = '.';
    return to;
}
