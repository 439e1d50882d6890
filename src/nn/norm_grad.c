/* SPDX-License-Identifier: Apache-2.0 */
/* The backward of a LayerNorm: rows, then sums of chains of them. */
#include "nn/norm_grad.h"

#include "kernel/grad/grad_table.h"

static size_t chains_of(size_t m)
{
    return (m + SQZI_GRAD_ROWS - 1) / SQZI_GRAD_ROWS;
}

size_t sqzi_norm_chains(size_t m, size_t n)
{
    return 2 * n * chains_of(m);
}

void sqzi_norm_grad_rows(const sqzi_norm_grad_args *args, sqzi_range rows)
{
    const size_t n = args->norm->n;
    for (size_t row = rows.begin, stop; row < rows.end; row = stop) {
        stop = row + SQZI_GRAD_ROWS < rows.end ? row + SQZI_GRAD_ROWS : rows.end;
        sqzi_real *chain = args->chains ? args->chains + row / SQZI_GRAD_ROWS * 2 * n : NULL;
        args->kernels->layer_norm_grad(
            &(sqzk_layer_norm_grad_args){.m = stop - row,
                                         .n = n,
                                         .x = args->x + row * args->ldx,
                                         .ldx = args->ldx,
                                         .weight = args->norm->weight,
                                         .epsilon = args->norm->epsilon,
                                         .dy = args->dy + row * args->lddy,
                                         .lddy = args->lddy,
                                         .dx = args->dx + row * args->lddx,
                                         .lddx = args->lddx,
                                         .d_weight = chain,
                                         .d_bias = chain ? chain + n : NULL});
    }
}

static void add_chains(const sqzi_norm_grad_args *args, const sqzi_real *chains, bool beta,
                       sqzi_range columns, sqzi_real *out)
{
    if (!out) return;
    args->kernels->sum_rows(&(sqzk_sum_rows_args){.m = chains_of(args->m),
                                                  .n = columns.end - columns.begin,
                                                  .x = chains + columns.begin,
                                                  .ldx = 2 * args->norm->n,
                                                  .chain = 1,
                                                  .beta = beta,
                                                  .out = out + columns.begin});
}

void sqzi_norm_grad_weights(const sqzi_norm_grad_args *args, const sqzi_norm_numbers *gradient,
                            bool beta, sqzi_range columns)
{
    add_chains(args, args->chains, beta, columns, gradient->weight);
    add_chains(args, args->chains + args->norm->n, beta, columns, gradient->bias);
}
