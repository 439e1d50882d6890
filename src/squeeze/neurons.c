/* SPDX-License-Identifier: Apache-2.0 */
/* Removing neurons and heads: all new matrices are made before the first takes its place. */
#include "squeeze/neurons.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/removal.h"
#include "squeeze/removal_target.h"

/* A linear's new parts. */
typedef struct draft {
    sqzi_weight_matrix matrix;
    float *bias;
    uint32_t n_in, n_out;
} draft;

typedef struct change {
    const sqzi_removal_target *t;
    sqzi_remove_options options;
    bool measured;                      /* what is lost is asked for */
    uint32_t n_kept;                    /* inputs of the reader that stay ... */
    uint32_t *kept;                     /* [n_kept] ... ascending */
    double *moments, *weights, *result; /* of a group */
    uint32_t *of_group; /* [n_kept / groups] those of kept in a group, counted from its first */
    draft reader, makers[SQZI_MOST_MAKERS];
    double lost, whole;
} change;

static sqz_status check_keep(const sqzi_removal_target *t, uint32_t keep, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(keep < 1 || keep > t->n_units, SQZ_EINVAL, 0,
            "%u %s cannot be kept of %u: %u to %u can", keep, t->units, t->n_units, t->multiple,
            t->n_units);
    FAIL_IF(keep % t->multiple, SQZ_EINVAL, 0,
            "%u %s cannot be kept: the layers have groups, which lose equally many: keep %u or %u",
            keep, t->units, keep / t->multiple ? keep / t->multiple * t->multiple : t->multiple,
            (keep / t->multiple + 1) * t->multiple);
fail:
    return status;
}

/* The inputs of the units that stay. */
static void find_kept(const change *c, const sqzi_removal *removal, bool *gone)
{
    const sqzi_removal_target *t = c->t;
    uint32_t to = 0;
    memset(gone, 0, t->n_units * sizeof *gone);
    for (uint32_t i = 0; i < t->n_units - c->options.keep; i++) gone[removal->order[i]] = true;
    for (uint32_t u = 0; u < t->n_units; u++)
        for (uint32_t i = 0; i < t->unit && !gone[u]; i++) c->kept[to++] = u * t->unit + i;
}

static sqz_status make_draft(const sqzi_weights *weights, uint32_t n_in, uint32_t n_out,
                             uint32_t groups, bool with_bias, draft *d, sqz_error *error)
{
    d->n_in = n_in;
    d->n_out = n_out;
    if (with_bias) {
        d->bias = sqzi_allocate(&weights->model->context->allocator, n_out * sizeof *d->bias);
        if (!d->bias)
            return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a bias of %u numbers", n_out);
    }
    return sqzi_weight_matrix_make(weights, n_out, n_in / groups, groups, &d->matrix, error);
}

static void drop_draft(const sqzi_weights *weights, draft *d)
{
    sqzi_weight_matrix_drop(weights, &d->matrix);
    if (d->bias)
        sqzi_release(&weights->model->context->allocator, d->bias, d->n_out * sizeof *d->bias);
    d->bias = NULL;
}

/* What was there is let go with the draft. */
static void exchange(sqzi_weight_linear *linear, draft *d)
{
    const draft before = {linear->terms[0].b, linear->bias, linear->n_in, linear->n_out};
    linear->terms[0].b = d->matrix;
    linear->bias = d->bias;
    linear->n_in = d->n_in;
    linear->n_out = d->n_out;
    *d = before;
}

/* The rows that make what is kept. */
static sqz_status draft_maker(const change *c, const sqzi_weight_linear *maker, draft *d,
                              sqz_error *error)
{
    const sqzi_weight_matrix *b = &maker->terms[0].b;
    const sqz_status status = make_draft(c->t->weights, maker->n_in, c->n_kept, b->groups,
                                         maker->bias != NULL, d, error);
    if (status != SQZ_OK) return status;
    for (size_t i = 0; i < c->n_kept; i++) {
        memcpy(d->matrix.values + i * b->columns, b->values + (size_t)c->kept[i] * b->columns,
               b->columns * sizeof *b->values);
        if (d->bias) d->bias[i] = maker->bias[c->kept[i]];
    }
    return SQZ_OK;
}

/* Rows of a group of the reader: its new weights, its bias, and what the output loses. */
static void put_group(change *c, uint32_t g, double lost)
{
    const sqzi_removal_target *t = c->t;
    const size_t n = t->columns, kept = c->n_kept / t->groups;
    for (size_t r = 0; r < t->rows; r++) {
        const double *w = c->weights + r * n, *after = c->result + r * kept;
        const size_t row = g * t->rows + r;
        double moved = 0;
        for (size_t i = 0; i < n; i++) moved += w[i] * (double)t->input->mean[g * n + i];
        for (size_t i = 0; i < kept; i++) {
            c->reader.matrix.values[row * kept + i] = (float)after[i];
            moved -= after[i] * (double)t->input->mean[g * n + c->of_group[i]];
        }
        const double bias = t->reader->bias ? (double)t->reader->bias[row] : 0;
        c->reader.bias[row] = (float)(c->options.plain ? bias : bias + moved);
        if (c->options.plain) lost += moved * moved;
    }
    c->lost += lost;
}

