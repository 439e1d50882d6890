/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of the table of words weigh (embedding_levers.h). */
#ifndef SQZI_WORD_WEIGHTS_H
#define SQZI_WORD_WEIGHTS_H

#include "squeeze/weights.h"

/* f_r = 1 + the count of what row r was in the model; 1 where counts is NULL. frequency
 * [word.rows]. */
void sqzi_word_frequencies(const sqzi_weights *weights, const uint64_t *counts, float *frequency);

#endif
