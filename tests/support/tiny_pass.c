/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tiny_pass.h"

#include <stdlib.h>

#include "base/memory.h"
#include "support/test.h"

static void *take(sqzt_pass *p, size_t n, size_t item)
{
    sqzt_encoder *e = &p->model;
    void *memory = aligned_alloc(SQZI_ALIGNMENT,
                                 (n * item + SQZI_ALIGNMENT) / SQZI_ALIGNMENT * SQZI_ALIGNMENT);
    assert_non_null(memory);
    assert_true(e->n_memory < sizeof e->memory / sizeof *e->memory);
    return e->memory[e->n_memory++] = memory;
}

static void make_batch(sqzt_pass *p, const sqzt_tiny *tiny)
{
    sqzi_batch *b = &p->batch;
    sqzt_random *random = &p->model.random;
    for (; p->options.lengths[b->n_sequences]; b->n_sequences++) {
        uint32_t length = p->options.lengths[b->n_sequences];
        if (length > tiny->positions) length = tiny->positions;
        if (length > b->longest) b->longest = length;
        p->first[b->n_sequences + 1] = p->first[b->n_sequences] + length;
        p->examples[b->n_sequences] = 1000 + b->n_sequences;
        p->views[b->n_sequences] = b->n_sequences % 2;
    }
    b->n_tokens = p->first[b->n_sequences];
    b->first = p->first;
    uint32_t *ids = take(p, b->n_tokens, sizeof *ids);
    uint8_t *types = take(p, b->n_tokens, 1);
    for (uint32_t t = 0; t < b->n_tokens; t++) {
        ids[t] = (uint32_t)sqzt_below(random, SQZT_TINY_VOCABULARY);
        types[t] = tiny->token_types ? (uint8_t)sqzt_below(random, tiny->token_types) : 0;
    }
    b->ids = ids;
    b->types = tiny->token_types ? types : NULL;
}

static void lay_out(sqzt_pass *p, sqzi_arena *arena)
{
    const uint32_t n = p->batch.n_tokens, members = p->options.members;
    const sqzi_encoder *encoder = &p->model.encoder;
    sqzi_workspace_layout(&p->workspace, encoder, n, p->batch.longest, members, arena);
    sqzi_encoder_tape_layout(&p->tape, encoder, &p->model.grads,
                             &(sqzi_tape_sizes){.max_tokens = n,
                                                .max_length = p->batch.longest,
                                                .members = members,
                                                .recompute = p->options.recompute,
                                                .narrow = p->options.narrow},
                             arena);
    sqzi_head_tape_layout(&p->head_tape, &p->model.head, p->model.embeds, n, members, arena);
    p->pass.hidden = sqzi_arena_take(arena, (size_t)n * encoder->width, sizeof(sqzi_real));
    p->d_hidden = sqzi_arena_take(arena, (size_t)n * encoder->width, sizeof(sqzi_real));
    p->head.out = sqzi_arena_take(arena, p->n_out, sizeof(sqzi_real));
    p->targets = sqzi_arena_take(arena, p->n_out, sizeof(sqzi_real));
    p->d_out = sqzi_arena_take(arena, p->n_out, sizeof(sqzi_real));
}

/* What the head reads. */
static void choose_inputs(sqzt_pass *p)
{
    sqzi_head_pass *h = &p->head;
    const sqzi_head *head = &p->model.head;
    h->pooling = head->pooling;
    h->n = head->pooling > SQZ_POOLING_NONE ? p->batch.n_sequences : p->batch.n_tokens;
    if (p->options.some_tokens && head->pooling <= SQZ_POOLING_NONE) {
        uint32_t *rows = take(p, p->batch.n_tokens, sizeof *rows);
        h->n = p->batch.n_tokens / 2;
        for (uint32_t i = 0; i < h->n; i++) rows[i] = 2 * i;
        if (h->n > 1) rows[1] = rows[0];
        h->rows = rows;
    }
    if (p->options.skip) {
        uint32_t *skip = take(p, p->batch.n_sequences, sizeof *skip);
        for (uint32_t b = 0; b < p->batch.n_sequences; b++)
            skip[b] = p->first[b + 1] - p->first[b] > 1;
        h->skip = skip;
    }
    h->dimensions = head->embedding_width > 5 ? head->embedding_width - 3 : head->embedding_width;
    h->normalize = p->options.normalize;
    h->ldo = (p->model.embeds ? h->dimensions : head->classes) + 1;
    p->n_out = h->n * h->ldo;
}

