/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in two parts: those that are learnt from (calibrated on) and those that are held out, on
 * which the result is judged. */
#ifndef SQZI_TEXT_SPLIT_H
#define SQZI_TEXT_SPLIT_H

#include <squeezebert/tokenizer.h>

#include "base/memory.h"

enum {
    SQZI_HELD_OUT_LEAST = 50, /* different texts that are held out at least, ... */
    SQZI_HELD_OUT_MOST = 1000,
    SQZI_HELD_OUT_EVERY = 10 /* ... the last one of so many, of fewer where that is not enough */
};

/* In the order given, not copied. Texts that are equal but for white space count once, so that none
 * is in both parts; empty ones are left out. The same texts give the same parts. */
typedef struct sqzi_text_split {
    const sqz_allocator *allocator;
    sqz_text *learn, *held_out; /* [n_learn], [n_held_out] */
    size_t n_learn, n_held_out;
    void *block;
    size_t bytes;
} sqzi_text_split;

/* SQZ_EFORMAT: there are fewer than 2 SQZI_HELD_OUT_LEAST different texts; the text has both
 * numbers. SQZ_ENOMEM. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_text_split_make(const sqz_allocator *allocator, const sqz_text *texts,
                                              size_t n, sqzi_text_split *split, sqz_error *error);
void sqzi_text_split_discard(sqzi_text_split *split);

#endif
