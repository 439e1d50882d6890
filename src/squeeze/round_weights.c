/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices and linears of weights in memory to integers. */
#include "squeeze/round_weights.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "io/packed_rows.h"
#include "rewrite/group_scales.h"
#include "squeeze/gptq.h"

static const sqz_allocator *allocator_of(const sqzi_weights *w)
{
    return &w->model->context->allocator;
}

double sqzi_weight_written(const sqzi_weight_matrix *m, size_t r, size_t i)
{
    const size_t at = r * m->columns + i;
    return m->storage == SQZI_STORED_F32
               ? (double)m->values[at]
               : (double)m->rounded.scale[r] * (double)m->rounded.integers[at];
}

void sqzi_weight_matrix_written(const sqzi_weight_matrix *m, float *values)
{
    const size_t n = (size_t)m->rows * m->columns;
    for (size_t i = 0; i < n; i++)
        values[i] = m->rounded.integers
                        ? m->rounded.scale[i / m->columns] * (float)m->rounded.integers[i]
                        : m->values[i];
}

static uint8_t *multipliers_of(const sqzi_weight_matrix *m, size_t row)
{
    return m->rounded.multipliers ? m->rounded.multipliers + row * sqzi_packed_groups(m->columns)
                                  : NULL;
}

/* Scales, and the nearest integers. */
static void round_rows(const sqzi_weights *w, sqzi_weight_matrix *m, uint32_t bits,
                       sqzi_rounding_error *sums)
{
    const uint32_t features = w->model->context->kernels.features;
    const size_t n = m->columns;
    for (size_t r = 0; r < m->rows; r++) {
        const float *row = m->values + r * n;
        uint8_t *multipliers = multipliers_of(m, r);
        m->rounded.scale[r] = sqzi_group_scales(features, bits, row, n, multipliers);
        sqzi_integer_row(bits, row, n, m->rounded.scale[r], multipliers,
                         m->rounded.integers + r * n, sums);
    }
}

