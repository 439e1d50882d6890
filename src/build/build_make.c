/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a build: look at the data, read the texts, fit, decide, calibrate, write. */
#include "base/clock.h"
#include "base/error.h"
#include "build/builder.h"
#include "model/context.h"
#include "squeeze/quantized_model.h"

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

sqz_status sqzi_build_run(sqz_build *b, sqzi_build_steps *steps, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(open_outputs(b, error));
    TRY(steps(b, error));
    const bool written = !b->options.compress || b->compressed.met;
    if (b->card && written) TRY(sqz_output_commit(b->card, error));
fail:
    sqzi_build_close_frozen(b);
    sqz_output_close(b->card);
    b->card = NULL;
    return status;
}
