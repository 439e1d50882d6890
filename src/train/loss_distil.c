/* SPDX-License-Identifier: Apache-2.0 */
/* Losses against a teacher, unit by unit. */
#include "train/loss_distil.h"

#include <math.h>

enum { LANES = 8, NUMBERS = 8192, ROWS = 16 };

typedef struct form {
    uint32_t (*units)(const sqzi_distil_term *t);
    double (*run)(const sqzi_distil_term *t, uint32_t unit, double *scratch);
} form;

static uint32_t parts_of(size_t n, size_t each)
{
    return (uint32_t)((n + each - 1) / each);
}

static double dot(const sqzi_real *a, const sqzi_real *b, size_t n)
{
    double lanes[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) lanes[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++) lanes[i % LANES] += (double)a[i] * (double)b[i];
    for (size_t k = 0; k < LANES; k++) sum += lanes[k];
    return sum;
}

/* ---- squares ---- */

static uint32_t squares_units(const sqzi_distil_term *t)
{
    return parts_of(t->n * t->width, NUMBERS);
}

static double squares(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    const size_t begin = (size_t)unit * NUMBERS, all = t->n * t->width,
                 n = all - begin < NUMBERS ? all - begin : NUMBERS;
    const sqzi_real *a = t->student + begin, *b = t->teacher + begin;
    sqzi_real *d = t->d + begin;
    const double twice = 2 * t->scale;
    double lanes[LANES] = {0}, sum = 0;
    (void)scratch;
    for (size_t i = 0; i < n; i++) {
        const double off = (double)a[i] - (double)b[i];
        lanes[i % LANES] += off * off;
        d[i] += (sqzi_real)(twice * off);
    }
    for (size_t k = 0; k < LANES; k++) sum += lanes[k];
    return t->scale * sum;
}

/* ---- distributions ---- */

/* z = x times `by`, less the largest; the log of the sum of e^z comes back. */
static double off_largest(const sqzi_real *x, size_t n, double by, double *z)
{
    double most = -INFINITY, sum = 0;
    for (size_t k = 0; k < n; k++) {
        z[k] = (double)x[k] * by;
        if (z[k] > most) most = z[k];
    }
    for (size_t k = 0; k < n; k++) {
        z[k] -= most;
        sum += exp(z[k]);
    }
    return log(sum);
}

static uint32_t row_units(const sqzi_distil_term *t)
{
    return parts_of(t->n, ROWS);
}

static sqzi_range rows_of(const sqzi_distil_term *t, uint32_t unit)
{
    const size_t begin = (size_t)unit * ROWS;
    return (sqzi_range){begin, t->n - begin < ROWS ? t->n : begin + ROWS};
}

/* Rows of logits; `kl` less the teacher's entropy, and times T^2. */
static double softened(const sqzi_distil_term *t, uint32_t unit, double *scratch, bool kl)
{
    const sqzi_range rows = rows_of(t, unit);
    const size_t n = t->width;
    const double by = 1 / t->temperature,
                 factor = t->scale * (kl ? t->temperature * t->temperature : 1);
    double *zs = scratch, *zt = scratch + n, sum = 0;
    for (size_t i = rows.begin; i < rows.end; i++) {
        const double of_s = off_largest(t->student + i * n, n, by, zs),
                     of_t = off_largest(t->teacher + i * n, n, by, zt);
        sqzi_real *d = t->d + i * n;
        for (size_t k = 0; k < n; k++) {
            const double p = exp(zt[k] - of_t), log_q = zs[k] - of_s;
            sum += p * ((kl ? zt[k] - of_t : 0) - log_q);
            d[k] += (sqzi_real)(factor * by * (exp(log_q) - p));
        }
    }
    return factor * sum;
}

static double kl(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    return softened(t, unit, scratch, true);
}

static double soft(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    return softened(t, unit, scratch, false);
}

/* ---- vectors ---- */

/* A vector of length 0 has cosine 0 to all, and no direction to go. */
static double inverse_length(const sqzi_real *x, size_t n)
{
    const double squares = dot(x, x, n);
    return squares > 0 ? 1 / sqrt(squares) : 0;
}

static double cosine(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    const sqzi_range rows = rows_of(t, unit);
    const size_t n = t->width;
    double sum = 0;
    (void)scratch;
    for (size_t i = rows.begin; i < rows.end; i++) {
        const sqzi_real *s = t->student + i * n, *a = t->teacher + i * n;
        sqzi_real *d = t->d + i * n;
        const double of_s = inverse_length(s, n), of_t = inverse_length(a, n),
                     cos = dot(s, a, n) * of_s * of_t;
        for (size_t k = 0; k < n; k++)
            d[k] -= (sqzi_real)(t->scale * of_s *
                                ((double)a[k] * of_t - cos * (double)s[k] * of_s));
        sum += 1 - cos;
    }
    return t->scale * sum;
}

