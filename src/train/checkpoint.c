/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints begun and written. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file_writer.h"
#include "train/checkpoint_file.h"
#include "train/recipe.h"

sqz_status sqzi_checkpoints_begin(const sqzi_checkpoints *c, const sqz_trainer *trainer,
                                  bool resumed, sqz_error *error)
{
    uint64_t step = 0;
    bool finished = true, whole = resumed; /* and found to be of no use */
    for (uint64_t below = UINT64_MAX; !whole && sqzi_checkpoint_newest(c->folder, below, &step);
         below = step)
        whole = sqzi_checkpoint_finished(c, trainer, step, &finished);
    if (!finished)
        return sqzi_fail(error, SQZ_EINVAL, step,
                         "%s holds a run that is not finished, at step %llu: resume it, remove the "
                         "folder or name another one",
                         c->folder, (unsigned long long)step);
    sqzi_checkpoint_remove_old(c->folder, NULL, NULL);
    return SQZ_OK;
}

/* ---- writing ---- */

static void put_state(const sqzi_checkpoints *c, sqz_trainer *t, sqzi_gguf_writer *writer)
{
    char level[SQZI_LEVEL_TEXT];
    const sqzi_run_state *s = &t->state;
    sqzi_checkpoint_level(t, level);
    sqzi_gguf_put_string(writer, "sqz.train.recipe", c->recipe);
    sqzi_gguf_put_string(writer, "sqz.train.data", t->facts.sha256);
    sqzi_gguf_put_string(writer, "sqz.train.base", sqzi_checkpoint_base(t));
    sqzi_gguf_put_string(writer, "sqz.train.level", level);
    sqzi_gguf_put_u64(writer, "sqz.train.step", s->step);
    sqzi_gguf_put_u32(writer, "sqz.train.epoch", (uint32_t)(s->step / t->data.n_batches));
    sqzi_gguf_put_u64(writer, "sqz.train.best_step", s->best_step);
    sqzi_gguf_put_f64(writer, "sqz.train.best_score", s->best_score);
    sqzi_gguf_put_u32(writer, "sqz.train.worse", s->worse);
    sqzi_gguf_put_bool(writer, "sqz.train.stopped", s->stopped);
    sqzi_gguf_put_bool(writer, "sqz.train.finished", s->stopped || s->step >= sqzi_trainer_end(t));
}

static void put_moments(const sqz_trainer *t, sqzi_gguf_writer *writer)
{
    static const char *const prefixes[] = {"", "optim.m.", "optim.v."};
    const uint32_t n = t->trainable.parameters.n;
    for (uint32_t k = 1; k < 3; k++)
        for (uint32_t i = 0; i < n; i++)
            if (t->trainable.parameters.list[i].trained)
                sqzi_trainable_put_parameter(writer, prefixes[k], &t->trainable.sources[k * n + i]);
}

/* What is trained beside the model, whose file has no place for it. */
static void put_beside(const sqz_trainer *t, sqzi_gguf_writer *writer)
{
    for (uint32_t i = 0; i < t->trainable.parameters.n; i++)
        if (t->trainable.parameters.list[i].beside)
            sqzi_trainable_put_parameter(writer, "optim.w.", &t->trainable.sources[i]);
}

static sqz_status write_file(const sqzi_checkpoints *c, sqz_trainer *t, const char *kind,
                             uint64_t step, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char path[SQZI_OUTPUT_PATH];
    sqzi_gguf_writer *writer = NULL;
    const sqz_allocator *allocator = &t->context->allocator;
    sqzi_references none = {.allocator = allocator};
    sqzi_checkpoint_path(c->folder, kind, step, path);
    TRY(sqzi_gguf_writer_open(allocator, &writer, error));
    TRY(sqzi_trainer_put(t, true, writer, error));
    put_beside(t, writer);
    if (strcmp(kind, "step") == 0) {
        put_state(c, t, writer);
        put_moments(t, writer);
    }
    TRY(sqzi_rewrite_write(writer, &none, path, error));
fail:
    sqzi_gguf_writer_close(writer);
    return status;
}

/* Sources of masters over to those of the best, and back. */
static void point_sources(sqz_trainer *t, bool best)
{
    size_t at = 0;
    for (uint32_t i = 0; i < t->trainable.parameters.n; i++) {
        const sqzi_parameter *p = &t->trainable.parameters.list[i];
        t->trainable.sources[i].numbers = best && p->trained ? t->best + at : p->master;
        if (p->trained) at += p->n;
    }
}

sqz_status sqzi_checkpoint_write(sqzi_checkpoints *c, sqz_trainer *t, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint64_t best = t->state.best_step;
    if (best && best != c->bests[0]) {
        point_sources(t, true);
        status = write_file(c, t, "best", best, error);
        point_sources(t, false);
        if (status != SQZ_OK) return status;
    }
    TRY(write_file(c, t, "step", t->state.step, error));
    c->steps[1] = c->steps[0];
    c->bests[1] = c->bests[0];
    c->steps[0] = t->state.step;
    c->bests[0] = best;
    sqzi_checkpoint_remove_old(c->folder, c->steps, c->bests);
fail:
    return status;
}
