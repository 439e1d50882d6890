/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a text (scan.c), as its parts share it. */
#ifndef SQZI_SCAN_H
#define SQZI_SCAN_H

#include "text/tokenizer.h"

typedef struct sqzi_scan {
    const sqz_tokenizer *tokenizer;
    sqz_encoding *encoding;
    const unsigned char *text;
    uint8_t sequence;
    bool literal;            /* special tokens are text */
    bool whole;              /* normalising a stretch whole: nothing is cut into words */
    uint32_t code;           /* index of the code point at the place reached */
    uint32_t words;          /* so far */
    uint32_t n_pieces, keep; /* so far; how many of them are kept */
    /* the word being read */
    unsigned char *word;
    sqzi_origin *origins;
    uint64_t *hashes;        /* [n + 1] */
    size_t n, capacity;
    uint32_t n_codes;
    bool plain;              /* ASCII alone: byte i is from first.begin + i */
    sqzi_origin first, last; /* of the word's first and latest code point */
    size_t run;              /* where the marks behind the last starter begin */
    sqz_error *error;
} sqzi_scan;

/* Keep parts of one code point for the run of marks at hand; `leads`: the first of them is the code
 * point's first. */
sqz_status sqzi_scan_hold(sqzi_scan *s, const uint32_t *parts, size_t n, bool leads,
                          sqzi_origin origin);
/* The marks from `at` to before the next starter join the run, which then goes out; `base` is where
 * the starter before them stands. *next: where the next starter is. */
sqz_status sqzi_scan_marks(sqzi_scan *s, size_t at, size_t end, sqzi_origin base, size_t *next);
/* A mark that strip_accents keeps has been met at `at`: its run, read from behind the last starter.
 * *next as above. */
sqz_status sqzi_scan_run(sqzi_scan *s, size_t at, size_t end, size_t *next);

#endif
