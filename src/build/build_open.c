/* SPDX-License-Identifier: Apache-2.0 */
/* What a build is: its options checked, its arrays, its end. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "build/builder.h"
#include "model/context.h"
#include "squeeze/squeeze_history.h"

static void lay_out(sqz_build *b, sqzi_arena *arena)
{
    (void)sqzi_arena_take(arena, 1, sizeof *b);
    b->rows = sqzi_arena_take(arena, b->result.n, sizeof *b->rows);
    b->counts = sqzi_arena_take(arena, b->result.n_classes, sizeof *b->counts);
    b->near_copies = sqzi_arena_take(arena, b->result.n, sizeof *b->near_copies);
    b->fold = sqzi_arena_take(arena, b->result.n, sizeof *b->fold);
    b->is_copy = sqzi_arena_take(arena, b->result.n, 1);
    b->confusions = sqzi_arena_take(arena, SQZI_CONFUSIONS, sizeof *b->confusions);
    b->labels = sqzi_arena_take(arena, b->result.n_classes, sizeof *b->labels);
    b->outputs = sqzi_arena_take(arena, b->result.n_classes, sizeof *b->outputs);
}

static sqz_status make(sqz_build *sizes, sqz_build **out, sqz_error *error)
{
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(sizes, &arena);
    sqz_build *b = *out = sqzi_allocate(sizes->allocator, arena.used);
    if (!b) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a build");
    sizes->bytes = arena.used;
    arena = sqzi_arena_over(b, sizes->bytes);
    lay_out(sizes, &arena);
    *b = *sizes;
    memset(b->counts, 0, b->result.n_classes * sizeof *b->counts);
    memset(b->is_copy, 0, b->result.n);
    for (uint32_t k = 0; k < sqz_dataset_n_classes(b->dataset); k++)
        b->labels[k] = sqz_dataset_class(b->dataset, k);
    for (size_t i = 0; i < b->result.n; i++) b->counts[b->examples[i].label]++;
    b->result.counts = b->counts;
    b->result.near_copies = b->near_copies;
    b->result.confusions = b->confusions;
    b->result.frozen_accuracy = b->result.full_accuracy = NAN;
    b->result.why = b->why;
    b->result.kept = b->options.keep_head;
    return SQZ_OK;
}

void sqzi_build_close_frozen(sqz_build *b)
{
    sqzi_frozen_close(&b->frozen);
    sqzi_features_discard(&b->features);
    sqz_model_close(b->model);
    b->model = NULL;
}

void sqz_build_close(sqz_build *b)
{
    if (!b) return;
    sqzi_build_close_frozen(b);
    sqz_predictions_close(b->predictions);
    sqz_dataset_close(b->held_out);
    sqzi_release(b->allocator, b, b->bytes);
}

/* ---- options ---- */

/* What a build decides itself. */
static sqz_status check_compress(const sqz_build_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_compress_options *c = o->compress;
    TRY(SQZI_RESERVED(c, "sqz_compress_options", error));
    FAIL_IF(
        o->keep_head, SQZ_EINVAL, 0,
        "compress makes a classifier and squeezes it, keep_head leaves one as it is: one or the "
        "other");
    FAIL_IF(!o->checkpoint, SQZ_EINVAL, 0, "compress: a folder (checkpoint) is needed to go on in");
    FAIL_IF(c->dataset || c->report || c->holdout != 0 || c->minutes != 0 || c->seed || c->folder ||
                c->keep || c->part || c->progress || c->note,
            SQZ_EINVAL, 0,
            "compress: rows, what is held out, minutes, seed, folder and what is told are those of "
            "sqz_build_options");
    FAIL_IF(!sqzi_squeeze_has_lever(&c->levers) && !(c->min_score > 0), SQZ_EINVAL, 0,
            "compress: say a budget, a time, levers by hand, or a score to be held");
fail:
    return status;
}

static sqz_status check_options(const sqz_build_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(SQZI_RESERVED(o, "sqz_build_options", error));
    if (o->compress) TRY(check_compress(o, error));
    FAIL_IF((!o->compress && !(o->minutes >= 0)) || !isfinite(o->minutes) ||
                !(o->false_refusals < 1) ||
                !(o->holdout == 0 || (o->holdout > 0 && o->holdout < 1)),
            SQZ_EINVAL, 0,
            "minutes are 0 or more, false refusals below 1, a share held out between 0 and 1");
    FAIL_IF(o->keep_head && (o->minutes > 0 || o->checkpoint), SQZ_EINVAL, 0,
            "%s is for training every weight, and a head that is kept (keep_head) is not trained",
            o->minutes > 0 ? "minutes" : "checkpoint");
fail:
    return status;
}

/* Of a small table a tenth would be too few rows to set a threshold on. */
static double default_holdout(size_t n)
{
    enum { ENOUGH = 60 };
    if (n >= 10 * ENOUGH) return 0.1;
    return (double)n * 0.3 > ENOUGH ? (double)ENOUGH / (double)n : 0.3;
}

sqz_status sqzi_build_open(const sqz_build *begun, const sqz_build_options *options,
                           sqz_build **made, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build sizes = *begun;
    if (options) {
        TRY(check_options(options, error));
        sizes.options = *options;
    }
    sizes.allocator = &sizes.context->allocator;
    sizes.examples = sqz_dataset_examples(sizes.dataset, &sizes.result.n);
    sizes.result.n_classes = sqz_dataset_n_classes(sizes.dataset);
    if (sizes.options.holdout == 0) sizes.options.holdout = default_holdout(sizes.result.n);
    const double refusals = sizes.options.false_refusals;
    sizes.result.false_refusals = refusals == 0 ? 0.05 : refusals < 0 ? 0 : refusals;
    TRY(sqzi_build_check(&sizes, error));
    if (sizes.options.keep_head) TRY(sqzi_build_open_kept(&sizes, error));
    TRY(make(&sizes, made, error));
    return SQZ_OK;
fail:
    sqz_model_close(sizes.model);
    return status;
}