static sqz_status fit_group(change *c, uint32_t g, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_removal_target *t = c->t;
    const uint32_t n_kept = c->n_kept / t->groups;
    const sqzi_refit refit = {.allocator = t->allocator,
                              .m = t->rows,
                              .n = t->columns,
                              .n_kept = n_kept,
                              .weights = c->weights,
                              .moments = c->moments,
                              .kept = c->of_group};
    double lost = 0, whole = 0;
    for (uint32_t i = 0; i < n_kept; i++) c->of_group[i] = c->kept[g * n_kept + i] - g * t->columns;
    sqzi_removal_weights(t, g, c->weights);
    if (c->options.plain) {
        for (size_t r = 0; r < t->rows; r++)
            for (size_t i = 0; i < n_kept; i++)
                c->result[r * n_kept + i] = c->weights[r * t->columns + c->of_group[i]];
    } else {
        sqzi_removal_moments(t, g, t->damping, c->moments);
        TRY(sqzi_refit_run(&refit, c->result, error));
    }
    if (c->measured) {
        sqzi_removal_moments(t, g, 0, c->moments);
        TRY(sqzi_refit_error(&refit, c->result, &lost, &whole, error));
    }
    put_group(c, g, lost);
    c->whole += whole;
fail:
    return status;
}

static void lay_out(change *c, bool **gone, sqzi_arena *arena)
{
    const size_t n = c->t->columns, rows = c->t->rows;
    *gone = sqzi_arena_take(arena, c->t->n_units, sizeof **gone);
    c->kept = sqzi_arena_take(arena, c->n_kept, sizeof *c->kept);
    c->of_group = sqzi_arena_take(arena, c->n_kept, sizeof *c->of_group);
    c->moments = sqzi_arena_take(arena, n * n, sizeof *c->moments);
    c->weights = sqzi_arena_take(arena, rows * n, sizeof *c->weights);
    c->result = sqzi_arena_take(arena, rows * n, sizeof *c->result);
}

/* All drafts, then their places. */
static sqz_status apply(change *c, const sqzi_removal *removal, uint32_t *kept, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_removal_target *t = c->t;
    bool *gone;
    void *block = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(c, &gone, &arena);
    const size_t bytes = arena.used;
    block = sqzi_allocate(t->allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory to fit %u inputs", t->columns);
    arena = sqzi_arena_over(block, bytes);
    lay_out(c, &gone, &arena);
    find_kept(c, removal, gone);
    TRY(make_draft(t->weights, c->n_kept, t->reader->n_out, t->groups,
                   !c->options.plain || t->reader->bias, &c->reader, error));
    for (uint32_t j = 0; j < t->n_makers; j++)
        TRY(draft_maker(c, t->makers[j], &c->makers[j], error));
    for (uint32_t g = 0; g < t->groups; g++) TRY(fit_group(c, g, error));
    exchange(t->reader, &c->reader);
    for (uint32_t j = 0; j < t->n_makers; j++) exchange(t->makers[j], &c->makers[j]);
fail:
    drop_draft(t->weights, &c->reader);
    for (uint32_t j = 0; j < t->n_makers; j++) drop_draft(t->weights, &c->makers[j]);
    if (kept && status == SQZ_OK) memcpy(kept, c->kept, c->n_kept * sizeof *kept);
    if (block) sqzi_release(t->allocator, block, bytes);
    return status;
}

static sqz_status squeeze(sqzi_weights *weights, uint32_t block, sqzi_removed what,
                          const sqzi_input_statistics *input, const sqzi_remove_options *options,
                          uint32_t *kept, double *lost, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_removal_target t;
    sqzi_removal made = {0};
    change c = {.t = &t, .options = *options, .measured = lost != NULL};
    TRY(sqzi_removal_find(weights, block, what, input, &t, error));
    TRY(check_keep(&t, options->keep, error));
    c.n_kept = options->keep * t.unit;
    if (options->keep < t.n_units) {
        if (!options->removal) TRY(sqzi_removal_of(&t, options->plain, &made, error));
        TRY(apply(&c, options->removal ? options->removal : &made, kept, error));
        if (what == SQZI_REMOVE_HEADS) t.block->heads = options->keep;
        else t.block->ffn_width = options->keep;
    } else if (kept) {
        for (uint32_t i = 0; i < c.n_kept; i++) kept[i] = i;
    }
    if (lost) *lost = c.whole > 0 ? c.lost / c.whole : 0;
fail:
    sqzi_removal_discard(&made);
    return status;
}

sqz_status sqzi_squeeze_neurons(sqzi_weights *weights, uint32_t block,
                                const sqzi_input_statistics *input,
                                const sqzi_remove_options *options, uint32_t *kept, double *lost,
                                sqz_error *error)
{
    return squeeze(weights, block, SQZI_REMOVE_NEURONS, input, options, kept, lost, error);
}

sqz_status sqzi_squeeze_heads(sqzi_weights *weights, uint32_t block,
                              const sqzi_input_statistics *input,
                              const sqzi_remove_options *options, uint32_t *kept, double *lost,
                              sqz_error *error)
{
    return squeeze(weights, block, SQZI_REMOVE_HEADS, input, options, kept, lost, error);
}
