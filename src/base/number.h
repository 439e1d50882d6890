/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers with a point, whatever the host program's locale writes: setlocale is the host's
 * to call, and printf and strtod follow it. */
#ifndef SQZI_NUMBER_H
#define SQZI_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

enum { SQZI_REAL_BYTES = 40, SQZI_REAL_DIGITS = 200 };

/* `text` [n] as a decimal number, [+-]digits[.digits][e[+-]digits], correctly rounded. false: it is
 * something else, has more than SQZI_REAL_DIGITS bytes, or is too large for a double. */
bool sqzi_parse_real(const char *text, size_t n, double *value);

/* What "%.<digits>g" gives with a point, digits <= 17; returns `to`. */
const char *sqzi_real_text(char to[SQZI_REAL_BYTES], int digits, double value);

/* The same as an argument of a function; lives until the end of the block. */
#define SQZI_REAL(digits, value) sqzi_real_text((char[SQZI_REAL_BYTES]){0}, (digits), (value))

#endif
