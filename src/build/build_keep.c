/* SPDX-License-Identifier: Apache-2.0 */
/* A base that is a classifier already and stays one: how sure its answers are and which texts get
 * none is found on the rows held out and put into its file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "build/builder.h"
#include "eval/dataset_reader.h"
#include "model/context.h"
#include "model/words.h"
#include "rewrite/rewrite.h"

sqz_status sqzi_build_open_kept(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqz_model_open(b->context, b->base, &b->model, error));
    const sqz_model_info *info = &b->model->info;
    FAIL_IF(info->head != SQZ_HEAD_SEQUENCE || info->problem != SQZ_SINGLE_LABEL ||
                info->n_labels < 2,
            SQZ_EINVAL, 0,
            "%s: its head is %s%s%s: one is kept that gives a text one class of two or more",
            b->base, sqzi_head_words[info->head], info->head == SQZ_HEAD_NONE ? "" : ", ",
            info->head == SQZ_HEAD_NONE ? "" : sqzi_problem_words[info->problem]);
    if (info->n_labels > b->result.n_classes) b->result.n_classes = info->n_labels;
fail:
    return status;
}

/* ---- classes ---- */

/* The data's class that an output answers with, by name, white space at its ends left out as of
 * the data's; by number where nobody named outputs, as `eval` has it. UINT32_MAX: the data has no
 * such class. */
static uint32_t class_of(const sqz_build *b, uint32_t output)
{
    char number[12];
    const char *name = b->model->labels[output];
    snprintf(number, sizeof number, "%u", output);
    if (!b->model->info.labels_named) name = number;
    return sqzi_text_table_find(&b->dataset->classes,
                                sqzi_label_trimmed((sqz_text){name, strlen(name)}));
}

static sqz_status lacks(const sqz_build *b, uint32_t k, sqz_error *error)
{
    unsigned long long line = 0;
    for (size_t i = b->result.n; i > 0; i--)
        if (b->examples[i - 1].label == k) line = b->examples[i - 1].line;
    return sqzi_fail(error, SQZ_EINVAL, k,
                     "%s: %llu rows, the first on line %llu, have the label '%.80s', which none of "
                     "the %u classes of %s is called (the first is '%.80s'): leave these rows out, "
                     "or build without keeping the head",
                     sqz_dataset_name(b->dataset), (unsigned long long)b->counts[k], line,
                     b->labels[k], b->model->info.n_labels, b->base, b->model->labels[0]);
}

sqz_status sqzi_build_match_outputs(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = b->model->info.n_labels, n_data = sqz_dataset_n_classes(b->dataset);
    uint32_t used = n_data;
    for (uint32_t k = 0; k < n_data; k++) b->outputs[k] = UINT32_MAX;
    for (uint32_t output = 0; output < n; output++) {
        const uint32_t k = class_of(b, output);
        if (k == UINT32_MAX) continue;
        FAIL_IF(b->outputs[k] != UINT32_MAX, SQZ_EINVAL, output,
                "%s: outputs %u and %u are both called '%.80s'", b->base, b->outputs[k], output,
                b->labels[k]);
        b->outputs[k] = output;
    }
    for (uint32_t k = 0; k < n_data; k++)
        if (b->outputs[k] == UINT32_MAX) return lacks(b, k, error);
    for (uint32_t output = 0; output < n; output++) {
        if (class_of(b, output) != UINT32_MAX) continue;
        b->labels[used] = b->model->labels[output];
        b->outputs[used++] = output;
    }
fail:
    return status;
}

/* ---- the file ---- */

static bool leaves_out(const void *user, sqzi_span key)
{
    (void)user;
    return sqzi_is_of_scores(key);
}

/* What other steps leave out is as true as before: the weights are the same. */
static void put_of_weights(const sqz_model *base, sqzi_gguf_writer *writer)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_values(base->gguf); i++) {
        const sqzi_gguf_value *value = sqzi_gguf_value_at(base->gguf, i);
        if (sqzi_span_begins(value->key, "sqz.squeeze.") ||
            sqzi_span_is(value->key, "general.file_type"))
            sqzi_gguf_put_value(writer, value);
    }
}

static const sqzi_step step = {
    .history = "build, temperature and threshold of the head that was there", .suffix = "-built"};

uint64_t sqzi_build_kept_bytes(void)
{
    static const char keys[] = "sqz.head.temperature"
                               "sqz.head.threshold";
    enum { LENGTH = 8, TYPE = 4, NUMBER = 8, ALIGNMENT = 64 };
    return LENGTH + strlen(step.history) + strlen(step.suffix) + strlen(keys) +
           2 * (LENGTH + TYPE + NUMBER) + ALIGNMENT;
}

static sqz_status put_metadata(const sqz_build *b, sqzi_gguf_writer *writer, sqz_error *error)
{
    const sqz_status status = sqzi_rewrite_metadata_but(writer, b->model, &step, leaves_out, NULL,
                                                        error);
    put_of_weights(b->model, writer);
    sqzi_gguf_put_f64(writer, "sqz.head.temperature", b->choice.temperature);
    if (b->choice.threshold > -HUGE_VAL)
        sqzi_gguf_put_f64(writer, "sqz.head.threshold", b->choice.threshold);
    return status;
}

/* out NULL: its bytes alone. */
static sqz_status write_file(const sqz_build *b, const char *out, uint64_t *bytes, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_gguf_writer *writer = NULL;
    sqzi_references references = {0};
    TRY(sqzi_references_copy(&references, b->model, error));
    TRY(sqzi_gguf_writer_open(b->allocator, &writer, error));
    TRY(put_metadata(b, writer, error));
    sqzi_put_tensors_of(b->model, true, writer);
    if (out) TRY(sqzi_rewrite_write(writer, &references, out, error));
    else TRY(sqzi_rewrite_bytes(writer, &references, bytes, error));
fail:
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    return status;
}

/* Of what was squeezed, for the card: the healed file and that before it have the same. */
static sqz_status count_bytes(sqz_build *b, sqz_error *error)
{
    uint64_t bytes = 0;
    if (!b->result.compressed) return SQZ_OK;
    const sqz_status status = write_file(b, NULL, &bytes, error);
    b->compressed.before.bytes = b->compressed.after.bytes = bytes;
    return status;
}

static void say_on_trust(sqz_build *b)
{
    snprintf(b->why, sizeof b->why,
             "nothing is fitted; figures and threshold are true if it was trained without the rows "
             "that are held out here (--holdout %s --seed %llu), which only who trained it can "
             "know",
             SQZI_REAL(6, b->options.holdout), (unsigned long long)b->options.seed);
}

sqz_status sqzi_build_keep(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t bytes = b->result.n_held_out * b->result.n_classes * sizeof *b->logits;
    if (!b->result.compressed) say_on_trust(b);
    b->logits = sqzi_allocate(b->allocator, bytes);
    if (!b->logits) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for logits");
    TRY(sqzi_build_read_logits(b, b->model, b->logits, error));
    FAIL_IF(sqzi_has_nonfinite(b->logits, bytes / sizeof *b->logits, SQZI_F32), SQZ_ENUMERIC, 0,
            "%s: a logit is not finite", b->base);
    TRY(sqzi_build_decide(b, error));
    TRY(count_bytes(b, error));
    TRY(sqzi_build_put_card(b, error));
    TRY(write_file(b, b->out, NULL, error));
fail:
    sqzi_release(b->allocator, b->logits, bytes);
    b->logits = NULL;
    return status;
}
