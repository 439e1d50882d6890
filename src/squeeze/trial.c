/* SPDX-License-Identifier: Apache-2.0 */
/* Trials: the model's encoder with some blocks packed from other weights, run from the first of
 * them on. */
#include "squeeze/trial.h"

#include <string.h>

#include "base/error.h"
#include "nn/pack.h"

enum { BATCH_TOKENS = 512 };

static const sqz_allocator *allocator_of(const sqzi_trial *t)
{
    return &t->model->context->allocator;
}

static uint32_t members(const sqzi_trial *t)
{
    return sqzi_thread_pool_size(t->model->context->pool);
}

static uint32_t batch_tokens(const sqzi_trial *t)
{
    return t->sequences->longest > BATCH_TOKENS ? t->sequences->longest : BATCH_TOKENS;
}

static size_t numbers(const sqzi_trial *t)
{
    return (size_t)sqzi_sequences_tokens(t->sequences) * t->encoder.width;
}

static void lay_out(sqzi_trial *t, sqzi_arena *arena)
{
    const uint32_t n = t->encoder.n_blocks;
    const size_t outputs = (size_t)t->n_vectors * t->dimensions;
    sqzi_workspace_layout(&t->workspace, &t->model->encoder, batch_tokens(t), t->sequences->longest,
                          members(t), arena);
    sqzi_head_layout(&t->head, &t->model->head, members(t), arena);
    t->encoder.blocks = sqzi_arena_take(arena, n, sizeof *t->encoder.blocks);
    t->blocks = sqzi_arena_take(arena, n, sizeof *t->blocks);
    t->states = sqzi_arena_take(arena, n * numbers(t), sizeof *t->states);
    t->hidden = sqzi_arena_take(arena, numbers(t), sizeof *t->hidden);
    t->whole = sqzi_arena_take(arena, outputs, sizeof *t->whole);
    t->now = sqzi_arena_take(arena, outputs, sizeof *t->now);
    t->first = sqzi_arena_take(arena, batch_tokens(t) + 1, sizeof *t->first);
}

/* ---- runs ---- */

typedef struct job {
    sqzi_trial *trial;
    uint32_t stage;
    sqzi_batch batch;
    sqzi_real *hidden;
} job;

static void run_stage(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_trial *t = j->trial;
    const size_t width = t->encoder.width;
    if (j->stage == 0)
        sqzi_encoder_embed(&t->encoder, &j->batch, NULL, &t->workspace, j->hidden, width, team);
    else
        sqzi_encoder_run_block(&t->encoder, j->stage - 1, &j->batch, NULL, &t->workspace, j->hidden,
                               width, team);
}

/* All sequences through one stage. */
static void run_stages(sqzi_trial *t, uint32_t stage)
{
    const uint32_t *first = (const uint32_t *)(const void *)t->sequences->first.data,
                   *ids = (const uint32_t *)(const void *)t->sequences->ids.data;
    job j = {.trial = t, .stage = stage};
    for (uint32_t b = 0, end; b < t->sequences->n; b = end) {
        for (end = b; end < t->sequences->n && first[end + 1] - first[b] <= batch_tokens(t); end++)
            t->first[end + 1 - b] = first[end + 1] - first[b];
        t->first[0] = 0;
        j.batch = (sqzi_batch){end - b,  first[end] - first[b], t->sequences->longest,
                               t->first, ids + first[b],        NULL};
        j.hidden = t->hidden + (size_t)first[b] * t->encoder.width;
        sqzi_thread_pool_run(t->model->context->pool, members(t), run_stage, &j);
    }
}

static void run_head(void *argument, const sqzi_team *team)
{
    const sqzi_head_args *args = argument;
    sqzi_head_embed(args, team);
}

/* From a stage on, whose input lies in hidden, to the vectors at `out`; what the blocks read to
 * states, where it is to be kept. */
