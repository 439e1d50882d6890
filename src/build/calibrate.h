/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a classifier is, found on rows that it was not fitted to. */
#ifndef SQZI_CALIBRATE_H
#define SQZI_CALIBRATE_H

#include <stddef.h>
#include <stdint.h>

/* Of logits [., classes] and labels those in rows [n]. */
typedef struct sqzi_scored {
    const float *logits;
    const uint32_t *labels, *rows;
    size_t n;
    uint32_t classes;
} sqzi_scored;

/* Mean of -log softmax(logits / temperature)[label]; 0 of no rows. */
double sqzi_nll(const sqzi_scored *scored, double temperature);
/* The temperature of 0.05 to 20 where that is least, one more row counted whose label could be
 * any: few rows, all of them right, are no proof of answers that are never wrong. 1 of no rows. */
double sqzi_find_temperature(const sqzi_scored *scored);
/* Share of rows whose largest logit is that of their label, the first on a tie; 0 of no rows. */
double sqzi_accuracy(const sqzi_scored *scored);
/* The largest threshold that a further row of their kind misses with probability `share` or less:
 * share * (n + 1) of these have their largest logit below it. memory [n] is written over.
 * -infinity where that is none. */
double sqzi_find_threshold(const sqzi_scored *scored, double share, float *memory);

#endif
