/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, and what the tokenizer does with each code point (tables generated from the reference:
 * tools/make_unicode_tables.py). */
#ifndef SQZI_UNICODE_H
#define SQZI_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum {
    SQZI_UNICODE_DROP = 1,        /* clean_text removes it */
    SQZI_UNICODE_SPACE = 2,
    SQZI_UNICODE_PUNCTUATION = 4, /* a word of its own */
    SQZI_UNICODE_CJK = 8,         /* handle_chinese_chars puts spaces around it */
    SQZI_UNICODE_MARK = 16,       /* strip_accents removes it */
    SQZI_UNICODE_DECOMPOSES = 32,
    /* both: no starter, yet kept by strip_accents; does not decompose */
    SQZI_UNICODE_REORDERS = SQZI_UNICODE_MARK | SQZI_UNICODE_DECOMPOSES,
    SQZI_UNICODE_LOWERS = 64,
    SQZI_UNICODE_WORD = 128,      /* \w: no end of a single word */
    SQZI_UNICODE_BLOCK = 128
};

typedef struct sqzi_unicode_class {
    uint32_t first, last;
    uint8_t value;
} sqzi_unicode_class;

extern const uint16_t sqzi_unicode_index[];
extern const uint8_t sqzi_unicode_properties[][SQZI_UNICODE_BLOCK];
extern const uint32_t sqzi_unicode_decomposing[];
extern const size_t sqzi_unicode_n_decomposing;
extern const uint16_t sqzi_unicode_decomposition_starts[];
extern const uint32_t sqzi_unicode_decompositions[];
extern const uint32_t sqzi_unicode_lowering[][2];
extern const size_t sqzi_unicode_n_lowering;
extern const sqzi_unicode_class sqzi_unicode_classes[];
extern const size_t sqzi_unicode_n_classes;

/* code < 0x110000. */
static inline uint8_t sqzi_unicode_property(uint32_t code)
{
    return sqzi_unicode_properties[sqzi_unicode_index[code / SQZI_UNICODE_BLOCK]]
                                  [code % SQZI_UNICODE_BLOCK];
}

enum { SQZI_MAX_DECOMPOSITION = 4, SQZI_REPLACEMENT = 0xFFFD };

/* Canonical decomposition, 1 to SQZI_MAX_DECOMPOSITION code points; returns how many. */
size_t sqzi_unicode_decompose(uint32_t code, uint32_t out[SQZI_MAX_DECOMPOSITION]);
/* The first code point of the lower case; U+0130 alone has a second one, U+0307, which the caller
 * adds. */
uint32_t sqzi_unicode_lower(uint32_t code);
/* Canonical combining class, 0 for a starter. */
uint8_t sqzi_unicode_combining(uint32_t code);

/* The code point that begins at text[0]; n > 0 bytes are there. *length = its bytes. What is
 * ill-formed reads as U+FFFD, one for each maximal part (Unicode, 3.9, "U+FFFD substitution of
 * maximal subparts"). */
uint32_t sqzi_utf8_next(const unsigned char *text, size_t n, size_t *length);
/* Bytes written, 1 to 4. */
size_t sqzi_utf8_put(uint32_t code, unsigned char out[4]);

#endif
