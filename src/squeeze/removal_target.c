/* SPDX-License-Identifier: Apache-2.0 */
/* Finding what neurons or heads are removed from. */
#include "squeeze/removal_target.h"

#include "base/error.h"

static uint32_t common_multiple(uint32_t a, uint32_t b)
{
    uint32_t x = a, y = b;
    while (y) {
        const uint32_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* What stands against removing rows or columns of a linear, or NULL. */
static const char *obstacle(const sqzi_weight_linear *linear)
{
    const sqzi_weight_matrix *b = &linear->terms[0].b;
    if (linear->n_terms != 1) return "is a sum of terms";
    if (linear->terms[0].a.rows) return "is a product of two matrices";
    if (linear->in || linear->out) return "reads or writes in another order";
    return !b->values || b->rounded.integers ? "is rounded already" : NULL;
}

static sqz_status check_linear(const sqzi_removal_target *t, uint32_t i, uint32_t j,
                               sqz_error *error)
{
    const char *found = obstacle(&t->block->linears[j]);
    if (!found) return SQZ_OK;
    return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                     "block %u: %s %s: %s can be removed of whole matrices alone, so before rank, "
                     "groups and bits",
                     i, sqzi_block_linear_name(j), found, t->units);
}

/* Mean variance of the inputs times the damping; 1 where nothing varies at all. */
static double damping_of(const sqzi_input_statistics *input)
{
    double sum = 0;
    for (size_t i = 0; i < input->n; i++) sum += (double)input->covariance[i * input->n + i];
    return sum > 0 ? SQZI_REMOVAL_DAMPING * sum / input->n : 1;
}

sqz_status sqzi_removal_shape(const sqzi_weights *weights, uint32_t i, sqzi_removed what,
                              sqzi_removal_target *t, sqz_error *error)
{
    static const uint32_t makers[][SQZI_MOST_MAKERS] = {{SQZI_FFN_UP},
                                                        {SQZI_ATTN_Q, SQZI_ATTN_K, SQZI_ATTN_V}},
                          readers[] = {SQZI_FFN_DOWN, SQZI_ATTN_OUTPUT};
    sqz_status status = SQZ_OK;
    sqzi_weight_block *block = &weights->blocks[i];
    const bool heads = what == SQZI_REMOVE_HEADS;
    *t = (sqzi_removal_target){.weights = weights,
                               .allocator = &weights->model->context->allocator,
                               .block = block,
                               .units = heads ? "heads" : "neurons",
                               .reader = &block->linears[readers[what]],
                               .n_makers = heads ? 3 : 1,
                               .n_units = heads ? block->heads : block->ffn_width,
                               .unit = heads ? block->head_width : 1};
    TRY(check_linear(t, i, readers[what], error));
    const sqzi_weight_matrix *b = &t->reader->terms[0].b;
    t->groups = t->multiple = b->groups;
    t->rows = b->rows / b->groups;
    t->columns = b->columns;
    for (uint32_t j = 0; j < t->n_makers; j++) {
        TRY(check_linear(t, i, makers[what][j], error));
        t->makers[j] = &block->linears[makers[what][j]];
        t->multiple = common_multiple(t->multiple, t->makers[j]->terms[0].b.groups);
    }
    FAIL_IF(t->n_units % t->multiple, SQZ_EUNSUPPORTED, 0,
            "block %u: %u %s do not share evenly among %u groups: none can be removed", i,
            t->n_units, t->units, t->multiple);
fail:
    return status;
}

sqz_status sqzi_removal_find(const sqzi_weights *weights, uint32_t i, sqzi_removed what,
                             const sqzi_input_statistics *input, sqzi_removal_target *t,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_removal_shape(weights, i, what, t, error));
    FAIL_IF(input->n != t->reader->n_in, SQZ_EINVAL, 0,
            "block %u: statistics of %u inputs, %s reads %u", i, input->n,
            sqzi_block_linear_name(what == SQZI_REMOVE_HEADS ? SQZI_ATTN_OUTPUT : SQZI_FFN_DOWN),
            t->reader->n_in);
    t->input = input;
    t->damping = damping_of(input);
fail:
    return status;
}

/* The covariance of the inputs of group g of the reader, and its weights. */
void sqzi_removal_moments(const sqzi_removal_target *t, uint32_t g, double damping, double *moments)
{
    const size_t n = t->columns, stride = t->input->n, first = g * n;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            moments[i * n + j] = (double)t->input->covariance[(first + i) * stride + first + j];
        moments[i * n + i] += damping;
    }
}

void sqzi_removal_weights(const sqzi_removal_target *t, uint32_t g, double *weights)
{
    const size_t numbers = (size_t)t->rows * t->columns;
    const float *values = t->reader->terms[0].b.values + g * numbers;
    for (size_t i = 0; i < numbers; i++) weights[i] = (double)values[i];
}
