/* SPDX-License-Identifier: Apache-2.0 */
/* Sensitivities: noise in one linear at a time, and what it does to the output. */
#include "squeeze/sensitivity.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernel/kernel.h"

/* ---- noise ---- */

/* Two normal numbers of a place (Box and Muller). */
static void normal_pair(uint32_t stage, uint32_t part, uint64_t pair, double out[2])
{
    const sqzi_philox_block bits =
        sqzi_philox((sqzi_philox_block){{(uint32_t)pair, (uint32_t)(pair >> 32), stage, part}},
                    (sqzi_philox_key){{0x73656e73, 0}});
    const double u = ((double)bits.word[0] + 0.5) * 0x1p-32, v = (double)bits.word[1] * 0x1p-32,
                 length = sqrt(-2 * log(u));
    out[0] = length * cos(6.283185307179586 * v);
    out[1] = length * sin(6.283185307179586 * v);
}

/* ---- variances of outputs ---- */

static uint32_t input_of(const uint32_t *order, size_t i)
{
    return order ? order[i] : (uint32_t)i;
}

/* of_group [n, n]: the covariance of what group g reads. */
static void covariance_of(const sqzi_input_statistics *input, const uint32_t *order, size_t g,
                          size_t n, float *of_group)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            of_group[i * n + j] = input->covariance[(size_t)input_of(order, g * n + i) * input->n +
                                                    input_of(order, g * n + j)];
}

