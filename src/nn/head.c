/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and pooling over finished hidden states. */
#include "nn/head.h"

#include <string.h>

void sqzi_head_layout(sqzi_head_scratch *scratch, const sqzi_head *head, sqzi_arena *arena)
{
    memset(scratch, 0, sizeof *scratch);
    if (head->has_pooler) sqzi_linear_need(&head->pooler, 1, &scratch->linear);
    if (head->has_dense) sqzi_linear_need(&head->dense, SQZI_HEAD_ROWS, &scratch->linear);
    if (head->reduced) sqzi_linear_need(&head->reduce, SQZI_HEAD_ROWS, &scratch->linear);
    if (head->classes) sqzi_linear_need(&head->output, SQZI_HEAD_ROWS, &scratch->linear);
    sqzi_linear_scratch_layout(&scratch->linear, arena);
    const size_t width = head->has_dense && head->dense.n_out > head->width ? head->dense.n_out : head->width;
    scratch->pooled = sqzi_arena_take(arena, SQZI_HEAD_ROWS * (size_t)head->width, sizeof(sqzi_real));
    scratch->dense = sqzi_arena_take(arena, head->has_dense ? SQZI_HEAD_ROWS * width : 0, sizeof(sqzi_real));
    scratch->reduced = sqzi_arena_take(arena, head->reduced ? SQZI_HEAD_ROWS * (size_t)head->reduce.n_out : 0, sizeof(sqzi_real));
}

static void mean_of_rows(const sqzi_real *hidden, size_t ldh, uint32_t first, uint32_t last, uint32_t width, sqzi_real *out)
{
    for (uint32_t j = 0; j < width; j++) {
        double sum = 0;
        for (uint32_t t = first; t < last; t++) sum += (double)hidden[t * ldh + j];
        out[j] = (sqzi_real)(sum / (last - first));
    }
}

bool sqzi_pool_sequence(const sqzi_head *head, sqz_pool pool, const sqzi_real *hidden, size_t ldh, uint32_t first, uint32_t last, sqzi_head_scratch *scratch, sqzi_real *out)
{
    if (pool == SQZ_POOL_MEAN) {
        mean_of_rows(hidden, ldh, first, last, head->width, out);
        return true;
    }
    if (pool == SQZ_POOL_CLS) {
        memcpy(out, hidden + first * ldh, head->width * sizeof *out);
        return true;
    }
    const sqzi_linear_args args = {.m = 1, .x = hidden + first * ldh, .ldx = ldh, .y = out, .ldy = head->width, .activation = SQZK_TANH};
    return sqzi_linear_run(&head->pooler, &args, &scratch->linear);
}

bool sqzi_head_run(const sqzi_head *head, const sqzk_table *kernels, const sqzi_real *x, size_t ldx, size_t n, sqzi_head_scratch *scratch, sqzi_real *logits, size_t ldl)
{
    if (head->has_dense) {
        const size_t width = head->dense.n_out;
        const sqzi_linear_args args = {.m = n, .x = x, .ldx = ldx, .y = scratch->dense, .ldy = width, .activation = head->activation};
        if (!sqzi_linear_run(&head->dense, &args, &scratch->linear)) return false;
        x = scratch->dense;
        ldx = width;
        if (head->has_norm)
            kernels->layer_norm(&(sqzk_layer_norm_args){.m = n, .n = head->norm.n, .x = x, .ldx = ldx, .weight = head->norm.weight, .bias = head->norm.bias, .epsilon = head->norm.epsilon,
                                                        .out = scratch->dense, .ldo = ldx});
    }
    if (head->reduced) {
        const sqzi_linear_args args = {.m = n, .x = x, .ldx = ldx, .y = scratch->reduced, .ldy = head->reduce.n_out};
        if (!sqzi_linear_run(&head->reduce, &args, &scratch->linear)) return false;
        x = scratch->reduced;
        ldx = head->reduce.n_out;
    }
    const sqzi_linear_args args = {.m = n, .x = x, .ldx = ldx, .y = logits, .ldy = ldl};
    return sqzi_linear_run(&head->output, &args, &scratch->linear);
}