/* d of row i is that of its own row and of its column, which are the same. */
static double similarities(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    const size_t n = t->width, n_t = t->teacher_width;
    const sqzi_real *s = t->student + unit * n, *a = t->teacher + unit * n_t;
    const double of_s = inverse_length(s, n), of_t = inverse_length(a, n_t);
    double sum = 0, along = 0; /* d of the vector of length 1, and its part along it */
    sqzi_real *d = t->d + unit * n;
    for (size_t k = 0; k < n; k++) scratch[k] = 0;
    for (size_t j = 0; j < t->n; j++) {
        const sqzi_real *other = t->student + j * n;
        const double by = inverse_length(other, n), cos = dot(s, other, n) * of_s * by,
                     off = cos - dot(a, t->teacher + j * n_t, n_t) * of_t *
                                     inverse_length(t->teacher + j * n_t, n_t);
        sum += off * off;
        for (size_t k = 0; k < n; k++) scratch[k] += 4 * off * (double)other[k] * by;
    }
    for (size_t k = 0; k < n; k++) along += scratch[k] * (double)s[k] * of_s;
    for (size_t k = 0; k < n; k++)
        d[k] += (sqzi_real)(t->scale * of_s * (scratch[k] - along * (double)s[k] * of_s));
    return t->scale * sum;
}

static uint32_t one_a_row(const sqzi_distil_term *t)
{
    return (uint32_t)t->n;
}

/* ---- relations ---- */

static uint32_t relation_units(const sqzi_distil_term *t)
{
    return t->n_sequences * t->heads;
}

/* The row of x x' / sqrt(d) that belongs to token i: z, and log of the sum of e^z. */
static double relate(const sqzi_real *x, size_t ld, size_t d, size_t i, size_t n, double *z)
{
    const double by = 1 / sqrt((double)d);
    double most = -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++) {
        z[j] = by * dot(x + i * ld, x + j * ld, d);
        if (z[j] > most) most = z[j];
    }
    for (size_t j = 0; j < n; j++) {
        z[j] -= most;
        sum += exp(z[j]);
    }
    return log(sum);
}

/* A head of a sequence. */
static double relations(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    const uint32_t b = unit / t->heads, head = unit % t->heads;
    const size_t begin = t->first[b], n = t->first[b + 1] - begin, d = t->width / t->heads,
                 d_t = t->teacher_width / t->heads;
    const sqzi_real *s = t->student + begin * t->width + head * d,
                    *a = t->teacher + begin * t->teacher_width + head * d_t;
    sqzi_real *grad = t->d + begin * t->width + head * d;
    const double by = t->scale / sqrt((double)d);
    double *zs = scratch, *zt = scratch + n, sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double of_s = relate(s, t->width, d, i, n, zs),
                     of_t = relate(a, t->teacher_width, d_t, i, n, zt);
        for (size_t j = 0; j < n; j++) {
            const double p = exp(zt[j] - of_t), log_q = zs[j] - of_s, g = by * (exp(log_q) - p);
            const sqzi_real *si = s + i * t->width, *sj = s + j * t->width;
            sqzi_real *di = grad + i * t->width, *dj = grad + j * t->width;
            sum += p * (zt[j] - of_t - log_q);
            for (size_t k = 0; k < d; k++) {
                di[k] += (sqzi_real)(g * (double)sj[k]);
                dj[k] += (sqzi_real)(g * (double)si[k]);
            }
        }
    }
    return t->scale * sum;
}

static const form forms[] = {[SQZI_DISTIL_KL] = {row_units, kl},
                             [SQZI_DISTIL_SOFT] = {row_units, soft},
                             [SQZI_DISTIL_SQUARES] = {squares_units, squares},
                             [SQZI_DISTIL_COSINE] = {row_units, cosine},
                             [SQZI_DISTIL_SIMILARITIES] = {one_a_row, similarities},
                             [SQZI_DISTIL_RELATIONS] = {relation_units, relations}};

uint32_t sqzi_distil_units(const sqzi_distil_term *t)
{
    return forms[t->form].units(t);
}

size_t sqzi_distil_scratch(const sqzi_distil_term *t)
{
    return 2 * (t->form == SQZI_DISTIL_RELATIONS ? t->longest : t->width);
}

double sqzi_distil_unit(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    return forms[t->form].run(t, unit, scratch);
}

void sqzi_distil_run(const sqzi_distil_terms *terms, double *scratch, sqzi_turn *turn)
{
    double *sums = terms->sums;
    for (uint32_t i = 0; i < terms->n; i++) {
        const sqzi_distil_term *t = &terms->list[i];
        const uint32_t units = sqzi_distil_units(t);
        for (uint32_t unit; sqzi_take_part(turn, units, &unit);)
            sums[unit] = sqzi_distil_unit(t, unit, scratch);
        sums += units;
    }
}

double sqzi_distil_value(const sqzi_distil_terms *terms, uint32_t i)
{
    const double *sums = terms->sums;
    double sum = 0;
    for (uint32_t j = 0; j < i; j++) sums += sqzi_distil_units(&terms->list[j]);
    for (uint32_t unit = 0; unit < sqzi_distil_units(&terms->list[i]); unit++) sum += sums[unit];
    return sum;
}
