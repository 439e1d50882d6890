/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of 4, 3 or 2 bits a number, as a model file stores them (doc/format.md "Packed rows"), and
 * the int8 numbers that they mean.
 *
 *     number i of a row = m(i / 32) * level(code i)
 *
 *     bits   level           m           a row of n numbers, in bytes
 *     4      code - 8        1 .. 15     ceil(4 g / 8) + ceil(4 n / 8)
 *     3      code - 4        1 .. 31     ceil(5 g / 8) + ceil(3 n / 8)
 *     2      2 code - 3      1 .. 42     ceil(6 g / 8) + ceil(2 n / 8)       g = ceil(n / 32)
 *
 * First the multipliers m of the row's groups of 32, then the codes, both from the lowest bit of
 * the first byte on; what is left of either's last byte is 0. Every product is within [-126, 124],
 * so nothing is rounded: kernels see an int8 matrix.
 */
#ifndef SQZI_PACKED_ROWS_H
#define SQZI_PACKED_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SQZI_PACKED_GROUP = 32 };

/* The largest multiplier; the levels from the lowest on. */
uint32_t sqzi_packed_most(uint32_t bits);
int sqzi_packed_lowest(uint32_t bits);
int sqzi_packed_step(uint32_t bits);

static inline size_t sqzi_packed_groups(size_t n)
{
    return (n + SQZI_PACKED_GROUP - 1) / SQZI_PACKED_GROUP;
}

size_t sqzi_packed_row_bytes(uint32_t bits, size_t n);

/* Bytes of the longest row that a model file may have: 65,536 numbers of 4 bits. */
enum { SQZI_PACKED_ROW_MOST = (1 << 16) / 2 + (1 << 16) / SQZI_PACKED_GROUP / 2 };

/* Every multiplier is within its range and the unused bits are 0; else *what says which is not. */
bool sqzi_packed_row_check(uint32_t bits, size_t n, const uint8_t *row, const char **what);

/* Numbers begin .. begin + count of a row of n, begin a multiple of 32. Of a row that was not
 * checked: some numbers. */
void sqzi_packed_expand(uint32_t bits, size_t n, const uint8_t *row, size_t begin, size_t count,
                        int8_t *numbers);

/* A row of n such numbers and the multipliers [ceil(n / 32)] that they were made with, packed. */
void sqzi_packed_put(uint32_t bits, size_t n, const int8_t *numbers, const uint8_t *multipliers,
                     uint8_t *row);

#endif
