/* SPDX-License-Identifier: Apache-2.0 */
/* One step: a batch in its parts, the norm, the update, the matrices packed again. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "train/schedule.h"
#include "train/trainer.h"

/* Add a text to the part. */
static void pack_text(const sqzi_packed_part *p, const sqz_train_example *e, uint32_t row,
                      uint32_t text, sqzi_batch *batch)
{
    const uint32_t at = batch->n_tokens, b = batch->n_sequences++;
    memcpy(p->ids + at, e->ids, e->n_tokens * sizeof *e->ids);
    if (e->types) memcpy(p->types + at, e->types, e->n_tokens);
    else memset(p->types + at, 0, e->n_tokens);
    p->examples[b] = row;
    p->views[b] = (uint8_t)text;
    p->skip[b] = e->skip;
    batch->n_tokens += e->n_tokens;
    if (e->n_tokens > batch->longest) batch->longest = e->n_tokens;
    p->first[b + 1] = batch->n_tokens;
}

/* Rows [share) of a batch, packed: all texts of one, then of the next. */
static sqzi_batch pack_part(const sqz_trainer *t, const uint32_t *rows, sqzi_range share)
{
    const sqzi_packed_part *p = &t->part;
    const bool types = t->trainable.model->info.n_token_types > 0;
    const uint32_t texts = t->loss.texts;
    sqzi_batch batch = {.first = p->first, .ids = p->ids, .types = types ? p->types : NULL};
    p->first[0] = 0;
    for (size_t i = share.begin; i < share.end; i++)
        for (uint32_t text = 0; text < texts; text++)
            pack_text(p, &t->data.examples[(size_t)rows[i] * texts + text], rows[i], text, &batch);
    return batch;
}

/* Without labels: < 0, or NaN. */
static size_t put_none(const sqz_trainer *t, const sqz_train_example *e, size_t n)
{
    const sqzi_packed_part *p = &t->part;
    const uint32_t items = t->loss.tokens ? e->n_tokens : 1;
    for (uint32_t i = 0; i < items; i++) p->labels[n + i] = -1;
    if (t->loss.kind->check && !t->loss.tokens)
        for (uint32_t k = 0; k < t->loss.classes; k++) p->targets[n * t->loss.classes + k] = NAN;
    return n + items;
}

static sqzi_loss_items label_part(const sqz_trainer *t, const uint32_t *rows, sqzi_range share)
{
    const sqzi_packed_part *p = &t->part;
    const uint32_t classes = t->loss.classes;
    const bool single = !t->recipe.loss && t->recipe.problem == SQZ_SINGLE_LABEL;
    size_t n = 0;
    for (size_t i = share.begin; i < share.end; i++) {
        const sqz_train_example *e = &t->data.examples[(size_t)rows[i] * t->loss.texts];
        if (e->unlabelled) n = put_none(t, e, n);
        else if (t->loss.tokens) {
            memcpy(p->labels + n, e->token_labels, e->n_tokens * sizeof *p->labels);
            n += e->n_tokens;
        } else if (single) p->labels[n++] = (int32_t)e->label;
        else if (t->loss.kind->check)
            memcpy(p->targets + classes * n++, e->values, classes * sizeof *p->targets);
        else n++;
    }
    return (sqzi_loss_items){n, single ? p->labels : NULL, single ? NULL : p->targets};
}

/* What the loss of the batch divides by. */
static double count_batch(const sqz_trainer *t, const uint32_t *rows, uint32_t n)
{
    double count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_loss_items items = label_part(t, rows, (sqzi_range){i, i + 1});
        count += t->loss.kind->count(&t->loss, &items);
    }
    return count;
}

/* A batch on its way, in parts. */
typedef struct step_batch {
    sqz_trainer *trainer;
    const uint32_t *rows;
    uint32_t n;
    double count;
    sqzi_distil_counts counts;
    sqz_train_progress *progress;
    sqzi_dropout dropout;
    sqzi_batch part; /* the one at hand */
} step_batch;

/* Part i forward; false: it is empty. Rows that integers cannot stand for make no gradient. */
static bool run_part(step_batch *b, uint32_t i, sqzi_range *share)
{
    sqz_trainer *t = b->trainer;
    *share = sqzi_share(b->n, i, t->recipe.accumulate);
    if (share->begin == share->end) return false;
    b->part = pack_part(t, b->rows, *share);
    t->gradient.skip = t->part.skip;
    sqzi_batch_forward(&t->gradient, &b->part, t->recipe.dropout > 0 ? &b->dropout : NULL);
    if (t->gradient.workspace.numeric_error) b->progress->loss = NAN;
    return true;
}

static double run_loss(const step_batch *b, sqzi_range share, const sqzi_outputs *outputs,
                       const sqzi_output_grads *grads)
{
    const sqz_trainer *t = b->trainer;
    const sqzi_loss_items items = label_part(t, b->rows, share);
    return t->loss.kind->run(&t->loss,
                             &(sqzi_loss_args){&items, b->count, outputs, grads, t->whole.scratch});
}

/* The losses of the part at hand, and d of them. */
static sqz_status add_losses(step_batch *b, sqzi_range share, sqz_error *error)
{
    sqz_trainer *t = b->trainer;
    sqzi_batch_gradient *g = &t->gradient;
    double *losses = b->progress->losses;
    if (t->labelled)
        losses[SQZ_DISTIL_LABELS] += t->loss.weight * run_loss(b, share, &g->outputs, &g->grads);
    if (!t->recipe.distil) return SQZ_OK;
    const sqzi_taught taught = {&t->data, &b->part, t->part.types, t->part.examples, &b->counts};
    return sqzi_distilling_add(&t->distilling, g, &taught, losses, error);
}