sqz_status sqzi_output_variance(const sqz_model *model, const sqzi_weight_matrix *shape,
                                const float *values, const sqzi_input_statistics *input,
                                const uint32_t *order, double *variance, sqz_error *error)
{
    const sqz_allocator *allocator = &model->context->allocator;
    const sqzk_gemm *gemm = model->context->kernels.gemm_f32;
    const size_t n = shape->columns, rows = shape->rows / shape->groups;
    float *c = NULL, *products = NULL;
    void *packed = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    for (int placed = 0; placed < 2; placed++) {
        c = sqzi_arena_take(&arena, n * n, sizeof *c);
        products = sqzi_arena_take(&arena, rows * n, sizeof *products);
        packed = sqzi_arena_take(&arena, sqzk_gemm_packed_bytes(gemm, n, n), 1);
        if (placed) break;
        void *block = sqzi_allocate(allocator, arena.used);
        if (!block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu inputs", n);
        arena = sqzi_arena_over(block, arena.used);
    }
    *variance = 0;
    for (size_t g = 0; g < shape->groups; g++, values += rows * n) {
        covariance_of(input, order, g, n, c);
        gemm->pack(
            &(sqzk_pack_args){
                .n = n, .k = n, .source = c, .n_stride = n, .k_stride = 1, .type = SQZI_F32},
            packed);
        gemm->run(&(sqzk_gemm_args){.m = rows,
                                    .n = n,
                                    .k = n,
                                    .a = values,
                                    .lda = n * sizeof *values,
                                    .b = packed,
                                    .c = products,
                                    .ldc = n});
        for (size_t i = 0; i < rows * n; i++) *variance += (double)values[i] * (double)products[i];
    }
    sqzi_release(allocator, arena.base, arena.capacity);
    return SQZ_OK;
}

/* ---- one linear ---- */

typedef struct measurement {
    const sqzi_weights *weights;
    const sqzi_statistics *statistics;
    sqzi_trial *trial;
    uint32_t block, linear;
} measurement;

/* The matrix that gets noise: the whole term, or B of a pair. */
static sqzi_weight_matrix *noisy_matrix(sqzi_weight_linear *linear)
{
    return &linear->terms[0].b;
}

/* By what the noise of a row of weights is multiplied, as large as they are: with normal numbers g
 * and rows a |w_r| g, tr(D C D') is a^2 sum_r |w_r|^2 tr(C) in the mean. Of pairs C is not known:
 * there the noise is relative to the weights. */
static sqz_status noise_of(const measurement *m, const sqzi_weight_linear *linear, double *factor,
                           sqz_error *error)
{
    const sqzi_weight_matrix *w = &linear->terms[0].b;
    const sqzi_input_statistics *input =
        &m->statistics->blocks[m->block][sqzi_block_input_of(m->linear)];
    const size_t n = w->columns;
    const bool whole = linear->terms[0].a.rows == 0;
    double variance = 0, expected = 0;
    for (size_t g = 0; g < w->groups; g++) {
        double trace = 0, squares = 0;
        for (size_t i = 0; i < n && whole; i++) {
            const size_t at = input_of(linear->in, g * n + i);
            trace += (double)input->covariance[at * input->n + at];
        }
        for (size_t i = 0; i < w->rows / w->groups * n; i++) {
            const double v = (double)w->values[g * (w->rows / w->groups) * n + i];
            squares += v * v;
        }
        expected += squares * (whole ? trace : (double)n);
        if (!whole) variance += squares;
    }
    sqz_status status = SQZ_OK;
    if (whole)
        status = sqzi_output_variance(m->weights->model, w, w->values, input, linear->in, &variance,
                                      error);
    *factor = expected > 0 ? sqrt(SQZI_SENSITIVITY_NOISE * variance / expected) : 0;
    return status;
}

/* Row by row: w += factor |w| g, and the bias takes up what that adds at the inputs' mean. */
static void add_noise(const measurement *m, sqzi_weight_linear *linear, double factor)
{
    sqzi_weight_matrix *w = noisy_matrix(linear);
    const float *mean = m->statistics->blocks[m->block][sqzi_block_input_of(m->linear)].mean;
    const bool whole = linear->terms[0].a.rows == 0;
    const size_t n = w->columns, rows = w->rows / w->groups;
    for (size_t r = 0; r < w->rows; r++) {
        float *row = w->values + r * n;
        double squares = 0, shift = 0;
        for (size_t i = 0; i < n; i++) squares += (double)row[i] * (double)row[i];
        for (size_t i = 0; i < n; i += 2) {
            double noise[2];
            normal_pair(m->block, m->linear, (r * n + i) / 2 + r, noise);
            for (size_t k = 0; k < 2 && i + k < n; k++) {
                const double by = factor * sqrt(squares) * noise[k];
                row[i + k] = (float)((double)row[i + k] + by);
                if (whole) shift += by * (double)mean[input_of(linear->in, r / rows * n + i + k)];
            }
        }
        if (linear->bias) linear->bias[r] = (float)((double)linear->bias[r] - shift);
    }
}

static sqz_status measure_linear(const measurement *m, double *sensitivity, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &m->weights->model->context->allocator;
    sqzi_weight_block *block = &m->weights->blocks[m->block];
    sqzi_weight_linear *linear = &block->linears[m->linear];
    sqzi_weight_matrix *w = noisy_matrix(linear);
    const size_t bytes = (size_t)w->rows * w->columns * sizeof *w->values,
                 bias_bytes = linear->bias ? linear->n_out * sizeof *linear->bias : 0;
    double factor, change = 0;
    unsigned char *saved = sqzi_allocate(allocator, bytes + bias_bytes);
    FAIL_IF(!saved, SQZ_ENOMEM, 0, "no memory for a copy of a linear's weights");
    memcpy(saved, w->values, bytes);
    if (bias_bytes) memcpy(saved + bytes, linear->bias, bias_bytes);
    TRY(noise_of(m, linear, &factor, error));
    add_noise(m, linear, factor);
    status = sqzi_trial_set_block(m->trial, m->block, block, error);
    memcpy(w->values, saved, bytes);
    if (bias_bytes) memcpy(linear->bias, saved + bytes, bias_bytes);
    if (status == SQZ_OK) sqzi_trial_run(m->trial, 1 + m->block, &change);
    sqzi_trial_reset(m->trial);
    *sensitivity = change / SQZI_SENSITIVITY_NOISE;
fail:
    sqzi_release(allocator, saved, bytes + bias_bytes);
    return status;
}

/* ---- tables ---- */

/* What a row's error weighs. */
static double weight_of(const uint64_t *counts, uint32_t row)
{
    return counts ? 1 + (double)counts[row] : 1;
}

/* Mean square of the rows' numbers about their weighted mean row. */
static double spread(const sqzi_weight_matrix *table, uint32_t rows, const uint64_t *counts)
{
    double sum = 0, all = 0;
    for (uint32_t r = 0; r < rows; r++) all += weight_of(counts, r);
    for (size_t i = 0; i < table->columns; i++) {
        double mean = 0, squares = 0;
        for (uint32_t r = 0; r < rows; r++) {
            const double v = (double)table->values[r * (size_t)table->columns + i];
            mean += weight_of(counts, r) * v;
            squares += weight_of(counts, r) * v * v;
        }
        sum += squares / all - mean / all * (mean / all);
    }
    return sum / table->columns;
}

static sqz_status measure_table(sqzi_trial *trial, const sqzi_weight_matrix *table, uint32_t rows,
                                const uint64_t *counts, double *sensitivity, sqz_error *error)
{
    const sqz_allocator *allocator = &trial->model->context->allocator;
    const size_t n = (size_t)table->rows * table->columns;
    const double factor = sqrt(SQZI_SENSITIVITY_NOISE * spread(table, rows, counts));
    float *values = sqzi_allocate(allocator, n * sizeof *values);
    double change;
    if (!values) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a copy of a table");
    for (size_t i = 0; i < n; i += 2) {
        double noise[2];
        normal_pair(UINT32_MAX, counts != NULL, i / 2, noise);
        for (size_t k = 0; k < 2 && i + k < n; k++)
            values[i + k] = (float)((double)table->values[i + k] + factor * noise[k]);
    }
    sqzi_trial_set_tables(trial, counts ? values : NULL, counts ? NULL : values);
    sqzi_trial_run(trial, 0, &change);
    sqzi_trial_reset(trial);
    sqzi_release(allocator, values, n * sizeof *values);
    *sensitivity = change / SQZI_SENSITIVITY_NOISE;
    return SQZ_OK;
}

/* ---- all ---- */

static sqz_status report(int (*progress)(void *user, size_t done, size_t total), void *user,
                         uint32_t done, uint32_t total, sqz_error *error)
{
    if (!progress || progress(user, done, total) == 0) return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %u of %u blocks", done, total);
}

sqz_status sqzi_sensitivities_make(const sqzi_weights *weights, const sqzi_statistics *statistics,
                                   sqzi_trial *trial,
                                   int (*progress)(void *user, size_t done, size_t total),
                                   void *user, sqzi_sensitivities *out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = weights->n_blocks;
    const sqz_allocator *allocator = &weights->model->context->allocator;
    measurement m = {weights, statistics, trial, 0, 0};
    *out = (sqzi_sensitivities){.allocator = allocator, .n_blocks = n};
    out->linears = sqzi_allocate_zeroed(allocator, n, sizeof *out->linears);
    FAIL_IF(!out->linears, SQZ_ENOMEM, 0, "no memory for the sensitivities of %u blocks", n);
    for (m.block = 0; m.block < n; m.block++) {
        TRY(report(progress, user, m.block, n, error));
        for (m.linear = 0; m.linear < SQZI_BLOCK_LINEARS; m.linear++)
            TRY(measure_linear(&m, &out->linears[m.block][m.linear], error));
    }
    TRY(measure_table(trial, &weights->word, weights->word.rows, statistics->word_counts,
                      &out->words, error));
    const uint32_t seen = trial->sequences->longest < weights->position.rows
                              ? trial->sequences->longest
                              : weights->position.rows;
    TRY(measure_table(trial, &weights->position, seen, NULL, &out->positions, error));
    status = report(progress, user, n, n, error);
fail:
    return status;
}

void sqzi_sensitivities_discard(sqzi_sensitivities *s)
{
    sqzi_release(s->allocator, s->linears, s->n_blocks * sizeof *s->linears);
    *s = (sqzi_sensitivities){0};
}
