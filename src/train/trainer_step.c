/* SPDX-License-Identifier: Apache-2.0 */
/* One step: a batch in its parts, the norm, the update, the matrices packed again. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "train/schedule.h"
#include "train/trainer.h"

/* Rows [share) of a batch, packed. */
static sqzi_batch pack_part(const sqz_trainer *t, const uint32_t *rows, sqzi_range share)
{
    const sqzi_packed_part *p = &t->part;
    const bool types = t->trainable.model->info.n_token_types > 0;
    sqzi_batch batch = {.first = p->first, .ids = p->ids, .types = types ? p->types : NULL};
    p->first[0] = 0;
    for (size_t i = share.begin; i < share.end; i++) {
        const sqz_train_example *e = &t->data.examples[rows[i]];
        const uint32_t at = batch.n_tokens;
        memcpy(p->ids + at, e->ids, e->n_tokens * sizeof *e->ids);
        if (e->types) memcpy(p->types + at, e->types, e->n_tokens);
        else memset(p->types + at, 0, e->n_tokens);
        p->examples[batch.n_sequences] = rows[i];
        batch.n_tokens += e->n_tokens;
        if (e->n_tokens > batch.longest) batch.longest = e->n_tokens;
        p->first[++batch.n_sequences] = batch.n_tokens;
    }
    return batch;
}

static sqzi_loss_items label_part(const sqz_trainer *t, const uint32_t *rows, sqzi_range share)
{
    const sqzi_packed_part *p = &t->part;
    const uint32_t classes = t->data.n_labels;
    size_t n = 0;
    for (size_t i = share.begin; i < share.end; i++) {
        const sqz_train_example *e = &t->data.examples[rows[i]];
        if (t->recipe.head == SQZ_HEAD_TOKEN) {
            memcpy(p->labels + n, e->token_labels, e->n_tokens * sizeof *p->labels);
            n += e->n_tokens;
        } else if (t->recipe.problem == SQZ_SINGLE_LABEL) p->labels[n++] = (int32_t)e->label;
        else memcpy(p->targets + classes * n++, e->values, classes * sizeof *p->targets);
    }
    const bool single = t->recipe.problem == SQZ_SINGLE_LABEL;
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

static double add_gradient(sqz_trainer *t, const uint32_t *rows, uint32_t n, uint32_t epoch,
                           uint32_t *n_tokens)
{
    const double p = t->recipe.dropout, count = count_batch(t, rows, n);
    const sqzi_dropout dropout = {.hidden = p,
                                  .attention = p,
                                  .head = p,
                                  .seed = t->recipe.seed,
                                  .epoch = epoch,
                                  .examples = t->part.examples};
    sqzi_batch_gradient *g = &t->gradient;
    double loss = 0;
    for (uint32_t part = 0; part < t->recipe.accumulate; part++) {
        const sqzi_range share = sqzi_share(n, part, t->recipe.accumulate);
        if (share.begin == share.end) continue;
        const sqzi_batch batch = pack_part(t, rows, share);
        const sqzi_loss_items items = label_part(t, rows, share);
        sqzi_batch_forward(g, &batch, p > 0 ? &dropout : NULL);
        loss += t->loss.kind->run(&t->loss,
                                  &(sqzi_loss_args){&items, count, &g->outputs, &g->grads});
        sqzi_batch_backward(g);
        *n_tokens += batch.n_tokens;
    }
    return loss;
}

static void forget_gradient(const sqz_trainer *t)
{
    for (uint32_t i = 0; i < t->trainable.parameters.n; i++) {
        const sqzi_parameter *p = &t->trainable.parameters.list[i];
        if (p->trained) memset(p->gradient, 0, p->n * sizeof *p->gradient);
    }
}

sqz_status sqzi_trainer_step(sqz_trainer *t, sqz_train_progress *progress, sqz_error *error)
{
    const sqz_train_recipe *r = &t->recipe;
    const uint64_t s = t->state.step;
    const uint32_t epoch = (uint32_t)(s / t->data.n_batches), i = (uint32_t)(s % t->data.n_batches);
    const uint32_t *rows = NULL;
    uint32_t n = 0;
    const sqz_status status = t->data.batch(t->data.user, epoch, i, &rows, &n, error);
    if (status != SQZ_OK) return status;
    *progress = (sqz_train_progress){.step = s + 1,
                                     .n_steps = sqzi_trainer_end(t),
                                     .epoch = epoch,
                                     .rate = r->lr * sqzi_schedule_at(r->schedule, s, t->warmup,
                                                                      t->n_steps)};
    progress->loss = add_gradient(t, rows, n, epoch, &progress->n_tokens);
    progress->norm = sqzi_optimizer_norm(&t->optimizer);
    if (!isfinite(progress->loss) || !isfinite(progress->norm)) {
        forget_gradient(t);
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
