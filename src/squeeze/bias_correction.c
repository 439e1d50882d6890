/* SPDX-License-Identifier: Apache-2.0 */
/* Correcting biases: which linears, what they read, what their rounding does to the mean of
 * that. */
#include "squeeze/bias_correction.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "nn/tensor_list.h"

static sqzi_quantized *find_part(sqzi_quantize_plan *plan, const char *linear, const char *part)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", linear, part);
    for (uint32_t i = 0; i < plan->n; i++)
        if (strcmp(plan->tensors[i].name, name) == 0) return &plan->tensors[i];
    return NULL;
}

static bool is_rounded(const sqzi_quantized *t)
{
    return t && t->changed && t->to == SQZI_S8;
}

static size_t middle_of(const sqzi_bias_correction *c)
{
    return c->a ? (size_t)c->a->from->shape[0] : 0;
}

/* The corrections' arrays, whose number and sizes are known once the list is. */
static void lay_out(sqzi_bias_corrections *corrections, sqzi_quantize_plan *plan, sqzi_arena *arena)
{
    const sqzi_encoder *encoder = &plan->model->encoder;
    sqzi_linear_entry entry;
    uint32_t n_linears = 0;
    size_t most = 1;
    while (sqzi_linear_list(encoder, NULL, n_linears, &entry)) n_linears++;
    corrections->n = 0;
    corrections->list = sqzi_arena_take(arena, n_linears, sizeof *corrections->list);
    for (uint32_t j = 0; sqzi_linear_list(encoder, NULL, j, &entry); j++) {
        const char *name = entry.name;
        sqzi_bias_correction c = {.linear = entry.linear, .stage = entry.stage};
        c.weight = find_part(plan, name, "weight");
        c.a = find_part(plan, name, "a");
        c.b = find_part(plan, name, "b");
        if (!is_rounded(c.weight) && !is_rounded(c.a) && !is_rounded(c.b)) continue;
        snprintf(c.bias_name, sizeof c.bias_name, "%s.bias", name);
        c.of_weight = (sqzi_moments){.groups = c.linear->terms[0].b.groups,
                                     .n = c.linear->n_in / c.linear->terms[0].b.groups};
        const sqzi_matrix *a = &c.linear->terms[c.linear->n_terms - 1].a;
        if (c.a) c.of_a = (sqzi_moments){.groups = a->groups, .n = c.linear->n_in / a->groups};
        c.bias = sqzi_gguf_find_tensor(plan->model->gguf, c.bias_name);
        c.sum = sqzi_arena_take(arena, c.linear->n_in, sizeof *c.sum);
        c.corrected = sqzi_arena_take(arena, c.linear->n_out, sizeof *c.corrected);
        const size_t work = c.linear->n_in + 2 * middle_of(&c) + 2 * (size_t)c.linear->n_out;
        if (work > most) most = work;
        if (corrections->list) {
            memset(c.sum, 0, c.linear->n_in * sizeof *c.sum);
            corrections->list[corrections->n] = c;
        }
        corrections->n++;
    }
    corrections->work = sqzi_arena_take(arena, most, sizeof *corrections->work);
}

sqz_status sqzi_bias_corrections_make(sqzi_quantize_plan *plan, sqzi_bias_corrections *corrections,
                                      sqz_error *error)
{
    *corrections = (sqzi_bias_corrections){.model = plan->model};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(corrections, plan, &arena);
    corrections->bytes = arena.used;
    corrections->block = sqzi_allocate(&plan->model->context->allocator, corrections->bytes);
    if (!corrections->block) {
        corrections->n = 0;
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the means of the layers' inputs");
    }
    arena = sqzi_arena_over(corrections->block, corrections->bytes);
    lay_out(corrections, plan, &arena);
    return SQZ_OK;
}

void sqzi_bias_corrections_discard(sqzi_bias_corrections *corrections)
{
    if (corrections->block)
        sqzi_release(&corrections->model->context->allocator, corrections->block,
                     corrections->bytes);
    corrections->block = NULL;
}

const sqzi_bias_correction *sqzi_bias_corrections_find(const sqzi_bias_corrections *corrections,
                                                       const char *bias_name)
{
    for (uint32_t i = 0; i < corrections->n; i++)
        if (strcmp(corrections->list[i].bias_name, bias_name) == 0) return &corrections->list[i];
    return NULL;
}

void sqzi_bias_correction_see(sqzi_bias_correction *c, size_t m, const sqzi_real *x, size_t ldx)
{
    for (size_t row = 0; row < m; row++)
        for (uint32_t j = 0; j < c->linear->n_in; j++) {
            const double value = (double)x[row * ldx + j];
            c->sum[j] += value;
            c->squares += value * value;
        }
    c->rows += m;
}