static bool begins(const char *name, const char *part)
{
    return strncmp(name, part, strlen(part)) == 0;
}

static void freeze(sqzt_encoder *model, const sqzt_pass_options *options)
{
    for (uint32_t i = 0; i < model->n_tensors; i++) {
        const sqzt_tensor *tensor = &model->tensors[i];
        if ((options->only && !begins(tensor->name, options->only)) ||
            (options->frozen && begins(tensor->name, options->frozen)))
            *tensor->grad_at = NULL;
    }
}

/* Numbers of what is kept of a block: x, q, k, v, scores. */
enum { KEPT = 5 };
static void kept_sizes(const sqzt_pass *p, uint32_t i, size_t sizes[KEPT])
{
    const sqzi_block *block = &p->model.encoder.blocks[i];
    const size_t heads = (size_t)p->batch.n_tokens * block->heads * block->head_width;
    sizes[0] = (size_t)p->batch.n_tokens * p->model.encoder.width;
    sizes[1] = sizes[2] = sizes[3] = heads;
    sizes[4] = 0;
    for (uint32_t b = 0; b < p->batch.n_sequences; b++) {
        const size_t length = p->first[b + 1] - p->first[b];
        sizes[4] += block->heads * length * length;
    }
}

static const sqzi_real *weights(sqzt_pass *p, size_t n)
{
    sqzi_real *x = take(p, n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (sqzi_real)(float)sqzt_normal(&p->model.random);
    return x;
}

static void weigh_kept(sqzt_pass *p)
{
    p->keep_grads = take(p, p->model.encoder.n_blocks, sizeof *p->keep_grads);
    for (uint32_t i = 0; i < p->model.encoder.n_blocks; i++) {
        sqzi_block_keep *keep = &p->tape.blocks[i];
        size_t sizes[KEPT];
        kept_sizes(p, i, sizes);
        if (!keep->x) keep->x = take(p, sizes[0], sizeof *keep->x);
        keep->scores = take(p, sizes[4], sizeof *keep->scores);
        p->keep_grads[i] = (sqzi_block_keep_grad){.x = weights(p, sizes[0]),
                                                  .q = weights(p, sizes[1]),
                                                  .k = weights(p, sizes[2]),
                                                  .v = weights(p, sizes[3]),
                                                  .scores = weights(p, sizes[4])};
    }
    p->pass.keep_grads = p->keep_grads;
}

static double loss_of_kept(const sqzt_pass *p)
{
    double loss = 0;
    for (uint32_t i = 0; p->keep_grads && i < p->model.encoder.n_blocks; i++) {
        const sqzi_block_keep *keep = &p->tape.blocks[i];
        const sqzi_block_keep_grad *grad = &p->keep_grads[i];
        const sqzi_real *const rows[KEPT] = {keep->x, keep->q, keep->k, keep->v, keep->scores},
                               *const by[KEPT] = {grad->x, grad->q, grad->k, grad->v, grad->scores};
        size_t sizes[KEPT];
        kept_sizes(p, i, sizes);
        for (int j = 0; j < KEPT; j++)
            for (size_t at = 0; at < sizes[j]; at++)
                loss += (double)rows[j][at] * (double)by[j][at];
    }
    return loss;
}

static void describe(sqzt_pass *p, const sqzk_grad_table *kernels)
{
    sqzt_encoder *m = &p->model;
    const double drop = p->options.dropout;
    p->dropout = (sqzi_dropout){.hidden = drop,
                                .attention = drop,
                                .head = drop,
                                .seed = 77,
                                .epoch = 3,
                                .examples = p->examples,
                                .views = p->views};
    p->pass.encoder = &m->encoder;
    p->pass.kernels = kernels;
    p->pass.masters = &m->masters;
    p->pass.grads = &m->grads;
    p->pass.workspace = &p->workspace;
    p->pass.tape = &p->tape;
    p->pass.batch = &p->batch;
    p->pass.dropout = drop > 0 ? &p->dropout : NULL;
    p->pass.padding = p->options.padding;
    p->head.head = &m->head;
    p->head.kernels = &m->kernels;
    p->head.grad_kernels = kernels;
    p->head.masters = &m->head_masters;
    p->head.grads = &m->head_grads;
    p->head.tied_masters = &m->masters.embedding;
    p->head.tied_grads = &m->grads.embedding;
    p->head.tape = &p->head_tape;
    p->head.dropout = p->pass.dropout;
    p->head.layer = 1 + m->encoder.n_blocks;
    p->head.hidden = p->pass.hidden;
    p->head.n_tokens = p->batch.n_tokens;
    p->head.n_sequences = p->batch.n_sequences;
    p->head.first = p->first;
}

void sqzt_pass_make(sqzt_pass *p, const sqzt_tiny *tiny, const sqzt_pass_options *options)
{
    sqz_error error = {0};
    memset(p, 0, sizeof *p);
    p->options = *options;
    sqzt_encoder_make(&p->model, tiny, options->features, options->type);
    freeze(&p->model, options);
    make_batch(p, tiny);
    choose_inputs(p);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(p, &arena);
    unsigned char *memory = take(p, arena.used, 1);
    memset(memory, 0xFF, arena.used); /* NaNs: what is read was written */
    arena = sqzi_arena_over(memory, arena.used);
    lay_out(p, &arena);
    sqzk_grad_table *kernels = take(p, 1, sizeof *kernels);
    sqzk_grad_table_init(kernels, options->features);
    describe(p, kernels);
    if (options->keep_grads) weigh_kept(p);
    for (size_t i = 0; i < p->n_out; i++)
        p->targets[i] = (sqzi_real)(float)sqzt_normal(&p->model.random);
    sqzt_assert_ok(
        sqzi_thread_pool_open(&sqzi_default_allocator, options->members, &p->pool, &error), &error);
}

void sqzt_pass_free(sqzt_pass *p)
{
    sqzi_thread_pool_close(p->pool);
    sqzt_encoder_free(&p->model);
}

static void encoder_forward(void *argument, const sqzi_team *team)
{
    const sqzt_pass *p = argument;
    sqzi_encoder_forward(&p->pass, team);
}

static void head_forward(void *argument, const sqzi_team *team)
{
    const sqzt_pass *p = argument;
    sqzi_head_forward(&p->head, team);
}

static void head_backward(void *argument, const sqzi_team *team)
{
    const sqzt_pass *p = argument;
    const bool encoder = p->tape.first_trained <= p->model.encoder.n_blocks;
    sqzi_head_backward(&p->head, p->d_out, encoder ? p->d_hidden : NULL, team);
}

static void encoder_backward(void *argument, const sqzi_team *team)
{
    const sqzt_pass *p = argument;
    sqzi_encoder_backward(&p->pass, p->d_hidden, team);
}

static void run(sqzt_pass *p, sqzi_job *job)
{
    sqzi_thread_pool_run(p->pool, p->options.members, job, p);
}

double sqzt_pass_loss(sqzt_pass *p)
{
    const size_t width = p->head.ldo - 1;
    double loss;
    sqzt_encoder_pack(&p->model);
    run(p, encoder_forward);
    run(p, head_forward);
    loss = loss_of_kept(p);
    for (size_t i = 0; i < p->head.n; i++)
        for (size_t j = 0; j < width; j++) {
            const size_t at = i * p->head.ldo + j;
            p->d_out[at] = p->head.out[at] - p->targets[at];
            loss += 0.5 * (double)p->d_out[at] * (double)p->d_out[at];
        }
    return loss;
}

void sqzt_pass_add_gradients(sqzt_pass *p)
{
    (void)sqzt_pass_loss(p);
    run(p, head_backward);
    run(p, encoder_backward);
}

void sqzt_pass_gradients(sqzt_pass *p)
{
    for (uint32_t i = 0; i < p->model.n_tensors; i++)
        memset(p->model.tensors[i].grad, 0, p->model.tensors[i].n * sizeof(sqzi_real));
    sqzt_pass_add_gradients(p);
}
