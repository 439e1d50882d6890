/* SPDX-License-Identifier: Apache-2.0 */
/* What a model's vectors lose without each of its blocks: the model itself with a shorter list of
 * blocks, whose weights are those in memory. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "squeeze/fidelity.h"

typedef struct shortened {
    sqz_model model; /* a copy but for its list */
    sqzi_block *blocks;
} shortened;

static void leave_out(shortened *s, const sqz_model *model, uint32_t block)
{
    const uint32_t n = model->encoder.n_blocks;
    s->model = *model;
    s->model.encoder.blocks = s->blocks;
    s->model.encoder.n_blocks = s->model.info.n_layers = n - 1;
    memcpy(s->blocks, model->encoder.blocks, block * sizeof *s->blocks);
    memcpy(s->blocks + block, model->encoder.blocks + block + 1,
           (n - 1 - block) * sizeof *s->blocks);
}

static sqz_status report(const sqzi_progress *progress, size_t done, size_t total, sqz_error *error)
{
    if (!progress || !progress->call || progress->call(progress->user, done, total) == 0)
        return SQZ_OK;
    return sqzi_fail(error, SQZ_ECANCELLED, 0, "stopped after %zu of %zu runs", done, total);
}

sqz_status sqzi_layer_importance(const sqz_model *model, const sqz_text *texts, size_t n,
                                 const sqzi_progress *progress, double *importance,
                                 sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &model->context->allocator;
    const uint32_t n_blocks = model->encoder.n_blocks;
    const size_t bytes = n_blocks * sizeof(sqzi_block);
    sqzi_text_vectors whole = {0}, without = {0};
    sqzi_fidelity fidelity;
    shortened s = {.blocks = sqzi_allocate(allocator, bytes)};
    FAIL_IF(!s.blocks, SQZ_ENOMEM, 0, "no memory for %u blocks", n_blocks);
    TRY(sqzi_text_vectors_make(model, texts, n, &whole, error));
    for (uint32_t i = 0; i < n_blocks; i++) {
        TRY(report(progress, i + 1, n_blocks + 1, error));
        leave_out(&s, model, i);
        sqzi_text_vectors_discard(&without);
        TRY(sqzi_text_vectors_make(&s.model, texts, n, &without, error));
        TRY(sqzi_fidelity_of(&whole, &without, &fidelity, error));
        importance[i] = 1 - fidelity.cosine;
    }
    TRY(report(progress, n_blocks + 1, n_blocks + 1, error));
fail:
    sqzi_text_vectors_discard(&whole);
    sqzi_text_vectors_discard(&without);
    if (s.blocks) sqzi_release(allocator, s.blocks, bytes);
    return status;
}
