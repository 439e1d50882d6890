/* SPDX-License-Identifier: Apache-2.0 */
/* Observing: the states of all tokens stay, and each stage in turn is run over them, some sequences
 * at a time. */
#include "squeeze/observe.h"

#include "base/error.h"

enum { BATCH_TOKENS = 512 };

typedef struct observation {
    const sqzi_encoder *encoder;
    const sqzi_sequences *sequences;
    const sqzi_observer *observers;
    uint32_t n;
    sqzi_workspace workspace;
    sqzi_real *hidden; /* [tokens, C] */
    uint32_t *first;   /* of a batch */
} observation;

static uint32_t batch_tokens(const observation *o)
{
    return o->sequences->longest > BATCH_TOKENS ? o->sequences->longest : BATCH_TOKENS;
}

static void lay_out(observation *o, sqzi_arena *arena)
{
    sqzi_workspace_layout(&o->workspace, o->encoder, batch_tokens(o), o->sequences->longest, 1,
                          arena);
    o->hidden = sqzi_arena_take(arena,
                                (size_t)sqzi_sequences_tokens(o->sequences) * o->encoder->width,
                                sizeof *o->hidden);
    o->first = sqzi_arena_take(arena, batch_tokens(o) + 1, sizeof *o->first);
}

/* sqzi_keep's input. */
static void show(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx)
{
    const observation *o = user;
    for (uint32_t i = 0; i < o->n; i++)
        if (o->observers[i].rows) o->observers[i].rows(o->observers[i].user, linear, m, x, ldx);
}

/* All sequences through one stage. */
static void run_stage(observation *o, uint32_t stage)
{
    const size_t width = o->encoder->width;
    const uint32_t *first = (const uint32_t *)(const void *)o->sequences->first.data,
                   *ids = (const uint32_t *)(const void *)o->sequences->ids.data;
    const sqzi_keep keep = {.input = show, .user = o};
    const sqzi_team alone = {0, 1, NULL};
    for (uint32_t b = 0, end; b < o->sequences->n; b = end) {
        for (end = b; end < o->sequences->n && first[end + 1] - first[b] <= batch_tokens(o); end++)
            o->first[end + 1 - b] = first[end + 1] - first[b];
        o->first[0] = 0;
        const sqzi_batch batch = {end - b,  first[end] - first[b], o->sequences->longest,
                                  o->first, ids + first[b],        NULL};
        sqzi_real *hidden = o->hidden + first[b] * width;
        if (stage == 0)
            sqzi_encoder_embed(o->encoder, &batch, &keep, &o->workspace, hidden, width, &alone);
        else
            sqzi_encoder_run_block(o->encoder, stage - 1, &batch, &keep, &o->workspace, hidden,
                                   width, &alone);
    }
}

static sqz_status observe_stage(observation *o, uint32_t stage, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < o->n; i++)
        if (o->observers[i].begin) o->observers[i].begin(o->observers[i].user, stage);
    run_stage(o, stage);
    for (uint32_t i = 0; i < o->n && status == SQZ_OK; i++)
        if (o->observers[i].end) status = o->observers[i].end(o->observers[i].user, stage, error);
    return status;
}

uint32_t sqzi_observe_stages(const sqz_model *model)
{
    return model->encoder.n_blocks + 1;
}

sqz_status sqzi_observe(const sqz_model *model, const sqzi_sequences *sequences,
                        const sqzi_observer *observers, uint32_t n, sqz_error *error)
{
    const sqz_allocator *allocator = &model->context->allocator;
    sqz_status status = SQZ_OK;
    observation o = {&model->encoder, sequences, observers, n, {0}, NULL, NULL};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&o, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(allocator, bytes);
    if (!block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a run of %u tokens",
                         sqzi_sequences_tokens(sequences));
    arena = sqzi_arena_over(block, bytes);
    lay_out(&o, &arena);
    for (uint32_t stage = 0; stage < sqzi_observe_stages(model) && status == SQZ_OK; stage++)
        status = observe_stage(&o, stage, error);
    sqzi_release(allocator, block, bytes);
    return status;
}