static void run(sqzi_trial *t, uint32_t stage, bool keep, sqzi_real *out)
{
    sqzi_head_args args = {.head = &t->model->head,
                           .kernels = &t->model->context->kernels,
                           .scratch = &t->head,
                           .hidden = t->hidden,
                           .pooling = t->pooling,
                           .n = t->n_vectors,
                           .first = (const uint32_t *)(const void *)t->sequences->first.data,
                           .out = out,
                           .ldo = t->dimensions,
                           .dimensions = t->dimensions,
                           .normalize = true};
    for (; stage <= t->encoder.n_blocks; stage++) {
        if (keep && stage)
            memcpy(t->states + (stage - 1) * numbers(t), t->hidden, numbers(t) * sizeof *t->hidden);
        const sqzi_trial_block *b = stage ? &t->blocks[stage - 1] : NULL;
        if (!b || !(b->absent || b->left_out)) run_stages(t, stage);
    }
    sqzi_thread_pool_run(t->model->context->pool, members(t), run_head, &args);
}

void sqzi_trial_run(sqzi_trial *t, uint32_t stage, double *change)
{
    const size_t n = (size_t)t->n_vectors * t->dimensions;
    double sum = 0;
    if (stage)
        memcpy(t->hidden, t->states + (stage - 1) * numbers(t), numbers(t) * sizeof *t->hidden);
    run(t, stage, false, t->now);
    for (size_t i = 0; i < n; i++) {
        const double off = (double)t->now[i] - (double)t->whole[i];
        sum += off * off;
    }
    *change = sum / 2 / t->n_vectors;
}

sqz_status sqzi_trial_open(const sqz_model *model, const sqzi_sequences *sequences,
                           const uint32_t *blocks, uint32_t n, sqzi_trial *t, sqz_error *error)
{
    const sqzi_head *head = &model->head;
    *t = (sqzi_trial){.model = model, .sequences = sequences, .encoder = model->encoder};
    t->pooling = head->kind == SQZ_HEAD_NONE ? model->info.pooling : head->pooling;
    if (t->pooling == SQZ_POOLING_DEFAULT) t->pooling = SQZ_POOLING_NONE;
    t->dimensions = t->pooling == SQZ_POOLING_NONE ? model->info.width : head->embedding_width;
    t->n_vectors = t->pooling == SQZ_POOLING_NONE ? sqzi_sequences_tokens(sequences) : sequences->n;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(t, &arena);
    t->bytes = arena.used;
    t->block = sqzi_allocate_zeroed(allocator_of(t), t->bytes, 1);
    if (!t->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for trials on %u tokens",
                         sqzi_sequences_tokens(sequences));
    arena = sqzi_arena_over(t->block, t->bytes);
    lay_out(t, &arena);
    for (uint32_t i = 0; i < t->encoder.n_blocks && blocks; i++) t->blocks[i].absent = true;
    for (uint32_t i = 0; i < n && blocks; i++) t->blocks[blocks[i]].absent = false;
    sqzi_trial_reset(t);
    run(t, 0, true, t->whole);
    return SQZ_OK;
}

/* ---- weights ---- */

static void drop_block(sqzi_trial *t, uint32_t i)
{
    sqzi_release(allocator_of(t), t->blocks[i].memory, t->blocks[i].bytes);
    t->blocks[i] = (sqzi_trial_block){.absent = t->blocks[i].absent};
    t->encoder.blocks[i] = t->model->encoder.blocks[i];
}

void sqzi_trial_reset(sqzi_trial *t)
{
    for (uint32_t i = 0; i < t->encoder.n_blocks; i++) drop_block(t, i);
    t->encoder.embedding = t->model->encoder.embedding;
}

void sqzi_trial_close(sqzi_trial *t)
{
    if (t->block) {
        sqzi_trial_reset(t);
        sqzi_release(allocator_of(t), t->block, t->bytes);
    }
    *t = (sqzi_trial){0};
}

void sqzi_trial_leave_out(sqzi_trial *t, uint32_t i)
{
    t->blocks[i].left_out = true;
}

static void set_table(sqzi_table *table, const float *values, const sqzi_table *of_model)
{
    *table = *of_model;
    if (!values) return;
    table->rows = values;
    table->type = SQZI_F32;
    table->scale = NULL;
}

void sqzi_trial_set_tables(sqzi_trial *t, const float *word, const float *position)
{
    const sqzi_embedding *of_model = &t->model->encoder.embedding;
    set_table(&t->encoder.embedding.word, word, &of_model->word);
    set_table(&t->encoder.embedding.position, position, &of_model->position);
}

