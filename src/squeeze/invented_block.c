/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of a plan, packed. */
#include "squeeze/invented_block.h"

#include <string.h>

#include "base/error.h"
#include "model/loader.h"
#include "nn/pack.h"
#include "squeeze/plan_bytes.h"

/* Numbers that all matrices are packed from: [most] and [most outputs] of the largest. */
typedef struct source {
    const sqzk_table *kernels;
    bool integers;
    sqzi_arena *arena;
    const uint32_t *order; /* what a shape has where groups make permutations */
    float *floats, *scale;
    int8_t *bytes;
} source;

static void invent_matrix(const source *s, const sqzi_weight_matrix *shape, sqzi_matrix *out)
{
    const sqzk_gemm *gemm = s->integers ? s->kernels->gemm_s8 : s->kernels->gemm_f32;
    sqzi_matrix made = sqzi_matrix_of(gemm, shape->columns * shape->groups, shape->rows,
                                      shape->groups);
    void *packed = sqzi_arena_take(s->arena, sqzi_matrix_bytes(&made), 1);
    made.gather = out->gather;
    made.zero_point = out->zero_point;
    made.unsigned_rows = out->unsigned_rows;
    made.packed = packed;
    *out = made;
    const sqzi_numbers numbers = s->integers ? (sqzi_numbers){s->bytes, SQZI_S8, s->scale}
                                             : (sqzi_numbers){s->floats, SQZI_F32, NULL};
    if (packed) sqzi_pack(out, numbers, NULL, packed);
}

/* A permutation that keeps nothing where it was. */
static const uint32_t *invent_order(const source *s, uint32_t n)
{
    uint32_t *order = sqzi_arena_take(s->arena, n, sizeof *order);
    uint32_t step = n / 2;
    for (uint32_t common = 0; common != 1; step++) {
        uint32_t b = n;
        common = step + 1;
        while (b) {
            const uint32_t rest = common % b;
            common = b;
            b = rest;
        }
    }
    for (uint32_t i = 0; order && i < n; i++) order[i] = (uint32_t)((uint64_t)i * step % n);
    return order;
}

/* What term t of a linear of the model gathers. */
static const uint32_t *gather_of(const sqzi_linear *of, uint32_t t)
{
    const sqzi_term *term = &of->terms[t < of->n_terms ? t : 0];
    return term->a.packed ? term->a.gather : term->b.gather;
}

/* `reads` is what stands in front of the linear: behind GELU and ReLU its rows are unsigned. */
static void invent_linear(const source *s, const sqzi_weight_linear *shape, const sqzi_linear *of,
                          sqzk_activation reads, sqzi_linear *out)
{
    const bool whole = !shape->terms[0].a.rows && shape->n_terms == 1;
    const uint32_t *order = shape->in == s->order ? invent_order(s, shape->n_in) : NULL;
    float zero_point = 0;
    *out = *of;
    out->n_in = shape->n_in;
    out->n_out = shape->n_out;
    out->n_terms = shape->n_terms;
    if (shape->out == s->order) out->from = invent_order(s, shape->n_out);
    for (uint32_t t = 0; t < shape->n_terms; t++) {
        sqzi_term *term = &out->terms[t];
        const bool low_rank = shape->terms[t].a.rows > 0;
        *term = (sqzi_term){0};
        const uint32_t groups = low_rank ? shape->terms[t].a.groups : shape->terms[t].b.groups,
                       *gather = shape->in == s->order ? (groups > 1 ? order : NULL)
                                                       : gather_of(of, t);
        *(low_rank ? &term->a.gather : &term->b.gather) = gather;
        if (s->integers && whole && sqzi_lowest_of(reads, &zero_point)) {
            term->b.unsigned_rows = true;
            term->b.zero_point = zero_point;
        }
        if (low_rank) invent_matrix(s, &shape->terms[t].a, &term->a);
        invent_matrix(s, &shape->terms[t].b, &term->b);
    }
    sqzi_real *bias = sqzi_arena_take(s->arena, shape->n_out, sizeof *bias);
    out->bias = bias;
    if (bias) memset(bias, 0, shape->n_out * sizeof *bias);
}

