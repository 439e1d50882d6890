/* SPDX-License-Identifier: Apache-2.0 */
#include "squeeze/word_weights.h"

void sqzi_word_frequencies(const sqzi_weights *weights, const uint64_t *counts, float *frequency)
{
    for (uint32_t r = 0; r < weights->word.rows; r++) {
        const uint32_t was = weights->kept_words ? weights->kept_words[r] : r;
        frequency[r] = counts ? 1 + (float)counts[was] : 1;
    }
}
