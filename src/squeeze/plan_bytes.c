/* SPDX-License-Identifier: Apache-2.0 */
/* Weights without numbers, in the shapes of a plan, and what the writer says they take. */
#include "squeeze/plan_bytes.h"

#include <string.h>

#include "base/error.h"

typedef struct shapes {
    sqzi_weight_block *blocks; /* [n] */
    sqzi_weight_other *others; /* [n_others] of the weights */
    sqzi_shape_numbers numbers;
    float bias;
    uint32_t n, most;
} shapes;

static void shape_matrix(sqzi_weight_matrix *matrix, uint32_t rows, uint32_t columns,
                         sqzi_storage storage)
{
    *matrix = (sqzi_weight_matrix){
        .rows = rows, .columns = columns, .groups = matrix->groups, .storage = storage};
}

/* The terms that rank and groups make of a linear, n_in and n_out set. Rank alone keeps groups. */
static void shape_terms(const sqzi_shape_numbers *numbers, const sqzi_linear_plan *plan,
                        sqzi_weight_linear *linear)
{
    const bool grouped = plan->groups < 2 && linear->n_terms == 1 && !linear->terms[0].a.rows;
    const uint32_t groups = grouped ? linear->terms[0].b.groups : 1;
    linear->n_terms = 0;
    if (plan->groups > 1) {
        sqzi_weight_term *term = &linear->terms[linear->n_terms++];
        *term = (sqzi_weight_term){.b.groups = plan->groups};
        shape_matrix(&term->b, linear->n_out, linear->n_in / plan->groups, plan->storage);
        linear->in = linear->out = numbers->order;
    }
    if (plan->rank) {
        sqzi_weight_term *term = &linear->terms[linear->n_terms++];
        *term = (sqzi_weight_term){.a.groups = groups, .b.groups = groups};
        shape_matrix(&term->a, plan->rank * groups, linear->n_in / groups, plan->storage);
        shape_matrix(&term->b, linear->n_out, plan->rank, plan->storage);
    }
}

static void shape_linear(const sqzi_shape_numbers *numbers, const sqzi_linear_plan *plan,
                         uint32_t n_in, uint32_t n_out, sqzi_weight_linear *linear)
{
    const bool changed = n_in != linear->n_in || n_out != linear->n_out || plan->groups > 1 ||
                         plan->rank || plan->storage != SQZI_STORED_F32;
    linear->n_in = n_in;
    linear->n_out = n_out;
    if (changed) linear->bias = numbers->bias;
    if (plan->groups > 1 || plan->rank) {
        shape_terms(numbers, plan, linear);
        return;
    }
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        sqzi_weight_term *term = &linear->terms[t];
        if (term->a.rows) {
            shape_matrix(&term->a, term->a.rows, term->a.columns, plan->storage);
            shape_matrix(&term->b, n_out, term->b.columns, plan->storage);
        } else shape_matrix(&term->b, n_out, n_in / term->b.groups, plan->storage);
    }
}

void sqzi_plan_shape_block(const sqzi_block_plan *plan, const sqzi_shape_numbers *numbers,
                           sqzi_weight_block *block)
{
    const uint32_t inner = plan->heads * block->head_width;
    block->heads = plan->heads;
    block->ffn_width = plan->neurons;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        sqzi_weight_linear *linear = &block->linears[j];
        const uint32_t n_in = j == SQZI_ATTN_OUTPUT ? inner
                              : j == SQZI_FFN_DOWN  ? plan->neurons
                                                    : linear->n_in,
                       n_out = j < SQZI_ATTN_OUTPUT ? inner
                               : j == SQZI_FFN_UP   ? plan->neurons
                                                    : linear->n_out;
        shape_linear(numbers, &plan->linears[j], n_in, n_out, linear);
    }
}

static void shape_tables(shapes *s, const sqzi_squeeze_plan *plan, sqzi_weights *w)
{
    if (plan->embedding == SQZ_EMBEDDING_PRODUCT) w->product.parts = plan->embedding_size;
    if (plan->embedding == SQZ_EMBEDDING_WIDTH) {
        w->factor = (sqzi_weight_matrix){.groups = 1};
        shape_matrix(&w->factor, w->embedding_width, plan->embedding_size, plan->factor);
        w->word.columns = plan->embedding_size;
    } else if (w->factor.rows) {
        shape_matrix(&w->factor, w->factor.rows, w->factor.columns, plan->factor);
    }
    shape_matrix(&w->word, w->word.rows, w->word.columns, plan->word);
    shape_matrix(&w->position, w->position.rows, w->position.columns, plan->position);
    if (w->projection.n_terms)
        shape_linear(&s->numbers, &(sqzi_linear_plan){.groups = 1, .storage = plan->projection},
                     w->projection.n_in, w->projection.n_out, &w->projection);
}

static void shape_others(shapes *s, const sqzi_squeeze_plan *plan, sqzi_weights *w)
{
    for (uint32_t i = 0; i < w->n_others; i++) {
        sqzi_weight_linear *linear = &s->others[i].linear;
        const float *bias = w->others[i].linear.bias;
        s->others[i] = w->others[i];
        if (plan->drop_pooler && strcmp(w->others[i].name, "pooler") == 0)
            *linear = (sqzi_weight_linear){0};
        else {
            shape_linear(&s->numbers, &(sqzi_linear_plan){.groups = 1, .storage = plan->others},
                         linear->n_in, linear->n_out, linear);
            if (!bias) linear->bias = NULL;
        }
    }
    w->others = s->others;
}

static uint32_t largest_side(const sqzi_weights *w)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            const sqzi_weight_linear *linear = &w->blocks[i].linears[j];
            most = linear->n_in > most ? linear->n_in : most;
            most = linear->n_out > most ? linear->n_out : most;
        }
    return most;
}

sqz_status sqzi_plan_bytes(const sqzi_weights *weights, const sqzi_squeeze_plan *plan,
                           const sqzi_step *step, uint64_t *bytes, sqz_error *error)
{
    const sqz_allocator *allocator = &weights->model->context->allocator;
    sqz_status status = SQZ_OK;
    sqzi_weights w = *weights;
    shapes s = {.n = plan->n_blocks, .most = largest_side(weights)};
    const size_t block_bytes = s.n * sizeof *s.blocks,
                 order_bytes = s.most * sizeof *s.numbers.order,
                 other_bytes = w.n_others * sizeof *s.others;
    s.blocks = sqzi_allocate(allocator, block_bytes);
    s.numbers.order = sqzi_allocate_zeroed(allocator, s.most, sizeof *s.numbers.order);
    s.numbers.bias = &s.bias;
    s.others = sqzi_allocate(allocator, other_bytes);
    FAIL_IF(!s.blocks || !s.numbers.order || !s.others, SQZ_ENOMEM, 0,
            "no memory for the shapes of %u blocks", s.n);
    for (uint32_t i = 0; i < s.n; i++) {
        s.blocks[i] = weights->blocks[plan->blocks[i].source];
        sqzi_plan_shape_block(&plan->blocks[i], &s.numbers, &s.blocks[i]);
    }
    w.blocks = s.blocks;
    w.n_blocks = s.n;
    shape_tables(&s, plan, &w);
    shape_others(&s, plan, &w);
    if (step) status = sqzi_weights_write(&w, step, NULL, bytes, error);
    else *bytes = sqzi_weights_bytes(&w);
fail:
    sqzi_release(allocator, s.blocks, block_bytes);
    sqzi_release(allocator, s.numbers.order, order_bytes);
    sqzi_release(allocator, s.others, other_bytes);
    return status;
}
