/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions, by the pool's team. */
#include "train/batch_gradient.h"

#include <string.h>

static sqzi_real *rows(sqzi_arena *arena, size_t n, size_t width)
{
    return sqzi_arena_take(arena, n * width, sizeof(sqzi_real));
}

/* What the head reads: sequences, or each token. */
static bool reads_sequences(const sqzi_gradient_model *model)
{
    return model->head->pooling > SQZ_POOLING_NONE;
}

static void lay_out_logits(sqzi_batch_gradient *g, const sqzi_gradient_sizes *sizes,
                           uint32_t members, sqzi_arena *arena)
{
    const sqzi_head *head = g->model.head;
    const uint32_t inputs = reads_sequences(&g->model) ? sizes->max_sequences : sizes->max_tokens;
    sqzi_head_tape_layout(&g->head_tape, head, false, inputs, members, arena);
    g->logits = rows(arena, inputs, head->classes);
    g->grads.logits = rows(arena, inputs, head->classes);
}

static void lay_out_embeddings(sqzi_batch_gradient *g, const sqzi_gradient_sizes *sizes,
                               uint32_t members, sqzi_arena *arena)
{
    const uint32_t dimensions = g->model.embed.dimensions;
    sqzi_head_tape_layout(&g->embed_tape, g->model.head, true, sizes->max_sequences, members,
                          arena);
    g->embeddings = rows(arena, sizes->max_sequences, dimensions);
    g->grads.embeddings = rows(arena, sizes->max_sequences, dimensions);
}

void sqzi_batch_gradient_layout(sqzi_batch_gradient *g, const sqzi_gradient_model *model,
                                const sqzi_gradient_sizes *sizes, sqzi_arena *arena)
{
    const sqzi_encoder *encoder = model->encoder;
    const uint32_t members = sqzi_thread_pool_size(model->pool);
    const sqzi_tape_sizes tape = {.max_tokens = sizes->max_tokens,
                                  .max_length = sizes->max_length,
                                  .members = members,
                                  .recompute = sizes->recompute,
                                  .narrow = sizes->narrow};
    *g = (sqzi_batch_gradient){.model = *model};
    sqzi_workspace_layout(&g->workspace, encoder, sizes->max_tokens, sizes->max_length, members,
                          arena);
    sqzi_encoder_tape_layout(&g->tape, encoder, &model->parameters->gradients, &tape, arena);
    g->hidden = rows(arena, sizes->max_tokens, encoder->width);
    g->grads.hidden = rows(arena, sizes->max_tokens, encoder->width);
    g->grads.blocks = sqzi_arena_take(arena, encoder->n_blocks, sizeof *g->grads.blocks);
    if (model->logits) lay_out_logits(g, sizes, members, arena);
    if (model->embed.dimensions) lay_out_embeddings(g, sizes, members, arena);
}

/* ---- passes ---- */

static sqzi_encoder_pass encoder_pass(sqzi_batch_gradient *g, const sqzi_batch *batch,
                                      const sqzi_dropout *dropout)
{
    const sqzi_gradient_model *m = &g->model;
    return (sqzi_encoder_pass){.encoder = m->encoder,
                               .kernels = m->kernels,
                               .masters = &m->parameters->masters,
                               .grads = &m->parameters->gradients,
                               .workspace = &g->workspace,
                               .tape = &g->tape,
                               .batch = batch,
                               .dropout = dropout,
                               .keep_grads = g->grads.blocks,
                               .padding = m->padding,
                               .hidden = g->hidden};
}

/* What logits and embeddings have in common; both add to d hidden. */
static sqzi_head_pass output_pass(sqzi_batch_gradient *g, sqzi_head_tape *tape)
{
    const sqzi_gradient_model *m = &g->model;
    const sqzi_batch *batch = g->encoder_pass.batch;
    return (sqzi_head_pass){.head = m->head,
                            .kernels = m->encoder->kernels,
                            .grad_kernels = m->kernels,
                            .masters = &m->parameters->head_masters,
                            .grads = &m->parameters->head_gradients,
                            .tied_masters = &m->parameters->masters.embedding,
                            .tied_grads = &m->parameters->gradients.embedding,
                            .tape = tape,
                            .dropout = g->encoder_pass.dropout,
                            .layer = 1 + m->encoder->n_blocks,
                            .hidden = g->hidden,
                            .n_tokens = batch->n_tokens,
                            .n_sequences = batch->n_sequences,
                            .first = batch->first,
                            .n = batch->n_sequences,
                            .add = true};
}

