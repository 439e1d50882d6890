/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions, by the pool's team. */
#include "train/batch_gradient.h"

void sqzi_batch_gradient_layout(sqzi_batch_gradient *g, const sqzi_gradient_model *model,
                                const sqzi_gradient_sizes *sizes, sqzi_arena *arena)
{
    const sqzi_parameters *p = model->parameters;
    const uint32_t members = sqzi_thread_pool_size(model->pool),
                   inputs = model->head->pooling > SQZ_POOLING_NONE ? sizes->max_sequences
                                                                    : sizes->max_tokens;
    const size_t rows = (size_t)sizes->max_tokens * model->encoder->width;
    const sqzi_tape_sizes tape = {.max_tokens = sizes->max_tokens,
                                  .max_length = sizes->max_length,
                                  .members = members,
                                  .recompute = sizes->recompute};
    g->model = *model;
    sqzi_workspace_layout(&g->workspace, model->encoder, sizes->max_tokens, sizes->max_length,
                          members, arena);
    sqzi_encoder_tape_layout(&g->tape, model->encoder, &p->gradients, &tape, arena);
    sqzi_head_tape_layout(&g->head_tape, model->head, false, inputs, members, arena);
    g->hidden = sqzi_arena_take(arena, rows, sizeof *g->hidden);
    g->d_hidden = sqzi_arena_take(arena, rows, sizeof *g->d_hidden);
    g->logits = sqzi_arena_take(arena, (size_t)inputs * model->head->classes, sizeof *g->logits);
}

typedef struct job {
    const sqzi_batch_gradient *gradient;
    sqzi_encoder_pass encoder;
    sqzi_head_pass head;
} job;

static void encoder_forward(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_encoder_forward(&j->encoder, team);
}

static void head_forward(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_head_forward(&j->head, team);
}

static void head_backward(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_head_backward(&j->head, j->gradient->logits, j->gradient->d_hidden, team);
}

static void encoder_backward(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_encoder_backward(&j->encoder, j->gradient->d_hidden, team);
}

double sqzi_batch_gradient_add(sqzi_batch_gradient *g, const sqzi_batch *batch,
                               const sqzi_dropout *dropout, const sqzi_loss *loss,
                               const sqzi_loss_items *items, double count)
{
    static sqzi_job *const both[] = {encoder_forward, head_forward, head_backward,
                                     encoder_backward};
    const sqzi_gradient_model *m = &g->model;
    const sqzi_parameters *p = m->parameters;
    const bool pooled = m->head->pooling > SQZ_POOLING_NONE;
    job j = {.gradient = g,
             .encoder = {.encoder = m->encoder,
                         .kernels = m->kernels,
                         .masters = &p->masters,
                         .grads = &p->gradients,
                         .workspace = &g->workspace,
                         .tape = &g->tape,
                         .batch = batch,
                         .dropout = dropout,
                         .padding = m->padding,
                         .hidden = g->hidden},
             .head = {.head = m->head,
                      .kernels = m->encoder->kernels,
                      .grad_kernels = m->kernels,
                      .masters = &p->head_masters,
                      .grads = &p->head_gradients,
                      .tape = &g->head_tape,
                      .dropout = dropout,
                      .layer = 1 + m->encoder->n_blocks,
                      .hidden = g->hidden,
                      .n_tokens = batch->n_tokens,
                      .n_sequences = batch->n_sequences,
                      .first = batch->first,
                      .pooling = m->head->pooling,
                      .n = pooled ? batch->n_sequences : batch->n_tokens,
                      .out = g->logits,
                      .ldo = m->head->classes}};
    double sum = 0;
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        if (i == 2) sum = sqzi_loss_run(loss, items, count, g->logits, g->logits, loss->classes);
        sqzi_thread_pool_run(m->pool, g->workspace.members, both[i], &j);
    }
    return sum;
}
