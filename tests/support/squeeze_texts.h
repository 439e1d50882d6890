/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are enough to squeeze a tiny model on. */
#ifndef SQZT_SQUEEZE_TEXTS_H
#define SQZT_SQUEEZE_TEXTS_H

#include <squeezebert/tokenizer.h>

#include "support/random.h"

/* Half of the texts that there must be are held out; the others are to have 2,048 pieces. */
enum { SQZT_SQUEEZE_TEXTS = 130, SQZT_SQUEEZE_TEXT_BYTES = 48 };

/* Words of six random letters, a piece for each letter; the bytes are static. */
static inline void sqzt_squeeze_texts(sqz_text texts[SQZT_SQUEEZE_TEXTS])
{
    static char bytes[SQZT_SQUEEZE_TEXTS][SQZT_SQUEEZE_TEXT_BYTES];
    sqzt_random random = sqzt_random_of(31);
    for (uint32_t i = 0; i < SQZT_SQUEEZE_TEXTS; i++) {
        for (uint32_t j = 0; j < SQZT_SQUEEZE_TEXT_BYTES; j++)
            bytes[i][j] = j % 7 == i % 7 ? ' ' : (char)('a' + sqzt_below(&random, 26));
        texts[i] = (sqz_text){bytes[i], SQZT_SQUEEZE_TEXT_BYTES};
    }
}

#endif