static sqz_status add_by_parts(step_batch *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_range share;
    for (uint32_t i = 0; i < b->trainer->recipe.accumulate; i++) {
        if (!run_part(b, i, &share)) continue;
        TRY(add_losses(b, share, error));
        sqzi_batch_backward(&b->trainer->gradient);
        b->progress->n_tokens += b->part.n_tokens;
    }
    for (uint32_t k = 0; k < SQZ_DISTIL_LOSSES; k++) b->progress->loss += b->progress->losses[k];
fail:
    return status;
}

/* Across examples: embeddings of all parts, the loss, then each part once more, dropping the same
 * numbers. A batch in one part is forward still. */
static void add_across(step_batch *b)
{
    sqz_trainer *t = b->trainer;
    sqzi_batch_gradient *g = &t->gradient;
    const size_t width = (size_t)t->loss.texts * t->loss.dimensions;
    const uint32_t parts = t->recipe.accumulate;
    const sqzi_outputs outputs = {.embeddings = t->whole.embeddings};
    const sqzi_output_grads grads = {.embeddings = t->whole.d};
    sqzi_range share;
    for (uint32_t i = 0; i < parts; i++) {
        if (!run_part(b, i, &share)) continue;
        memcpy(t->whole.embeddings + share.begin * width, g->outputs.embeddings,
               (share.end - share.begin) * width * sizeof(sqzi_real));
        b->progress->n_tokens += b->part.n_tokens;
    }
    memset(t->whole.d, 0, b->n * width * sizeof(sqzi_real));
    b->progress->loss += run_loss(b, (sqzi_range){0, b->n}, &outputs, &grads);
    for (uint32_t i = 0; i < parts; i++) {
        if (parts == 1) share = (sqzi_range){0, b->n};
        else if (!run_part(b, i, &share)) continue;
        memcpy(g->grads.embeddings, t->whole.d + share.begin * width,
               (share.end - share.begin) * width * sizeof(sqzi_real));
        sqzi_batch_backward(g);
    }
}

static sqzi_distil_counts count_rows(const sqz_trainer *t, const uint32_t *rows, uint32_t n)
{
    sqzi_distil_counts counts = {.sequences = n};
    for (uint32_t i = 0; i < n; i++) {
        const double tokens = t->data.examples[(size_t)rows[i] * t->loss.texts].n_tokens;
        counts.tokens += tokens;
        counts.squares += tokens * tokens;
    }
    return counts;
}

static sqz_status add_gradient(sqz_trainer *t, const uint32_t *rows, uint32_t n,
                               sqz_train_progress *progress, sqz_error *error)
{
    const double p = t->recipe.dropout;
    step_batch b = {.trainer = t,
                    .rows = rows,
                    .n = n,
                    .count = t->labelled ? count_batch(t, rows, n) : 0,
                    .counts = count_rows(t, rows, n),
                    .progress = progress,
                    .dropout = {.hidden = p,
                                .attention = p,
                                .head = p,
                                .seed = t->recipe.seed,
                                .epoch = progress->epoch,
                                .examples = t->part.examples,
                                .views = t->part.views}};
    if (!t->loss.kind->across) return add_by_parts(&b, error);
    add_across(&b);
    return SQZ_OK;
}

sqz_status sqzi_trainer_step(sqz_trainer *t, sqz_train_progress *progress, sqz_error *error)
{
    const sqz_train_recipe *r = &t->recipe;
    const uint64_t s = t->state.step;
    const uint32_t epoch = (uint32_t)(s / t->data.n_batches), i = (uint32_t)(s % t->data.n_batches);
    const uint32_t *rows = NULL;
    uint32_t n = 0;
    sqz_status status = sqzi_trainer_make_room(t, error);
    if (status == SQZ_OK) status = t->data.batch(t->data.user, epoch, i, &rows, &n, error);
    if (status != SQZ_OK) return status;
    *progress = (sqz_train_progress){.step = s + 1,
                                     .n_steps = sqzi_trainer_end(t),
                                     .epoch = epoch,
                                     .rate = r->lr * sqzi_schedule_at(r->schedule, s, t->warmup,
                                                                      t->n_steps)};
    status = add_gradient(t, rows, n, progress, error);
    if (status != SQZ_OK) {
        sqzi_parameters_forget(&t->trainable.parameters);
        return status;
    }
    progress->norm = sqzi_optimizer_norm(&t->optimizer);
    if (t->gradient.workspace.numeric_error) progress->loss = NAN; /* rows could not be int8 */
    if (!isfinite(progress->loss) || !isfinite(progress->norm)) {
        sqzi_parameters_forget(&t->trainable.parameters);
        return sqzi_fail(
            error, SQZ_ENUMERIC, s,
            "step %llu (batch %u of epoch %u, which begins with example %u): the %s is "
            "not finite; the step was not taken. Try a smaller rate",
            (unsigned long long)s + 1, i + 1, epoch + 1, rows[0],
            isfinite(progress->loss) ? "gradient" : "loss");
    }
    const sqzi_adamw adamw = {.rate = progress->rate,
                              .scale = sqzi_clip_scale(progress->norm, r->clip),
                              .decay = r->weight_decay,
                              .beta1 = r->beta1,
                              .beta2 = r->beta2,
                              .epsilon = r->epsilon,
                              .t = s + 1};
    sqzi_optimizer_step(&t->optimizer, &adamw);
    sqzi_trainable_pack(&t->trainable, false);
    t->state.step = s + 1;
    return SQZ_OK;
}
