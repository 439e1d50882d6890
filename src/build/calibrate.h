/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a classifier is, found on rows that it was not fitted to: logits [n, classes]. */
#ifndef SQZI_CALIBRATE_H
#define SQZI_CALIBRATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct sqzi_scored {
    const float *logits;
    const uint32_t *labels; /* [n] */
    size_t n;
    uint32_t classes;
} sqzi_scored;

/* Mean of -log softmax(logits / temperature)[label]. */
double sqzi_nll(const sqzi_scored *scored, double temperature);
/* The temperature of 0.05 to 20 where that is least: in its logarithm the mean has one minimum. */
double sqzi_find_temperature(const sqzi_scored *scored);
/* Share of rows whose largest logit is that of their label, the first on a tie. */
double sqzi_accuracy(const sqzi_scored *scored);
/* The largest threshold under which at most `share` of the rows have their largest logit; memory
 * [n] is written over. -infinity where that is none. */
double sqzi_find_threshold(const sqzi_scored *scored, double share, float *memory);

#endif