static void values_of(const sqzi_weight_matrix *m, sqzi_real *out)
{
    const size_t n = (size_t)m->rows * m->columns;
    for (size_t i = 0; i < n; i++)
        out[i] = m->rounded.integers
                     ? m->rounded.scale[i / m->columns] * (float)m->rounded.integers[i]
                     : m->values[i];
}

/* A matrix like `of`, of other weights; work: room for its numbers twice, where there is memory. */
static void pack_matrix(const sqzi_weight_matrix *weights, const sqzi_matrix *of,
                        const sqzk_gemm *gemm, sqzi_arena *arena, sqzi_real *work, sqzi_matrix *out)
{
    const size_t n = (size_t)weights->rows * weights->columns;
    *out = sqzi_matrix_of(gemm, weights->columns * weights->groups, weights->rows, weights->groups);
    out->packing = of->packing;
    out->gather = of->gather;
    void *packed = sqzi_arena_take(arena, sqzi_matrix_bytes(out), 1);
    out->packed = packed;
    if (!packed) return;
    sqzi_numbers stored = {work, SQZI_F32, NULL};
    values_of(weights, work);
    if (sqzi_matrix_is_permuted(out)) stored = sqzi_pack_place(out, stored, work + n);
    sqzi_pack(out, stored, NULL, packed);
}

static void pack_linear(const sqzi_weight_linear *weights, const sqzi_linear *of,
                        const sqzk_gemm *gemm, sqzi_arena *arena, sqzi_real *work, sqzi_linear *out)
{
    *out = *of;
    out->n_in = weights->n_in;
    out->n_out = weights->n_out;
    for (uint32_t t = 0; t < weights->n_terms; t++) {
        if (weights->terms[t].a.rows)
            pack_matrix(&weights->terms[t].a, &of->terms[t].a, gemm, arena, work, &out->terms[t].a);
        pack_matrix(&weights->terms[t].b, &of->terms[t].b, gemm, arena, work, &out->terms[t].b);
    }
    out->bias = NULL;
    out->bias_is_zero_point = false;
    if (!weights->bias) return;
    sqzi_real *bias = sqzi_arena_take(arena, weights->n_out, sizeof *bias);
    out->bias = bias;
    for (uint32_t j = 0; bias && j < weights->n_out; j++)
        bias[of->out && !of->from ? of->out[j] : j] = weights->bias[j];
}

static size_t largest_matrix(const sqzi_weight_block *block)
{
    size_t most = 0;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        for (uint32_t t = 0; t < block->linears[j].n_terms; t++) {
            const sqzi_weight_term *term = &block->linears[j].terms[t];
            const size_t a = (size_t)term->a.rows * term->a.columns,
                         b = (size_t)term->b.rows * term->b.columns;
            most = a > most ? a : most;
            most = b > most ? b : most;
        }
    return most;
}

sqz_status sqzi_trial_set_block(sqzi_trial *t, uint32_t i, const sqzi_weight_block *weights,
                                sqz_error *error)
{
    const sqz_allocator *allocator = allocator_of(t);
    const size_t most = largest_matrix(weights), work_bytes = 2 * most * sizeof(sqzi_real);
    sqzi_block *block = &t->encoder.blocks[i];
    sqzi_real *work = sqzi_allocate(allocator, work_bytes);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    drop_block(t, i);
    const sqzi_block of = *block;
    for (int placed = 0; placed < 2; placed++) {
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            pack_linear(&weights->linears[j], sqzi_block_linear_of(&of, j),
                        t->model->context->kernels.gemm_f32, &arena, work,
                        sqzi_block_linear(block, j));
        if (placed) break;
        void *memory = work ? sqzi_allocate(allocator, arena.used) : NULL;
        if (!memory) {
            *block = of;
            sqzi_release(allocator, work, work_bytes);
            return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for block %u", i);
        }
        t->blocks[i].memory = memory;
        t->blocks[i].bytes = arena.used;
        arena = sqzi_arena_over(memory, arena.used);
    }
    block->heads = weights->heads;
    block->ffn_width = weights->ffn_width;
    sqzi_release(allocator, work, work_bytes);
    return SQZ_OK;
}
