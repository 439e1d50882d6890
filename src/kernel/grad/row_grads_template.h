/* SPDX-License-Identifier: Apache-2.0 */
/* The row kernels of gradients on vectors. Include after a vector_<isa>.h with LEVEL(name) defined,
 * which makes the level's function names. Sums over a row run as in row_sums.h; sums over rows are
 * chains of a column each, from the first row on, as the portable kernels make them. */
#include "kernel/grad/grad_kernels.h"
#include "kernel/grad/slopes.h"
#include "kernel/rows/row_sums.h"

#include <math.h>
#include <string.h>

enum { SUM_VECTORS = 6 }; /* one chain waits for itself; 96 columns are 6, 12 or 24 */

/* A row of layer_norm_grad. */
typedef struct norm_row {
    const float *x, *dy, *weight;
    float *dx, *d_weight, *d_bias;
    vec mean, scale;
    vec sum, with_normed; /* of g, of g n; means in the second pass */
} norm_row;

/* `part` columns of the first pass; what is not there adds 0. */
static inline void add_products(norm_row *row, size_t j, size_t part)
{
    const vec normed = v_mul(v_sub(v_load_part(row->x + j, part), row->mean), row->scale),
              dy = v_load_part(row->dy + j, part),
              g = v_mul(dy, v_load_part(row->weight + j, part));
    row->sum = v_add(row->sum, g);
    row->with_normed = v_fma(g, normed, row->with_normed);
    if (!row->d_weight) return;
    v_store_part(row->d_weight + j, v_fma(dy, normed, v_load_part(row->d_weight + j, part)), part);
    v_store_part(row->d_bias + j, v_add(dy, v_load_part(row->d_bias + j, part)), part);
}

static inline void write_dx(const norm_row *row, size_t j, size_t part)
{
    const vec normed = v_mul(v_sub(v_load_part(row->x + j, part), row->mean), row->scale),
              g = v_mul(v_load_part(row->dy + j, part), v_load_part(row->weight + j, part)),
              rest = v_sub(v_sub(g, row->sum), v_mul(normed, row->with_normed));
    v_store_part(row->dx + j, v_mul(row->scale, rest), part);
}

void LEVEL(sqzk_layer_norm_grad)(const sqzk_layer_norm_grad_args *args)
{
    const size_t n = args->n, whole = n / V_WIDTH * V_WIDTH;
    const float count = (float)n;
    if (args->d_weight) {
        memset(args->d_weight, 0, n * sizeof *args->d_weight);
        memset(args->d_bias, 0, n * sizeof *args->d_bias);
    }
    for (size_t r = 0; r < args->m; r++) {
        const float *x = args->x + r * args->ldx, mean = row_sum(x, n) / count;
        norm_row row = {.x = x,
                        .dy = args->dy + r * args->lddy,
                        .weight = args->weight,
                        .dx = args->dx + r * args->lddx,
                        .d_weight = args->d_weight,
                        .d_bias = args->d_bias,
                        .mean = v_set(mean),
                        .scale = v_set(1.0f /
                                       sqrtf(row_squares(x, n, mean) / count + args->epsilon)),
                        .sum = v_set(0.0f),
                        .with_normed = v_set(0.0f)};
        for (size_t j = 0; j < whole; j += V_WIDTH) add_products(&row, j, V_WIDTH);
        if (whole < n) add_products(&row, whole, n - whole);
        row.sum = v_set(v_sum(row.sum) / count);
        row.with_normed = v_set(v_sum(row.with_normed) / count);
        for (size_t j = 0; j < whole; j += V_WIDTH) write_dx(&row, j, V_WIDTH);
        if (whole < n) write_dx(&row, whole, n - whole);
    }
}

static float row_products(const float *x, const float *y, size_t n)
{
    vec a = v_set(0.0f), b = a;
    size_t j = 0;
    for (; j + 2 * V_WIDTH <= n; j += 2 * V_WIDTH) {
        a = v_fma(v_load(x + j), v_load(y + j), a);
        b = v_fma(v_load(x + j + V_WIDTH), v_load(y + j + V_WIDTH), b);
    }
    for (; j < n; j += V_WIDTH) {
        const size_t part = n - j < V_WIDTH ? n - j : V_WIDTH;
        a = v_fma(v_load_part(x + j, part), v_load_part(y + j, part), a);
    }
    return v_sum(v_add(a, b));
}

void LEVEL(sqzk_softmax_grad)(const sqzk_softmax_grad_args *args)
{
    const vec scale = v_set(args->scale);
    for (size_t r = 0; r < args->m; r++) {
        const float *p = args->p + r * args->ldp,
                    *q = (args->dropped ? args->dropped : args->p) + r * args->ldp;
        const float *add = args->add ? args->add + r * args->ldadd : NULL;
        float *dp = args->dp + r * args->lddp;
        const vec sum = v_set(row_products(q, dp, args->n));
        FOR_ROW(j, part, args->n)
        {
            vec ds = v_sub(v_mul(v_load_part(q + j, part), v_load_part(dp + j, part)),
                           v_mul(v_load_part(p + j, part), sum));
            if (add) ds = v_add(ds, v_load_part(add + j, part));
            v_store_part(dp + j, v_mul(scale, ds), part);
        }
    }
}

void LEVEL(sqzk_activate_grad)(const sqzk_activate_grad_args *args)
{
    FOR_ROW(j, part, args->n)
    {
        const vec slope = v_slope(args->activation, args->of_outputs,
                                  v_load_part(args->x + j, part));
        v_store_part(args->dx + j, v_mul(v_load_part(args->dy + j, part), slope), part);
    }
}

/* `vectors` vectors of columns, the last of `part` numbers. */
static inline void sum_columns(const sqzk_sum_rows_args *args, size_t j, size_t vectors,
                               size_t part)
{
    vec sum[SUM_VECTORS], chain[SUM_VECTORS];
    for (size_t v = 0; v < vectors; v++)
        sum[v] = args->beta ? v_load_part(args->out + j + v * V_WIDTH, part) : v_set(0.0f);
    for (size_t r = 0; r < args->m;) {
        const size_t stop = args->m - r < args->chain ? args->m : r + args->chain;
        const float *x = args->x + r * args->ldx + j;
        for (size_t v = 0; v < vectors; v++) chain[v] = v_load_part(x + v * V_WIDTH, part);
        for (r++; r < stop; r++) {
            x += args->ldx;
            for (size_t v = 0; v < vectors; v++)
                chain[v] = v_add(chain[v], v_load_part(x + v * V_WIDTH, part));
        }
        for (size_t v = 0; v < vectors; v++) sum[v] = v_add(sum[v], chain[v]);
    }
    for (size_t v = 0; v < vectors; v++) v_store_part(args->out + j + v * V_WIDTH, sum[v], part);
}

void LEVEL(sqzk_sum_rows)(const sqzk_sum_rows_args *args)
{
    size_t j = 0;
    for (; j + SUM_VECTORS * V_WIDTH <= args->n; j += SUM_VECTORS * V_WIDTH)
        sum_columns(args, j, SUM_VECTORS, V_WIDTH);
    for (; j + V_WIDTH <= args->n; j += V_WIDTH) sum_columns(args, j, 1, V_WIDTH);
    if (j < args->n) sum_columns(args, j, 1, args->n - j);
}
