/* SPDX-License-Identifier: Apache-2.0 */
/* Quantising as a whole: plan and report, then the new file. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "io/checksum.h"
#include "rewrite/rewrite.h"
#include "squeeze/calibration.h"

typedef struct quantizer {
    sqz_context *context;
    sqz_quantize_options options;
    sqz_model *model;
    sqzi_quantize_plan plan;
    sqzi_bias_corrections corrections; /* none but for integers */
    sqzi_sequences sequences;
    regex_t keep;
    bool has_keep;
    sqz_error *error;
} quantizer;

static const char *const type_names[] = {"s8", "bf16", "f16", "s4", "s3"};

static sqz_status compile_keep(quantizer *q)
{
    char reason[128];
    if (!q->options.keep) return SQZ_OK;
    const int code = regcomp(&q->keep, q->options.keep, REG_EXTENDED | REG_NOSUB);
    q->has_keep = code == 0;
    if (code == 0) return SQZ_OK;
    regerror(code, &q->keep, reason, sizeof reason);
    return sqzi_fail(q->error, code == REG_ESPACE ? SQZ_ENOMEM : SQZ_EINVAL, 0,
                     "keep: '%.100s' is no extended regular expression: %s", q->options.keep,
                     reason);
}

static bool is_kept(const void *user, const char *name)
{
    const quantizer *q = user;
    return q->has_keep && regexec(&q->keep, name, 0, NULL, 0) == 0;
}

static sqz_status check_plan(const quantizer *q)
{
    const sqzi_quantize_plan *plan = &q->plan;
    const char *type = type_names[q->options.type];
    if (q->has_keep && plan->n_kept == 0)
        return sqzi_fail(q->error, SQZ_EINVAL, 0,
                         "keep: '%.100s' matches no tensor that would become %s", q->options.keep,
                         type);
    if (plan->n_changed == 0 && plan->n_kept)
        return sqzi_fail(
            q->error, SQZ_EINVAL, 0,
            "keep: '%.100s' matches every tensor that would become %s: nothing is left to do",
            q->options.keep, type);
    if (plan->n_changed == 0)
        return sqzi_fail(q->error, SQZ_EINVAL, 0,
                         "every weight of the model is %s already: there is nothing to do", type);
    return SQZ_OK;
}

static sqz_status report(quantizer *q)
{
    for (uint32_t i = 0; i < q->plan.n; i++) {
        sqz_quantized_tensor tensor;
        const sqz_status status = sqzi_quantize_measure(&q->plan, i, &tensor, q->error);
        if (status != SQZ_OK) return status;
        tensor.corrected = sqzi_bias_corrections_find(&q->corrections, tensor.name) != NULL;
        if (q->options.tensor && strncmp(tensor.name, "verify.", 7) != 0)
            q->options.tensor(q->options.user, &tensor);
    }
    for (uint32_t i = 0; i < q->corrections.n && q->options.tensor; i++) {
        const sqzi_bias_correction *c = &q->corrections.list[i];
        if (c->bias) continue;
        const sqz_quantized_tensor added = {.name = c->bias_name,
                                            .from = "F32",
                                            .to = "F32",
                                            .corrected = 1,
                                            .n_dims = 1,
                                            .shape = {c->linear->n_out},
                                            .bytes_after = c->linear->n_out * sizeof(float)};
        q->options.tensor(q->options.user, &added);
    }
    return SQZ_OK;
}

static sqz_status put_metadata(const quantizer *q, sqzi_gguf_writer *writer)
{
    const char *type = type_names[q->options.type];
    char how[64] = "", history[512], suffix[8];
    snprintf(suffix, sizeof suffix, "-%s", type);
    if (q->corrections.n && q->sequences.texts)
        snprintf(how, sizeof how, ", calibrated on %u texts of %u pieces", q->sequences.n,
                 sqzi_sequences_tokens(&q->sequences));
    else if (q->corrections.n)
        snprintf(how, sizeof how, ", biases corrected over %d x %d random ids",
                 SQZI_CALIBRATION_SEQUENCES, SQZI_CALIBRATION_LENGTH);
    else if (q->plan.bits) snprintf(how, sizeof how, " --no-bias-correction");
    snprintf(history, sizeof history, "quantize --type %s%s%.400s%s%s", type,
             q->has_keep ? " --keep '" : "", q->has_keep ? q->options.keep : "",
             q->has_keep ? "'" : "", how);
    const sqzi_step step = {.history = history,
                            .suffix = suffix,
                            .feature = q->options.type == SQZ_QUANTIZE_F16 ? NULL : type};
    return sqzi_rewrite_metadata(writer, q->model, &step, q->error);
}

/* Packed rows of a factorised table's projection do not tell its width. */
static void put_factor(const quantizer *q, sqzi_gguf_writer *writer)
{
    static const char key[] = "sqz.embedding.factor";
    const sqzi_embedding *embedding = &q->model->encoder.embedding;
    if (embedding->factorised && !sqzi_gguf_find(q->model->gguf, key))
        sqzi_gguf_put_u32(writer, key, embedding->word.width);
}