static void invent(const source *s, const sqzi_weight_block *shape, const sqzi_block *of,
                   sqzi_block *block)
{
    *block = *of;
    block->heads = shape->heads;
    block->ffn_width = shape->ffn_width;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        invent_linear(s, &shape->linears[j], sqzi_block_linear_of(of, j),
                      j == SQZI_FFN_DOWN ? of->activation : SQZK_IDENTITY,
                      sqzi_block_linear(block, j));
}

/* Of the largest matrix: its numbers and its rows. */
static void largest(const sqzi_weight_block *shape, size_t *numbers, size_t *rows)
{
    *numbers = *rows = 0;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        for (uint32_t t = 0; t < shape->linears[j].n_terms; t++) {
            const sqzi_weight_term *term = &shape->linears[j].terms[t];
            const sqzi_weight_matrix *const both[] = {&term->a, &term->b};
            for (int k = 0; k < 2; k++) {
                const size_t n = (size_t)both[k]->rows * both[k]->columns;
                *numbers = n > *numbers ? n : *numbers;
                *rows = both[k]->rows > *rows ? both[k]->rows : *rows;
            }
        }
}

/* Small and different: what a product takes does not depend on them. */
static void draw(source *s, size_t numbers, size_t rows)
{
    uint64_t random = 1;
    for (size_t i = 0; i < numbers; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int32_t q = (int32_t)(random >> 40) % 127 - 63;
        if (s->integers) s->bytes[i] = (int8_t)q;
        else s->floats[i] = (float)q / 1024;
    }
    for (size_t i = 0; i < rows; i++) s->scale[i] = 1.0f / 4096;
}

sqz_status sqzi_invented_block_make(const sqzi_weights *weights, const sqzi_block_plan *plan,
                                    bool integers, sqzi_invented_block *block, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &weights->model->context->allocator;
    const sqzi_block *of = &weights->model->encoder.blocks[plan->source];
    sqzi_weight_block shape = weights->blocks[plan->source];
    uint32_t order;
    float bias;
    size_t numbers, rows;
    sqzi_arena work = sqzi_arena_over(NULL, SIZE_MAX), arena = work;
    source s = {.kernels = &weights->model->context->kernels,
                .integers = integers,
                .arena = &arena,
                .order = &order};
    void *memory = NULL;
    *block = (sqzi_invented_block){0};
    sqzi_plan_shape_block(plan, &(sqzi_shape_numbers){&order, &bias}, &shape);
    largest(&shape, &numbers, &rows);
    FAIL_IF(integers && !s.kernels->gemm_s8, SQZ_EUNSUPPORTED, 0, "no kernel multiplies int8");
    for (int placed = 0; placed < 2; placed++) {
        s.floats = sqzi_arena_take(&work, integers ? 0 : numbers, sizeof *s.floats);
        s.bytes = sqzi_arena_take(&work, integers ? numbers : 0, sizeof *s.bytes);
        s.scale = sqzi_arena_take(&work, rows, sizeof *s.scale);
        if (placed) draw(&s, numbers, rows);
        invent(&s, &shape, of, &block->block);
        if (placed) break;
        block->bytes = arena.used;
        block->memory = sqzi_allocate(allocator, block->bytes);
        memory = sqzi_allocate(allocator, work.used);
        FAIL_IF(!memory || !block->memory, SQZ_ENOMEM, 0, "no memory for a block of %u neurons",
                plan->neurons);
        arena = sqzi_arena_over(block->memory, block->bytes);
        work = sqzi_arena_over(memory, work.used);
    }
fail:
    sqzi_release(allocator, memory, work.used);
    return status;
}

void sqzi_invented_block_discard(const sqzi_weights *weights, sqzi_invented_block *block)
{
    sqzi_release(&weights->model->context->allocator, block->memory, block->bytes);
    *block = (sqzi_invented_block){0};
}
