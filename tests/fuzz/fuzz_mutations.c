/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of an input: bytes, numbers in binary and in text, ranges, tokens of the format.
 * Everything comes from the random numbers given. */
#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"

/* one input of 32 is changed anywhere, the others in their structure */
enum { MOST_CHANGES = 4, ANYWHERE = 32, DEEP = 3000 };

typedef struct input {
    sqzt_random *random;
    const sqzt_fuzz_format *format;
    uint8_t *data;
    size_t n;
    const uint8_t *other;
    size_t n_other;
    bool structural;
} input;

static size_t below(input *in, size_t n)
{
    return n ? (size_t)sqzt_below(in->random, n) : 0;
}

/* A place: in the structure, but for the few inputs that are changed anywhere. */
static size_t place(input *in)
{
    sqzt_range ranges[SQZT_RANGES];
    const size_t n = in->format->structure ? in->format->structure(in->data, in->n, ranges) : 0;
    size_t inside = 0;
    for (size_t i = 0; i < n; i++) inside += ranges[i].end - ranges[i].begin;
    if (!in->structural || !inside) return below(in, in->n);
    size_t at = below(in, inside);
    for (size_t i = 0; i < n; i++) {
        if (at < ranges[i].end - ranges[i].begin) return ranges[i].begin + at;
        at -= ranges[i].end - ranges[i].begin;
    }
    return 0;
}

/* `removed` bytes at `at` become the n bytes of `with`. Lengths are mended three times of four. */
static void replace(input *in, size_t at, size_t removed, const void *with, size_t n)
{
    uint8_t copy[2 * DEEP];
    if (at > in->n) at = in->n;
    if (removed > in->n - at) removed = in->n - at;
    if (n > sizeof copy) n = sizeof copy;
    if (in->n - removed + n > SQZT_INPUT_BYTES) return;
    memcpy(copy, with, n);
    memmove(in->data + at + n, in->data + at + removed, in->n - at - removed);
    memcpy(in->data + at, copy, n);
    in->n = in->n - removed + n;
    if (n != removed && in->format->resize && below(in, 4))
        in->format->resize(in->data, in->n, at, (int64_t)n - (int64_t)removed);
}

static uint64_t odd_number(input *in)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       2,
                                       3,
                                       7,
                                       8,
                                       63,
                                       64,
                                       127,
                                       128,
                                       255,
                                       256,
                                       1000,
                                       32767,
                                       32768,
                                       65535,
                                       65536,
                                       1u << 24,
                                       INT32_MAX,
                                       UINT64_C(1) << 31,
                                       UINT32_MAX,
                                       UINT64_C(1) << 32,
                                       UINT64_C(1) << 60,
                                       UINT64_C(1) << 61,
                                       INT64_MAX,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX - 7,
                                       UINT64_MAX};
    const size_t n = sizeof numbers / sizeof *numbers, pick = below(in, n + 4);
    if (pick < n) return numbers[pick];
    return pick == n       ? in->n
           : pick == n + 1 ? in->n - 1
           : pick == n + 2 ? in->n + 1
                           : sqzt_bits(in->random);
}

static void change_bytes(input *in, size_t at)
{
    uint8_t byte = in->data[at];
    if (below(in, 2)) byte ^= (uint8_t)(1u << below(in, 8));
    else byte = (uint8_t)sqzt_bits(in->random);
    replace(in, at, 1, &byte, 1);
}

static void change_number(input *in, size_t at)
{
    static const size_t widths[] = {1, 2, 4, 8};
    const size_t width = widths[below(in, 4)];
    uint8_t bytes[8];
    uint64_t value = odd_number(in);
    if (at + width > in->n) return;
    if (below(in, 3) == 0) { /* a little more or less than what stands there */
        value = 0;
        for (size_t i = 0; i < width; i++) value |= (uint64_t)in->data[at + i] << (8 * i);
        value += below(in, 33) - 16;
    }
    for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
    replace(in, at, width, bytes, width);
}

/* The number written out at or behind `at`. */
static void change_decimal(input *in, size_t at)
{
    char text[32];
    size_t end;
    while (at < in->n && (in->data[at] < '0' || in->data[at] > '9')) at++;
    for (end = at; end < in->n && in->data[end] >= '0' && in->data[end] <= '9';) end++;
    const int n = snprintf(text, sizeof text, "%s%llu%s", below(in, 8) ? "" : "-",
                           (unsigned long long)odd_number(in), below(in, 8) ? "" : ".5");
    if (end > at) replace(in, at, end - at, text, (size_t)n);
}

static void change_range(input *in, size_t at, bool structure)
{
    const size_t n = 1 + below(in, below(in, 4) ? 16 : 512);
    const size_t from = structure ? place(in) : below(in, in->n),
                 room = in->n - from < n ? in->n - from : n;
    switch (below(in, 4)) {
    case 0: replace(in, at, n, "", 0); break;
    case 1: replace(in, at, 0, in->data + from, room); break;
    case 2: replace(in, at, room, in->data + from, room); break;
    default:
        if (in->n_other) {
            const size_t begin = below(in, in->n_other),
                         most = in->n_other - begin < n ? in->n_other - begin : n;
            replace(in, at, below(in, 2) ? most : 0, in->other + begin, most);
        }
    }
}

static void put_token(input *in, size_t at)
{
    if (!in->format->n_tokens) return;
    const sqzt_token *token = &in->format->tokens[below(in, in->format->n_tokens)];
    replace(in, at, below(in, 2) ? token->n : 0, token->bytes, token->n);
}

/* Many of one byte: depth, or a long text. */
static void put_many(input *in, size_t at)
{
    uint8_t bytes[DEEP];
    const size_t n = 1 + below(in, DEEP);
    memset(bytes, below(in, 2) ? in->data[at] : (uint8_t)"[({\"(a \x80"[below(in, 8)], n);
    replace(in, at, 0, bytes, n);
}

static void change(input *in)
{
    const size_t at = in->n ? place(in) : 0, kind = below(in, 32);
    if (!in->n) put_token(in, 0);
    else if (kind < 7) change_bytes(in, at);
    else if (kind < 13) change_number(in, at);
    else if (kind < 18) change_decimal(in, at);
    else if (kind < 24) change_range(in, at, true);
    else if (kind < 30) put_token(in, at);
    else if (kind < 31) put_many(in, at);
    else in->n = at; /* cut short */
}

size_t sqzt_mutate(sqzt_random *random, const sqzt_fuzz_format *format, uint8_t *data, size_t n,
                   const uint8_t *other, size_t n_other, bool *structural)
{
    input in = {random, format, data, n, other, n_other, true};
    in.structural = !format->structure || below(&in, ANYWHERE) > 0;
    const size_t changes = 1 + below(&in, MOST_CHANGES);
    for (size_t i = 0; i < changes; i++) change(&in);
    *structural = in.structural;
    return in.n;
}