/* Other integers for the same scales. */
static sqz_status round_by_covariance(const sqzi_weights *w, uint32_t bits, const float *covariance,
                                      const uint32_t *order, sqzi_weight_matrix *m,
                                      sqz_error *error)
{
    const size_t n = m->columns, rows = m->rows / m->groups, inputs = n * m->groups;
    for (size_t g = 0; g < m->groups; g++) {
        const sqzi_rounding_task task = {.name = "a matrix",
                                         .rows = rows,
                                         .n = n,
                                         .weights = m->values + g * rows * n,
                                         .covariance = order ? covariance
                                                             : covariance + g * n * (inputs + 1),
                                         .ld = inputs,
                                         .order = order ? order + g * n : NULL,
                                         .bits = bits,
                                         .scale = m->rounded.scale + g * rows,
                                         .multipliers = multipliers_of(m, g * rows),
                                         .integers = m->rounded.integers + g * rows * n};
        const sqz_status status = sqzi_gptq_round(w->model->context->kernels.gemm_f32,
                                                  allocator_of(w), &task, error);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

sqz_status sqzi_weights_round_matrix(const sqzi_weights *w, sqzi_storage storage,
                                     const float *covariance, const uint32_t *order,
                                     sqzi_weight_matrix *m, double *error_of, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t bits = sqzi_storage_bits(storage);
    const size_t n = m->columns;
    sqzi_rounding_error sums = {0, 0};
    if (error_of) *error_of = 0;
    if (storage == SQZI_STORED_F32) {
        sqzi_weight_matrix_unround(w, m);
        return SQZ_OK;
    }
    TRY(sqzi_weight_matrix_round(w, storage, m, error));
    round_rows(w, m, bits, &sums);
    if (covariance) {
        TRY(round_by_covariance(w, bits, covariance, order, m, error));
        sums = (sqzi_rounding_error){0, 0};
        for (size_t r = 0; r < m->rows; r++)
            sqzi_s8_row_error(m->values + r * n, n, m->rounded.scale[r],
                              m->rounded.integers + r * n, &sums);
    }
    if (error_of && sums.squares > 0) *error_of = sqrt(sums.errors / sums.squares);
    return SQZ_OK;
fail:
    sqzi_weight_matrix_unround(w, m);
    return status;
}

/* ---- linears ---- */

/* y [rows] += W x, or W' x. */
static void multiply(const sqzi_weight_matrix *m, bool written, const double *x, double *y)
{
    const size_t n = m->columns, rows = m->rows / m->groups;
    for (size_t r = 0; r < m->rows; r++)
        for (size_t i = 0; i < n; i++)
            y[r] += (written ? sqzi_weight_written(m, r, i) : (double)m->values[r * n + i]) *
                    x[r / rows * n + i];
}

static void multiply_term(const sqzi_weight_term *t, bool written, const double *x, double *middle,
                          double *y)
{
    if (t->a.rows) {
        memset(middle, 0, t->a.rows * sizeof *middle);
        multiply(&t->a, written, x, middle);
    }
    multiply(&t->b, written, t->a.rows ? middle : x, y);
}

static size_t middle_of(const sqzi_weight_linear *linear)
{
    size_t most = 0;
    for (uint32_t t = 0; t < linear->n_terms; t++)
        most = linear->terms[t].a.rows > most ? linear->terms[t].a.rows : most;
    return most;
}

sqz_status sqzi_weights_correct_bias(const sqzi_weights *w, const float *mean,
                                     sqzi_weight_linear *linear, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n_in = linear->n_in, n_out = linear->n_out,
                 n = n_in + middle_of(linear) + 2 * n_out;
    double *x = sqzi_allocate_zeroed(allocator_of(w), n, sizeof *x), *before = x + n_in,
           *after = before + n_out, *middle = after + n_out;
    FAIL_IF(!x, SQZ_ENOMEM, 0, "no memory to correct a bias");
    TRY(sqzi_weight_linear_add_bias(w, linear, error));
    for (size_t j = 0; j < n_in; j++) x[j] = (double)mean[linear->in ? linear->in[j] : j];
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        multiply_term(&linear->terms[t], false, x, middle, before);
        multiply_term(&linear->terms[t], true, x, middle, after);
    }
    for (size_t j = 0; j < n_out; j++) {
        const double corrected = (double)linear->bias[j] + before[j] - after[j];
        FAIL_IF(!isfinite(corrected), SQZ_ENUMERIC, 0, "a corrected bias is not finite");
        linear->bias[j] = (float)corrected;
    }
fail:
    sqzi_release(allocator_of(w), x, n * sizeof *x);
    return status;
}

/* The covariance of A' x, [a.rows, a.rows], zero between groups. */
static sqz_status find_middle(const sqzi_weights *w, const float *covariance, const uint32_t *order,
                              const sqzi_weight_matrix *a, float *middle, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n = a->columns, rank = a->rows / a->groups, inputs = n * a->groups, ld = a->rows,
                 bytes = (n * n + rank * n + rank * rank) * sizeof(float);
    float *block = sqzi_allocate(allocator_of(w), bytes), *factor = block + n * n,
          *inner = factor + rank * n;
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory for the moments of a factor");
    memset(middle, 0, ld * ld * sizeof *middle);
    for (size_t g = 0; g < a->groups; g++) {
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                block[i * n + j] = covariance[(order ? order[g * n + i] : g * n + i) * inputs +
                                              (order ? order[g * n + j] : g * n + j)];
        for (size_t r = 0; r < rank; r++)
            for (size_t i = 0; i < n; i++)
                factor[r * n + i] = (float)sqzi_weight_written(a, g * rank + r, i);
        TRY(sqzi_covariance_through(w->model->context->kernels.gemm_f32, allocator_of(w), n, rank,
                                    block, factor, inner, error));
        for (size_t r = 0; r < rank; r++)
            memcpy(middle + (g * rank + r) * ld + g * rank, inner + r * rank,
                   rank * sizeof *middle);
    }
fail:
    if (block) sqzi_release(allocator_of(w), block, bytes);
    return status;
}

static sqz_status round_term(const sqzi_weights *w, sqzi_storage storage, const float *covariance,
                             const uint32_t *order, sqzi_weight_term *term, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t rank = term->a.rows, bytes = rank * rank * sizeof(float);
    float *middle = NULL;
    if (rank) {
        TRY(sqzi_weights_round_matrix(w, storage, covariance, order, &term->a, NULL, error));
        if (covariance) {
            middle = sqzi_allocate(allocator_of(w), bytes);
            FAIL_IF(!middle, SQZ_ENOMEM, 0, "no memory for the moments of a factor");
            TRY(find_middle(w, covariance, order, &term->a, middle, error));
        }
        covariance = middle;
        order = NULL;
    }
    TRY(sqzi_weights_round_matrix(w, storage, covariance, order, &term->b, NULL, error));
fail:
    sqzi_release(allocator_of(w), middle, bytes);
    return status;
}

sqz_status sqzi_weights_round_linear(const sqzi_weights *w, sqzi_storage storage,
                                     const sqzi_input_statistics *statistics,
                                     sqzi_weight_linear *linear, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool known = statistics && statistics->n;
    for (uint32_t t = 0; t < linear->n_terms; t++)
        TRY(round_term(w, storage, known ? statistics->covariance : NULL, linear->in,
                       &linear->terms[t], error));
    if (known && linear->n_terms)
        TRY(sqzi_weights_correct_bias(w, statistics->mean, linear, error));
fail:
    return status;
}
