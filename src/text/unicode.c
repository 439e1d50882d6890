/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in the generated tables, and UTF-8. */
#include "text/unicode.h"

#include <stdbool.h>

static size_t decompose_hangul(uint32_t code, uint32_t *out)
{
    enum {
        BASE = 0xAC00,
        LEADING = 0x1100,
        VOWEL = 0x1161,
        TRAILING = 0x11A7,
        VOWELS = 21,
        TRAILINGS = 28
    };
    const uint32_t s = code - BASE, trailing = s % TRAILINGS;
    out[0] = LEADING + s / (VOWELS * TRAILINGS);
    out[1] = VOWEL + s % (VOWELS * TRAILINGS) / TRAILINGS;
    out[2] = TRAILING + trailing;
    return trailing ? 3 : 2;
}

size_t sqzi_unicode_decompose(uint32_t code, uint32_t out[SQZI_MAX_DECOMPOSITION])
{
    out[0] = code;
    if ((sqzi_unicode_property(code) & SQZI_UNICODE_REORDERS) != SQZI_UNICODE_DECOMPOSES) return 1;
    if (code >= 0xAC00 && code < 0xD7A4) return decompose_hangul(code, out);
    size_t low = 0, high = sqzi_unicode_n_decomposing;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (sqzi_unicode_decomposing[middle] <= code) low = middle;
        else high = middle;
    }
    const size_t start = sqzi_unicode_decomposition_starts[low],
                 n = sqzi_unicode_decomposition_starts[low + 1] - start;
    for (size_t i = 0; i < n; i++) out[i] = sqzi_unicode_decompositions[start + i];
    return n;
}

uint32_t sqzi_unicode_lower(uint32_t code)
{
    if (!(sqzi_unicode_property(code) & SQZI_UNICODE_LOWERS)) return code;
    size_t low = 0, high = sqzi_unicode_n_lowering;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (sqzi_unicode_lowering[middle][0] <= code) low = middle;
        else high = middle;
    }
    return sqzi_unicode_lowering[low][1];
}

uint8_t sqzi_unicode_combining(uint32_t code)
{
    size_t low = 0, high = sqzi_unicode_n_classes;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const sqzi_unicode_class *run = &sqzi_unicode_classes[middle];
        if (code < run->first) high = middle;
        else if (code > run->last) low = middle + 1;
        else return run->value;
    }
    return 0;
}

static bool continues(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

uint32_t sqzi_utf8_next(const unsigned char *text, size_t n, size_t *length)
{
    const unsigned char b = text[0];
    *length = 1;
    if (b < 0x80) return b;
    const size_t needed = b >= 0xC2 && b < 0xE0   ? 2
                          : b >= 0xE0 && b < 0xF0 ? 3
                          : b >= 0xF0 && b < 0xF5 ? 4
                                                  : 0;
    if (!needed) return SQZI_REPLACEMENT;
    /* The second byte's range keeps out overlong forms, surrogates and what lies past U+10FFFF. */
    const unsigned char least = b == 0xE0   ? 0xA0
                                : b == 0xF0 ? 0x90
                                            : 0x80,
                        most = b == 0xED   ? 0x9F
                               : b == 0xF4 ? 0x8F
                                           : 0xBF;
    if (n < 2 || text[1] < least || text[1] > most) return SQZI_REPLACEMENT;
    uint32_t code = (b & (0xFFu >> (needed + 1))) << 6 | (text[1] & 0x3Fu);
    for (*length = 2; *length < needed; ++*length) {
        if (*length >= n || !continues(text[*length])) return SQZI_REPLACEMENT;
        code = code << 6 | (text[*length] & 0x3Fu);
    }
    return code;
}

size_t sqzi_utf8_put(uint32_t code, unsigned char out[4])
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    const size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6) out[i] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)((0xF00u >> n) | code);
    return n;
}
