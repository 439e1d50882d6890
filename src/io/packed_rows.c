/* SPDX-License-Identifier: Apache-2.0 */
/* Packing, and expanding a group of 32 at a time: its codes begin at a byte whatever the bits, and
 * are worked on eight to a word, which is as fast on every compiler. */
#include "io/packed_rows.h"

#include <assert.h>
#include <string.h>

static const struct {
    uint8_t multiplier_bits, most;
    int8_t lowest, step;
} forms[] = {[2] = {6, 42, -3, 2}, [3] = {5, 31, -4, 1}, [4] = {4, 15, -8, 1}};

enum { GROUP = SQZI_PACKED_GROUP };

uint32_t sqzi_packed_most(uint32_t bits)
{
    return forms[bits].most;
}

int sqzi_packed_lowest(uint32_t bits)
{
    return forms[bits].lowest;
}

int sqzi_packed_step(uint32_t bits)
{
    return forms[bits].step;
}

/* Bytes of the multipliers: where the codes begin. */
static size_t head_bytes(uint32_t bits, size_t n)
{
    return (sqzi_packed_groups(n) * forms[bits].multiplier_bits + 7) / 8;
}

size_t sqzi_packed_row_bytes(uint32_t bits, size_t n)
{
    return head_bytes(bits, n) + (n * bits + 7) / 8;
}

/* The `bits` bits from bit `at` on, at most 8. */
static uint32_t get(const uint8_t *from, size_t at, uint32_t bits)
{
    const size_t used = at % 8;
    uint32_t word = from[at / 8];
    if (used + bits > 8) word |= (uint32_t)from[at / 8 + 1] << 8;
    return word >> used & ((1u << bits) - 1);
}

static void put(uint8_t *to, size_t at, uint32_t bits, uint32_t value)
{
    for (uint32_t i = 0; i < bits; i++, at++)
        to[at / 8] = (uint8_t)(to[at / 8] | (value >> i & 1u) << at % 8);
}

bool sqzi_packed_row_check(uint32_t bits, size_t n, const uint8_t *row, const char **what)
{
    const uint32_t width = forms[bits].multiplier_bits;
    const size_t groups = sqzi_packed_groups(n), used = groups * width % 8, codes = n * bits % 8;
    for (size_t g = 0; g < groups; g++) {
        const uint32_t m = get(row, g * width, width);
        *what = m ? "a multiplier above the largest" : "a multiplier of 0";
        if (m < 1 || m > forms[bits].most) return false;
    }
    *what = "unused bits that are not 0";
    return !(used && row[head_bytes(bits, n) - 1] >> used) &&
           !(codes && row[sqzi_packed_row_bytes(bits, n) - 1] >> codes);
}

/* Eight codes to eight numbers, in the bytes of one word. A code times step * m is at most 252, so
 * no product reaches into the next byte; what is added to each is lowest * m, modulo 256. */
static inline void expand_eight(uint32_t bits, const uint8_t *from, uint64_t m, int8_t *to)
{
    const uint64_t bytes = UINT64_C(0x0101010101010101), high = bytes << 7;
    const uint64_t pairs = UINT64_C(0x0001000100010001), halves = UINT64_C(0x0000000100000001);
    uint64_t x = from[0] | (uint64_t)from[1] << 8;
    if (bits > 2) x |= (uint64_t)from[2] << 16;
    if (bits > 3) x |= (uint64_t)from[3] << 24;
    x = (x | x << (32 - 4 * bits)) & halves * ((1u << 4 * bits) - 1);
    x = (x | x << (16 - 2 * bits)) & pairs * ((1u << 2 * bits) - 1);
    x = (x | x << (8 - bits)) & bytes * ((1u << bits) - 1);
    x *= m * (uint64_t)forms[bits].step;
    const uint64_t lowest = bytes * ((uint64_t)forms[bits].lowest * m & 255u);
    x = ((x & ~high) + (lowest & ~high)) ^ ((x ^ lowest) & high);
    memcpy(to, &x, sizeof x);
}

/* A group of 4 bits, two numbers a word of 16 bits: compilers make vector code of it. */
static void expand_group_4(const uint8_t *from, uint32_t m, int8_t *to)
{
    const uint16_t by = (uint16_t)m, lowest = (uint16_t)(256 - 8 * m);
    uint16_t words[GROUP / 2];
    for (size_t i = 0; i < GROUP / 2; i++) {
        const uint16_t low = (uint16_t)((from[i] & 15) * by + lowest),
                       high = (uint16_t)((from[i] >> 4) * by + lowest);
        words[i] = (uint16_t)((low & 255) | high << 8);
    }
    memcpy(to, words, sizeof words);
}

/* A group of 32, for each of the bits, which are constants inside. */
static void expand_group(uint32_t bits, const uint8_t *from, uint64_t m, int8_t *to)
{
    if (bits == 4) expand_group_4(from, (uint32_t)m, to);
    else if (bits == 3)
        for (size_t i = 0; i < 4; i++) expand_eight(3, from + 3 * i, m, to + 8 * i);
    else
        for (size_t i = 0; i < 4; i++) expand_eight(2, from + 2 * i, m, to + 8 * i);
}

void sqzi_packed_expand(uint32_t bits, size_t n, const uint8_t *row, size_t begin, size_t count,
                        int8_t *numbers)
{
    const uint32_t width = forms[bits].multiplier_bits;
    const uint8_t *codes = row + head_bytes(bits, n);
    uint8_t from[GROUP / 2];
    int8_t to[GROUP];
    assert(begin % GROUP == 0 && begin + count <= n);
    for (size_t i = begin, left = count; left; i += GROUP, numbers += GROUP) {
        const uint32_t m = get(row, i / GROUP * width, width);
        const uint8_t *group = codes + i / GROUP * (GROUP / 8) * bits;
        if (left >= GROUP) {
            expand_group(bits, group, m, numbers);
            left -= GROUP;
            continue;
        }
        memset(from, 0, sizeof from);
        memcpy(from, group, (left * bits + 7) / 8);
        expand_group(bits, from, m, to);
        memcpy(numbers, to, left);
        left = 0;
    }
}

void sqzi_packed_put(uint32_t bits, size_t n, const int8_t *numbers, const uint8_t *multipliers,
                     uint8_t *row)
{
    const uint32_t width = forms[bits].multiplier_bits;
    uint8_t *codes = row + head_bytes(bits, n);
    memset(row, 0, sqzi_packed_row_bytes(bits, n));
    for (size_t g = 0; g < sqzi_packed_groups(n); g++) put(row, g * width, width, multipliers[g]);
    for (size_t i = 0; i < n; i++) {
        const int level = numbers[i] / multipliers[i / GROUP],
                  code = (level - forms[bits].lowest) / forms[bits].step;
        assert(level * multipliers[i / GROUP] == numbers[i] && code >= 0 && code < 1 << bits);
        put(codes, i * bits, bits, (uint32_t)code);
    }
}