static void make_passes(sqzi_batch_gradient *g, const sqzi_batch *batch,
                        const sqzi_dropout *dropout)
{
    const sqzi_gradient_model *m = &g->model;
    g->encoder_pass = encoder_pass(g, batch, dropout);
    g->head_pass = output_pass(g, &g->head_tape);
    g->head_pass.pooling = m->head->pooling;
    if (!reads_sequences(m)) g->head_pass.n = batch->n_tokens;
    g->head_pass.out = g->logits;
    g->head_pass.ldo = m->head->classes;
    g->embed_pass = output_pass(g, &g->embed_tape);
    g->embed_pass.pooling = m->embed.pooling;
    g->embed_pass.skip = g->skip;
    g->embed_pass.normalize = m->embed.normalize;
    g->embed_pass.dimensions = m->embed.dimensions;
    g->embed_pass.out = g->embeddings;
    g->embed_pass.ldo = m->embed.dimensions;
}

static void clear(sqzi_real *x, size_t n, size_t width)
{
    if (x) memset(x, 0, n * width * sizeof *x);
}

static void clear_grads(const sqzi_batch_gradient *g, const sqzi_batch *batch)
{
    const sqzi_encoder *encoder = g->model.encoder;
    clear(g->grads.logits, g->head_pass.n, g->head_pass.ldo);
    clear(g->grads.embeddings, g->embed_pass.n, g->embed_pass.ldo);
    clear(g->grads.hidden, batch->n_tokens, encoder->width);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) g->grads.blocks[i] = (sqzi_block_keep_grad){0};
}

/* ---- jobs ---- */

static void encoder_forward(void *argument, const sqzi_team *team)
{
    const sqzi_batch_gradient *g = argument;
    sqzi_encoder_forward(&g->encoder_pass, team);
}

static void head_forward(void *argument, const sqzi_team *team)
{
    sqzi_head_forward(argument, team);
}

/* NULL where nothing before the head is trained. */
static sqzi_real *d_hidden(const sqzi_batch_gradient *g)
{
    return g->tape.first_trained <= g->model.encoder->n_blocks ? g->grads.hidden : NULL;
}

static void head_backward(void *argument, const sqzi_team *team)
{
    const sqzi_batch_gradient *g = argument;
    sqzi_head_backward(&g->head_pass, g->grads.logits, d_hidden(g), team);
}

static void embed_backward(void *argument, const sqzi_team *team)
{
    const sqzi_batch_gradient *g = argument;
    sqzi_head_backward(&g->embed_pass, g->grads.embeddings, d_hidden(g), team);
}

static void encoder_backward(void *argument, const sqzi_team *team)
{
    const sqzi_batch_gradient *g = argument;
    sqzi_encoder_backward(&g->encoder_pass, g->grads.hidden, team);
}

static void run(const sqzi_batch_gradient *g, sqzi_job *job, void *argument)
{
    sqzi_thread_pool_run(g->model.pool, g->workspace.members, job, argument);
}

void sqzi_batch_forward(sqzi_batch_gradient *g, const sqzi_batch *batch,
                        const sqzi_dropout *dropout)
{
    make_passes(g, batch, dropout);
    clear_grads(g, batch);
    g->workspace.numeric_error = false;
    run(g, encoder_forward, g);
    if (g->logits) run(g, head_forward, &g->head_pass);
    if (g->embeddings) run(g, head_forward, &g->embed_pass);
    g->outputs = (sqzi_outputs){.logits = g->logits,
                                .embeddings = g->embeddings,
                                .hidden = g->hidden,
                                .blocks = g->tape.blocks};
}

void sqzi_batch_backward(sqzi_batch_gradient *g)
{
    if (g->logits) run(g, head_backward, g);
    if (g->embeddings) run(g, embed_backward, g);
    run(g, encoder_backward, g);
}
