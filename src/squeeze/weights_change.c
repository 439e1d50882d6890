/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks, outputs and inputs that stay. */
#include "base/error.h"
#include "squeeze/weights.h"

void sqzi_weights_keep_blocks(sqzi_weights *w, const uint32_t *order, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->n_blocks; i++) {
        if (kept == n || order[kept] != i) {
            sqzi_weight_block_drop(w, &w->blocks[i]);
            continue;
        }
        if (kept != i) w->blocks[kept] = w->blocks[i];
        kept++;
    }
    w->n_blocks = kept;
}

static sqz_status check_plain(const sqzi_weight_linear *linear, sqz_error *error)
{
    if (linear->n_terms == 1 && !linear->terms[0].a.rows && linear->terms[0].b.groups == 1 &&
        !linear->in && !linear->out)
        return SQZ_OK;
    return sqzi_fail(
        error, SQZ_EUNSUPPORTED, 0,
        "rows and columns can be taken out of a dense linear alone, not out of groups, "
        "factors, sums or what is permuted");
}

sqz_status sqzi_weight_linear_keep_outputs(const sqzi_weights *w, sqzi_weight_linear *linear,
                                           const uint32_t *kept, uint32_t n, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &w->model->context->allocator;
    sqzi_weight_matrix *b = &linear->terms[0].b, smaller = {0};
    const size_t columns = b->columns;
    float *bias = NULL;
    TRY(check_plain(linear, error));
    if (linear->bias) {
        bias = sqzi_allocate(allocator, n * sizeof *bias);
        FAIL_IF(!bias, SQZ_ENOMEM, 0, "no memory for a bias of %u numbers", n);
    }
    TRY(sqzi_weight_matrix_make(w, n, b->columns, 1, &smaller, error));
    for (size_t r = 0; r < n; r++) {
        memcpy(smaller.values + r * columns, b->values + kept[r] * columns,
               columns * sizeof *b->values);
        if (bias) bias[r] = linear->bias[kept[r]];
    }
    sqzi_weight_matrix_drop(w, b);
    *b = smaller;
    sqzi_release(allocator, linear->bias, linear->n_out * sizeof *bias);
    linear->bias = bias;
    linear->n_out = n;
    return SQZ_OK;
fail:
    sqzi_release(allocator, bias, n * sizeof *bias);
    return status;
}

sqz_status sqzi_weight_linear_keep_inputs(const sqzi_weights *w, sqzi_weight_linear *linear,
                                          const uint32_t *kept, uint32_t n, sqz_error *error)
{
    sqzi_weight_matrix *b = &linear->terms[0].b, smaller = {0};
    sqz_status status = check_plain(linear, error);
    if (status == SQZ_OK) status = sqzi_weight_matrix_make(w, b->rows, n, 1, &smaller, error);
    if (status != SQZ_OK) return status;
    for (size_t r = 0; r < b->rows; r++)
        for (size_t i = 0; i < n; i++)
            smaller.values[r * n + i] = b->values[r * b->columns + kept[i]];
    sqzi_weight_matrix_drop(w, b);
    *b = smaller;
    linear->n_in = n;
    return SQZ_OK;
}
