/* SPDX-License-Identifier: Apache-2.0 */
/* Temperature by golden sections, threshold by counting. */
#include "build/calibrate.h"

#include <math.h>
#include <stdlib.h>

static uint32_t best_of(const float *z, uint32_t classes)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < classes; k++)
        if (z[k] > z[best]) best = k;
    return best;
}

double sqzi_nll(const sqzi_scored *s, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        const float *z = s->logits + i * s->classes;
        const double most = (double)z[best_of(z, s->classes)];
        double all = 0;
        for (uint32_t k = 0; k < s->classes; k++) all += exp(((double)z[k] - most) / temperature);
        sum += log(all) - ((double)z[s->labels[i]] - most) / temperature;
    }
    return sum / (double)s->n;
}

double sqzi_find_temperature(const sqzi_scored *s)
{
    const double ratio = 0.61803398874989485;
    double low = log(0.05), high = log(20);
    double left = high - ratio * (high - low), right = low + ratio * (high - low);
    double at_left = sqzi_nll(s, exp(left)), at_right = sqzi_nll(s, exp(right));
    while (high - low > 1e-4) {
        if (at_left <= at_right) {
            high = right;
            right = left;
            at_right = at_left;
            left = high - ratio * (high - low);
            at_left = sqzi_nll(s, exp(left));
        } else {
            low = left;
            left = right;
            at_left = at_right;
            right = low + ratio * (high - low);
            at_right = sqzi_nll(s, exp(right));
        }
    }
    return exp((low + high) / 2);
}

double sqzi_accuracy(const sqzi_scored *s)
{
    size_t right = 0;
    for (size_t i = 0; i < s->n; i++)
        right += best_of(s->logits + i * s->classes, s->classes) == s->labels[i];
    return (double)right / (double)s->n;
}

static int rising(const void *left, const void *right)
{
    const float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

double sqzi_find_threshold(const sqzi_scored *s, double share, float *memory)
{
    const size_t allowed = (size_t)(share * (double)s->n);
    if (!allowed) return -HUGE_VAL;
    for (size_t i = 0; i < s->n; i++) {
        const float *z = s->logits + i * s->classes;
        memory[i] = z[best_of(z, s->classes)];
    }
    qsort(memory, s->n, sizeof *memory, rising);
    return (double)memory[allowed < s->n ? allowed : s->n - 1]; /* those below it: `allowed` */
}
