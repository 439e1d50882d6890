/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a build: look at the data, read the texts, fit, decide, calibrate, write. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "build/builder.h"
#include "model/context.h"
#include "squeeze/quantized_model.h"
#include "squeeze/squeeze_history.h"

/* ---- what a build is ---- */

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

/* The frozen encoder, or the base, is done with. */
static void close_frozen(sqz_build *b)
{
    sqzi_frozen_close(&b->frozen);
    sqzi_features_discard(&b->features);
    sqz_model_close(b->model);
    b->model = NULL;
}

void sqz_build_close(sqz_build *b)
{
    if (!b) return;
    close_frozen(b);
    sqz_predictions_close(b->predictions);
    sqz_dataset_close(b->held_out);
    sqzi_release(b->allocator, b, b->bytes);
}

const sqz_build_result *sqz_build_get(const sqz_build *b)
{
    return &b->result;
}

/* ---- the encoder ---- */

/* A base of floats in int8. */
static sqz_status quantise(sqz_build *b, sqz_error *error)
{
    sqz_model_close(b->model);
    b->model = NULL;
    return sqzi_quantized_open(b->context, b->base, SQZ_QUANTIZE_S8, b->out, &b->model, error);
}

/* Opened, in int8 unless its head is kept or it is to be squeezed, and with nothing behind its
 * pooling: a head reads what is pooled. */
static sqz_status open_encoder(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool keeps = b->options.keep_head;
    if (keeps) TRY(sqzi_build_match_outputs(b, error));
    else TRY(sqz_model_open(b->context, b->base, &b->model, error));
    b->of_floats = !sqzi_has_integers(b->model);
    if (b->of_floats && !keeps && !b->as_floats) TRY(quantise(b, error));
    sqz_model *model = b->model;
    b->pooling = keeps ? model->head.pooling : model->info.pooling;
    model->head.n_steps = 0;
    model->head.embedding_width = model->info.dimensions = model->info.width;
    TRY(sqz_dataset_tokenize(b->dataset, sqz_model_tokenizer(model), model->info.max_length,
                             error));
fail:
    return status;
}

static sqz_status read_texts(sqz_build *b, sqz_error *error)
{
    const sqzi_features_from from = {.model = b->model,
                                     .dataset = b->dataset,
                                     .pooling = b->pooling,
                                     .cache = b->options.cache,
                                     .note = b->options.note,
                                     .progress = b->options.progress,
                                     .user = b->options.user};
    sqz_status status = sqzi_features_make(&from, &b->features, error);
    if (status != SQZ_OK) return status;
    b->result.n_read = b->features.n_read;
    if (sqzi_has_nonfinite(b->features.rows, (size_t)b->features.n * b->features.width, SQZI_F32))
        return sqzi_fail(error, SQZ_ENUMERIC, 0, "%s: a state of the encoder is not finite",
                         b->base);
    return SQZ_OK;
}

/* ---- the head ---- */

/* Rows as a head reads them; the heads that are tried. */
static sqz_status fit(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool keeps = b->options.keep_head;
    const sqzi_frozen_calls calls = {b->options.progress, b->options.user};
    const uint32_t n = (uint32_t)b->result.n, n_train = (uint32_t)b->result.n_train;
    TRY(sqzi_frozen_open(b->context, &b->features, b->examples, b->rows, n, n_train,
                         keeps ? 0 : b->result.n_classes, &b->frozen, error));
    if (!keeps) TRY(sqzi_frozen_try(&b->frozen, &calls, error));
fail:
    return status;
}

static sqz_status write_frozen(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_lbfgs_result end;
    const sqzi_frozen_calls calls = {b->options.progress, b->options.user};
    const sqzi_frozen_file file = {.base = b->model,
                                   .pooling = b->pooling,
                                   .labels = b->labels,
                                   .c = sqzi_strengths[b->choice.strength],
                                   .temperature = b->choice.temperature,
                                   .threshold = b->choice.threshold};
    TRY(sqzi_frozen_fit(&b->frozen, &calls, b->choice.strength, &end, error));
    TRY(sqzi_build_put_card(b, error));
    TRY(sqzi_frozen_write(&b->frozen, &file, b->out, error));
fail:
    return status;
}

/* Before anything is computed: whether the files can be written. */
static sqz_status open_outputs(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_file_writer file = {0};
    TRY(sqzi_file_writer_open(b->out, &file, error));
    if (b->options.card)
        TRY(sqz_output_open(b->allocator, b->options.card, SQZ_OUTPUT_FILE, &b->card, error));
fail:
    sqzi_file_writer_discard(&file);
    return status;
}

sqz_status sqzi_build_make(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint64_t begin = sqzi_clock_ns();
    TRY(open_encoder(b, error));
    if (!b->held_out) TRY(sqzi_build_look(b, error));
    TRY(read_texts(b, error));
    TRY(fit(b, error));
    TRY(sqzi_build_find_copies(b, error));
    if (!b->options.keep_head) b->result.frozen_seconds = 1e-9 * (double)(sqzi_clock_ns() - begin);
    TRY(b->options.keep_head ? sqzi_build_keep(b, error) : sqzi_build_full(b, error));
    if (!b->choice.whole) TRY(write_frozen(b, error));
fail:
    return status;
}

static sqz_status run(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(open_outputs(b, error));
    TRY(b->options.compress ? sqzi_build_budget(b, error) : sqzi_build_make(b, error));
    const bool written = !b->options.compress || b->compressed.met;
    if (b->card && written) TRY(sqz_output_commit(b->card, error));
fail:
    close_frozen(b);
    sqz_output_close(b->card);
    b->card = NULL;
    return status;
}

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

static sqz_status build(const sqz_build *begun, const sqz_build_options *options, sqz_build **made,
                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build sizes = *begun, *b = NULL;
    FAIL_IF(!sizes.context || !sizes.base || !sizes.dataset || !sizes.out || !made, SQZ_EINVAL, 0,
            "sqz_build_run: an argument is NULL");
    *made = NULL;
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
    TRY(make(&sizes, &b, error));
    TRY(run(b, error));
    *made = b;
    return SQZ_OK;
fail:
    if (!b) sqz_model_close(sizes.model);
    sqz_build_close(b);
    return status;
}

sqz_status sqz_build_run(sqz_context *context, const char *base, sqz_dataset *dataset,
                         const char *out, const sqz_build_options *options, sqz_build **made,
                         sqz_error *error)
{
    const sqz_build begun = {.context = context, .dataset = dataset, .base = base, .out = out};
    return build(&begun, options, made, error);
}

sqz_status sqzi_build_teacher(sqz_context *context, const char *base, sqz_dataset *dataset,
                              const char *out, const sqz_build_options *options,
                              sqz_build **teacher, sqz_error *error)
{
    const sqz_build begun = {
        .context = context, .dataset = dataset, .base = base, .out = out, .as_floats = true};
    return build(&begun, options, teacher, error);
}
