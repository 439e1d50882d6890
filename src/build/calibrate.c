/* SPDX-License-Identifier: Apache-2.0 */
/* Temperature by Newton's method, threshold by counting. */
#include "build/calibrate.h"

#include <math.h>
#include <stdlib.h>

static const float *logits_of(const sqzi_scored *s, size_t i)
{
    return s->logits + (size_t)s->rows[i] * s->classes;
}

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
        const float *z = logits_of(s, i);
        const double most = (double)z[best_of(z, s->classes)];
        double all = 0;
        for (uint32_t k = 0; k < s->classes; k++) all += exp(((double)z[k] - most) / temperature);
        sum += log(all) - ((double)z[s->labels[s->rows[i]]] - most) / temperature;
    }
    return s->n ? sum / (double)s->n : 0;
}

/* Of the loss as a function of b = 1 / temperature: sums over rows of E z - t z and of Var z,
 * moments under softmax(b z), t the share of each label with one more row that could be any. */
static void find_slope(const sqzi_scored *s, double b, double *slope, double *curvature)
{
    const double n = (double)s->n;
    *slope = *curvature = 0;
    for (size_t i = 0; i < s->n; i++) {
        const float *z = logits_of(s, i);
        const double most = (double)z[best_of(z, s->classes)];
        double all = 0, first = 0, second = 0, mean = 0;
        for (uint32_t k = 0; k < s->classes; k++) {
            const double away = (double)z[k] - most, p = exp(b * away);
            all += p;
            first += p * away;
            second += p * away * away;
            mean += away / s->classes;
        }
        first /= all;
        *curvature += second / all - first * first;
        *slope += first - (n * ((double)z[s->labels[s->rows[i]]] - most) + mean) / (n + 1);
    }
}

/* The loss is convex in b: the slope's sign tells the side, and Newton's step is taken where it
 * stays between what is known. */
double sqzi_find_temperature(const sqzi_scored *s)
{
    enum { MOST_STEPS = 60 };
    double low = 0.05, high = 20, b = 1, slope, curvature;
    for (int i = 0; s->n && i < MOST_STEPS && high > low * (1 + 1e-7); i++) {
        find_slope(s, b, &slope, &curvature);
        if (slope > 0) high = b;
        else low = b;
        const double next = b - slope / curvature, middle = sqrt(low * high);
        if (slope == 0 || fabs(next - b) < 1e-7 * b) break;
        b = next > low && next < high ? next : middle;
    }
    return 1 / b;
}

double sqzi_accuracy(const sqzi_scored *s)
{
    size_t right = 0;
    for (size_t i = 0; i < s->n; i++)
        right += best_of(logits_of(s, i), s->classes) == s->labels[s->rows[i]];
    return s->n ? (double)right / (double)s->n : 0;
}

static int rising(const void *left, const void *right)
{
    const float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

double sqzi_find_threshold(const sqzi_scored *s, double share, float *memory)
{
    const size_t below = (size_t)(share * (double)(s->n + 1));
    if (!below) return -HUGE_VAL;
    for (size_t i = 0; i < s->n; i++) {
        const float *z = logits_of(s, i);
        memory[i] = z[best_of(z, s->classes)];
    }
    qsort(memory, s->n, sizeof *memory, rising);
    return (double)memory[below < s->n ? below : s->n - 1];
}
