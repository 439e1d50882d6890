/* SPDX-License-Identifier: Apache-2.0 */
/* What is tried on the part to choose on: the smallest file that holds a score, and how many blocks
 * a budget is best spent on. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "compress/compressor.h"
#include "model/context.h"
#include "squeeze/squeeze_history.h"

enum {
    SIZES = 28,       /* of a search, each this share of the one before: */
    SEARCH_TRIALS = 5 /* that it takes */
};
static const double ratio = 0.9;

/* ---- trials ---- */

static void record(sqzi_compressor *c, const sqzi_compress_attempt *a)
{
    sqz_compress_result *r = c->result;
    if (r->n_trials == SQZ_COMPRESS_TRIALS) return;
    r->trials[r->n_trials++] = (sqz_compress_trial){.budget = a->levers.budget,
                                                    .bytes = a->told.bytes_after,
                                                    .steps = a->steps,
                                                    .layers = a->n_layers,
                                                    .score = a->score,
                                                    .error = a->error};
}

sqz_status sqzi_compress_try(sqzi_compressor *c, const sqz_squeeze_options *levers, double minutes,
                             sqzi_compress_attempt *a, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_compress_squeeze(c, levers, a, error));
    TRY(sqzi_compress_heal(c, minutes, a, error));
    record(c, a);
fail:
    return status;
}

/* ---- the smallest that holds a score ---- */

/* A file of int8 takes no more: matrices a byte a number and a scale a row, vectors f32, and what
 * is not weights. */
static double largest(const sqzi_compressor *c)
{
    double bytes = (double)c->base->info.file_bytes;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(c->base->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(c->base->gguf, i);
        const double rows = (double)t->shape[0];
        bytes -= (double)t->bytes;
        bytes += t->n_dims == 2 ? rows * ((double)t->shape[1] + 4) : 4 * rows;
    }
    return 1.1 * bytes;
}

static uint64_t size_of(const sqzi_compressor *c, uint32_t k)
{
    return (uint64_t)(largest(c) * pow(ratio, k));
}

/* A standard error to spare: what just holds it here is as likely as not to miss it elsewhere. */
static sqz_status holds(sqzi_compressor *c, uint64_t budget, double minutes, bool *yes,
                        sqz_error *error)
{
    sqz_error why = {0};
    sqzi_compress_attempt a = {0};
    sqz_squeeze_options levers = c->options.levers;
    levers.budget = budget;
    sqz_status status = sqzi_compress_try(c, &levers, minutes, &a, &why);
    *yes = status == SQZ_OK && a.score - a.error >= c->least_to_choose;
    if (a.unmet) status = SQZ_OK; /* no file is so small */
    if (status != SQZ_OK && error) *error = why;
    sqzi_compress_discard(c, &a);
    return status;
}

sqz_status sqzi_compress_search(sqzi_compressor *c, uint64_t above, uint64_t *budget,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const double minutes = c->options.minutes / SEARCH_TRIALS;
    int low = 0, high = SIZES - 1;
    *budget = 0;
    while (high >= 0 && size_of(c, (uint32_t)high) <= above) high--;
    while (low <= high) {
        const int k = (low + high) / 2;
        bool yes;
        TRY(holds(c, size_of(c, (uint32_t)k), minutes, &yes, error));
        if (yes) *budget = size_of(c, (uint32_t)k);
        if (yes) low = k + 1;
        else high = k - 1;
    }
fail:
    return status;
}

sqz_status sqzi_compress_find_budget(sqzi_compressor *c, sqz_error *error)
{
    uint64_t *budget = &c->options.levers.budget;
    c->searched = c->options.min_score > 0 && !sqzi_squeeze_has_lever(&c->options.levers);
    if (!c->searched) return SQZ_OK;
    const sqz_status status = sqzi_compress_search(c, 0, budget, error);
    if (status == SQZ_OK && !*budget) *budget = size_of(c, 0); /* the best that there is */
    return status;
}

/* ---- how many blocks ---- */

/* Of a budget that was given; each trial is healed for so short a time. */
static bool may_choose_depth(const sqzi_compressor *c)
{
    const sqz_squeeze_options *l = &c->options.levers;
    return c->options.minutes >= SQZI_COMPRESS_LEAST_MINUTES && l->budget && !c->searched &&
           !l->layers && !l->layers_first && !l->layers_every && !l->depth &&
           c->base->info.n_layers > 1;
}

sqz_status sqzi_compress_foretell(sqzi_compressor *c, sqzi_compress_attempt *a, sqz_error *error)
{
    const sqz_status status = sqzi_compress_squeeze(c, &c->options.levers, a, error);
    if (status == SQZ_OK && may_choose_depth(c))
        sqzi_compress_note(c,
                           "this is the first plan: with %s minutes of healing a block fewer or "
                           "more is tried too, and what comes out may have other parts and bytes, "
                           "within the budget",
                           SQZI_REAL(6, c->options.minutes));
    return status;
}

typedef struct depths {
    sqzi_compressor *c;
    double minutes; /* of each */
    sqzi_compress_attempt *best;
    uint32_t n_healed;
} depths;

/* One that is better takes the place of the best; *better says so, false also where no file of
 * that depth is within the budget and the time. */
static sqz_status try_depth(depths *d, uint32_t depth, bool *better, sqz_error *error)
{
    sqz_error why = {0};
    sqzi_compress_attempt a = {0};
    sqz_squeeze_options levers = d->c->options.levers;
    levers.depth = depth;
    *better = false;
    sqz_status status = sqzi_compress_try(d->c, &levers, d->minutes, &a, &why);
    d->n_healed += status == SQZ_OK;
    if (status == SQZ_OK && a.score > d->best->score) {
        const sqzi_compress_attempt worse = *d->best;
        *d->best = a;
        a = worse;
        *better = true;
    }
    if (a.unmet) status = SQZ_OK;
    if (status != SQZ_OK && error) *error = why;
    sqzi_compress_discard(d->c, &a);
    return status;
}

/* From what the plan has, up or down as long as that is better. */
static sqz_status walk(depths *d, int by, bool *moved, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    bool better = true;
    *moved = false;
    while (better && d->n_healed < SQZI_COMPRESS_DEPTHS) {
        const int depth = (int)d->best->n_layers + by;
        if (depth < 1 || depth > (int)d->c->base->info.n_layers) break;
        TRY(try_depth(d, (uint32_t)depth, &better, error));
        *moved = *moved || better;
    }
fail:
    return status;
}

/* What the trials leave of the minutes is the best one's. */
static sqz_status choose_depth(sqzi_compressor *c, sqzi_compress_attempt *best, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const double whole = c->options.minutes;
    depths d = {.c = c, .minutes = whole / SQZI_COMPRESS_SHARE, .best = best};
    bool moved = false;
    TRY(sqzi_compress_try(c, &c->options.levers, d.minutes, best, error));
    d.n_healed = 1;
    TRY(walk(&d, -1, &moved, error));
    if (!moved) TRY(walk(&d, 1, &moved, error));
    TRY(sqzi_compress_heal(c, whole - d.minutes * d.n_healed, best, error));
    record(c, best);
fail:
    return status;
}

sqz_status sqzi_compress_choose(sqzi_compressor *c, sqzi_compress_attempt *best, sqz_error *error)
{
    const sqz_status status = may_choose_depth(c)
                                  ? choose_depth(c, best, error)
                                  : sqzi_compress_try(c, &c->options.levers, c->options.minutes,
                                                      best, error);
    if (status == SQZ_OK && c->result->n_trials)
        c->result->trials[c->result->n_trials - 1].chosen = 1;
    return status;
}
