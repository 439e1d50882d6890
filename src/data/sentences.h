/* SPDX-License-Identifier: Apache-2.0 */
/* Texts cut into their sentences: what models are calibrated and distilled on. Encoders read short
 * texts more often than paragraphs, and first pieces, special tokens and attention over few pieces
 * then weigh as much as they will.
 */
#ifndef SQZI_SENTENCES_H
#define SQZI_SENTENCES_H

#include <squeezebert/tokenizer.h>

#include "base/memory.h"

enum { SQZI_SENTENCE_LEAST = 20 }; /* bytes: what is shorter stays with what follows */

/* Parts of the texts, not copied. A sentence ends behind one or more of . ! ? and closing quotes or
 * brackets where white space follows, behind an ideographic full stop, exclamation or question
 * mark, and at the end of its text; "Mr." ends none, being short. The first sentences of all texts
 * come first, then the second ones and so on, so that as many texts as possible have a say. */
typedef struct sqzi_sentences {
    const sqz_allocator *allocator;
    sqz_text *all; /* [n] */
    size_t n, made;
} sqzi_sentences;

/* SQZ_ENOMEM. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_sentences_make(const sqz_allocator *allocator, const sqz_text *texts,
                                             size_t n, sqzi_sentences *sentences, sqz_error *error);
void sqzi_sentences_discard(sqzi_sentences *sentences);

#endif