void sqzi_bias_correction_lay_out_moments(sqzi_bias_correction *c, sqzi_arena *arena)
{
    if (is_rounded(c->weight))
        c->of_weight.squares = sqzi_arena_take(arena, sqzi_moments_items(&c->of_weight),
                                               sizeof(sqzi_real));
    if (is_rounded(c->a) || is_rounded(c->b))
        c->of_a.squares = sqzi_arena_take(arena, sqzi_moments_items(&c->of_a), sizeof(sqzi_real));
}

/* The mean input, in the order in which the linear reads it. Returns its squares. */
static double find_mean(const sqzi_bias_correction *c, double *mean)
{
    const sqzi_linear *linear = c->linear;
    double squares = 0;
    for (uint32_t j = 0; j < linear->n_in; j++) {
        mean[j] = c->sum[linear->in ? linear->in[j] : j] / (double)c->rows;
        squares += mean[j] * mean[j];
    }
    return squares;
}

/* A factor's outputs vary as its inputs make them. */
static sqz_status gptq_second(sqzi_bias_correction *c, const sqzk_gemm *gemm, sqz_error *error)
{
    const sqz_allocator *allocator = &c->b->plan->model->context->allocator;
    sqzi_moments middle = {.groups = c->of_a.groups, .n = (uint32_t)middle_of(c) / c->of_a.groups};
    const size_t bytes = sqzi_moments_items(&middle) * sizeof *middle.squares;
    middle.squares = sqzi_allocate(allocator, bytes);
    if (!middle.squares)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the moments of '%s'", c->b->name);
    sqz_status status = sqzi_moments_through(gemm, &c->of_a, c->a, &middle, error);
    if (status == SQZ_OK) status = sqzi_gptq(gemm, &middle, c->b, error);
    sqzi_release(allocator, middle.squares, bytes);
    return status;
}

sqz_status sqzi_bias_correction_gptq(sqzi_bias_correction *c, const sqzk_gemm *gemm, double *work,
                                     sqz_error *error)
{
    sqz_status status = SQZ_OK;
    (void)find_mean(c, work);
    if (c->of_weight.squares) {
        sqzi_moments_centre(&c->of_weight, work, c->rows);
        TRY(sqzi_gptq(gemm, &c->of_weight, c->weight, error));
    }
    if (c->of_a.squares) {
        sqzi_moments_centre(&c->of_a, work, c->rows);
        if (is_rounded(c->a)) TRY(sqzi_gptq(gemm, &c->of_a, c->a, error));
        if (is_rounded(c->b)) TRY(gptq_second(c, gemm, error));
    }
fail:
    return status;
}

sqz_status sqzi_bias_correction_solve(sqzi_bias_correction *c, bool in_full, double *work,
                                      sqz_error *error)
{
    const sqzi_linear *linear = c->linear;
    const size_t middle = middle_of(c), n_out = linear->n_out;
    double *mean = work, *middle_before = mean + linear->n_in,
           *middle_after = middle_before + middle, *before = middle_after + middle,
           *after = before + n_out;
    /* the linear's lies in the order of its packed weights */
    const float *bias = c->bias ? c->bias->data : NULL;
    sqz_status status = SQZ_OK;
    memset(middle_before, 0, 2 * (middle + n_out) * sizeof *work);
    const double squares = find_mean(c, mean);
    const double share = in_full ? 1 : c->squares > 0 ? squares * (double)c->rows / c->squares : 0;
    const sqzi_term *low_rank = &linear->terms[linear->n_terms - 1];
    if (c->weight)
        TRY(sqzi_quantize_multiply(c->weight, linear->terms[0].b.groups, mean, mean, before, after,
                                   error));
    if (c->a)
        TRY(sqzi_quantize_multiply(c->a, low_rank->a.groups, mean, mean, middle_before,
                                   middle_after, error));
    if (c->b)
        TRY(sqzi_quantize_multiply(c->b, low_rank->b.groups, middle_before, middle_after, before,
                                   after, error));
    for (size_t j = 0; j < n_out; j++) {
        c->corrected[j] = (float)((bias ? (double)bias[j] : 0) + share * (before[j] - after[j]));
        FAIL_IF(!isfinite(c->corrected[j]), SQZ_ENUMERIC, 0,
                "bias '%s': number %zu, corrected, is not finite; quantise without bias correction",
                c->bias_name, j);
    }
fail:
    return status;
}