static void put_tensors(quantizer *q, sqzi_gguf_writer *writer)
{
    for (uint32_t i = 0; i < q->plan.n; i++) {
        sqzi_quantized *t = &q->plan.tensors[i];
        char name[SQZI_STORED_NAME];
        uint64_t shape[2];
        if (strncmp(t->name, "verify.", 7) == 0) continue;
        if (!t->changed) {
            const sqzi_bias_correction *c = sqzi_bias_corrections_find(&q->corrections, t->name);
            sqzi_gguf_put_tensor(writer, t->name, t->to, t->from->n_dims, t->from->shape,
                                 c ? c->corrected : t->from->data);
            continue;
        }
        sqzi_quantize_form(t, name, shape);
        sqzi_gguf_put_tensor_by(writer, name, t->to, 2, shape, sqzi_quantize_emit, t);
        if (t->to != SQZI_S8) continue;
        snprintf(name, sizeof name, "%s.scale", t->name);
        sqzi_gguf_put_tensor(writer, name, SQZI_F32, 1, t->from->shape, t->scale);
    }
    for (uint32_t i = 0; i < q->corrections.n; i++) {
        const sqzi_bias_correction *c = &q->corrections.list[i];
        if (!c->bias)
            sqzi_gguf_put_tensor(writer, c->bias_name, SQZI_F32, 1, (uint64_t[]){c->linear->n_out},
                                 c->corrected);
    }
}

/* f16 is storage: what it changes does not make two levels differ. */
static sqz_status write_file(quantizer *q, const char *path, const char *out)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = q->error;
    sqzi_gguf_writer *writer = NULL;
    sqzi_references references = {0};
    status = sqzi_references_copy(&references, q->model, error);
    if (q->options.type == SQZ_QUANTIZE_F16) references.compared = false;
    if (status == SQZ_OK) status = sqzi_gguf_writer_open(&q->context->allocator, &writer, error);
    if (status == SQZ_OK) status = put_metadata(q, writer);
    if (status != SQZ_OK) {
        sqzi_error_prefix(error, path);
        goto fail;
    }
    if (q->plan.bits && q->plan.bits < 8) put_factor(q, writer);
    put_tensors(q, writer);
    TRY(sqzi_rewrite_write(writer, &references, out, error));
fail:
    sqzi_gguf_writer_close(writer);
    sqzi_references_discard(&references);
    return status;
}

static void discard(quantizer *q)
{
    if (q->has_keep) regfree(&q->keep);
    sqzi_sequences_discard(&q->sequences);
    if (q->model) sqzi_bias_corrections_discard(&q->corrections);
    if (q->model) sqzi_quantize_plan_discard(&q->plan);
    sqz_model_close(q->model);
}

/* Over texts before the report, which shows what became of the weights; over random ids only where
 * the biases are needed. */
static sqz_status calibrate(quantizer *q, bool write)
{
    const sqz_quantize_options *o = &q->options;
    sqz_quantized_tensor ignored;
    sqz_status status = SQZ_OK;
    if (q->corrections.n == 0 || !(write || o->texts)) return SQZ_OK;
    status = o->texts
                 ? sqzi_sequences_of_texts(q->model, o->texts, o->n_texts, &q->sequences, q->error)
                 : sqzi_sequences_random(q->model, &q->sequences, q->error);
    if (o->texts && o->calibrated && status == SQZ_OK)
        o->calibrated(o->user, &(sqz_calibration){q->sequences.n, q->sequences.n_cut,
                                                  sqzi_sequences_tokens(&q->sequences)});
    for (uint32_t i = 0; i < q->plan.n && o->texts && status == SQZ_OK; i++)
        status = sqzi_quantize_measure(&q->plan, i, &ignored, q->error);
    return status == SQZ_OK ? sqzi_calibrate(&q->corrections, &q->sequences, o, q->error) : status;
}

sqz_status sqz_quantize(sqz_context *context, const char *path, const char *out,
                        const sqz_quantize_options *options, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    quantizer q = {.context = context, .error = error};
    if (!context || !path)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_quantize: context or path is NULL");
    status = SQZI_RESERVED(options, "sqz_quantize_options", error);
    if (status != SQZ_OK) return status;
    if (options) q.options = *options;
    if ((unsigned)q.options.type > SQZ_QUANTIZE_S3)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "sqz_quantize: type %d is none of s8, bf16, f16, s4 and s3",
                         (int)q.options.type);
    const bool floats = q.options.type == SQZ_QUANTIZE_BF16 || q.options.type == SQZ_QUANTIZE_F16;
    if (q.options.texts && (floats || q.options.no_bias_correction))
        return sqzi_fail(
            error, SQZ_EINVAL, 0,
            "sqz_quantize: texts calibrate integers with their biases corrected, nothing else");
    TRY(compile_keep(&q));
    TRY(sqz_model_open(context, path, &q.model, error));
    status = sqzi_checksum_check(&q.model->map, q.model->gguf, &(bool){false}, error);
    if (status == SQZ_OK)
        status = sqzi_quantize_plan_make(q.model, q.options.type, is_kept, &q, &q.plan, error);
    if (status == SQZ_OK) status = check_plan(&q);
    if (status == SQZ_OK && q.plan.bits && !q.options.no_bias_correction)
        status = sqzi_bias_corrections_make(&q.plan, &q.corrections, error);
    if (status == SQZ_OK && q.options.texts) status = calibrate(&q, out != NULL);
    if (status == SQZ_OK) status = report(&q);
    if (status == SQZ_OK && !q.options.texts) status = calibrate(&q, out != NULL);
    if (status != SQZ_OK) sqzi_error_prefix(error, path);
    if (status == SQZ_OK && out) status = write_file(&q, path, out);
fail:
    discard(&q);
    return status;
}
