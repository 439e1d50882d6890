/* SPDX-License-Identifier: Apache-2.0 */
/* Quantising as a whole: plan and report, write the file, run the new weights with the portable
 * kernels, write it again with what they gave. */
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/reference_vectors.h"
#include "squeeze/calibration.h"

enum { MAX_PATH = 4096, MAX_FEATURES = 32, MAX_HISTORY = 4096 };

/* The results of the file's reference vectors on the new weights; they live until the file is
 * written. */
typedef struct references {
    sqz_context *portable;
    sqzi_reference_results *results; /* [count] */
    sqzi_reference *found;           /* [count] */
    uint32_t count;
    double tolerance;
} references;

typedef struct quantizer {
    sqz_context *context;
    sqz_quantize_options options;
    sqz_model *model;
    sqzi_quantize_plan plan;
    sqzi_corrections corrections; /* none but for int8 */
    sqzi_sequences sequences;
    regex_t keep;
    bool has_keep;
    references references;
    char history[512];
    sqz_error *error;
} quantizer;

static const char *const type_names[] = {"s8", "bf16", "f16"};

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
        tensor.corrected = sqzi_corrections_find(&q->corrections, tensor.name) != NULL;
        if (q->options.tensor && strncmp(tensor.name, "verify.", 7) != 0)
            q->options.tensor(q->options.user, &tensor);
    }
    for (uint32_t i = 0; i < q->corrections.n && q->options.tensor; i++) {
        const sqzi_correction *c = &q->corrections.list[i];
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

/* The strings of an array (none where the key is absent) and one more, unless it is there. */
static sqz_status put_strings_and(quantizer *q, sqzi_gguf_writer *writer, const char *key,
                                  uint64_t limit, const char *more, bool always)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = q->error;
    const sqz_allocator *allocator = &q->context->allocator;
    const sqzi_gguf_value *value;
    TRY(sqzi_gguf_get_array(q->model->gguf, key, SQZI_GGUF_STRING, UINT64_MAX, false, &value,
                            error));
    const size_t n = value ? (size_t)value->n : 0;
    FAIL_IF(n > limit, SQZ_ELIMIT, 0, "metadata '%s' has %zu strings, at most %llu are allowed",
            key, n, (unsigned long long)limit);
    const unsigned char *at = value ? value->data : NULL;
    bool there = false;
    sqzi_span *strings = sqzi_allocate(allocator, (n + 1) * sizeof *strings);
    FAIL_IF(!strings, SQZ_ENOMEM, 0, "no memory for metadata");
    for (size_t i = 0; i < n; i++) {
        strings[i] = sqzi_gguf_next_string(&at);
        there |= sqzi_span_is(strings[i], more);
    }
    strings[n] = sqzi_span_of(more);
    sqzi_gguf_put_strings(writer, key, strings, n + (always || !there));
    sqzi_release(allocator, strings, (n + 1) * sizeof *strings);
fail:
    return status;
}

/* Metadata as they are, but for what the step changes. */
static sqz_status put_metadata(quantizer *q, sqzi_gguf_writer *writer)
{
    static const char *const changed[] = {"general.alignment",   "general.file_type",
                                          "sqz.requires",        "sqz.history",
                                          "sqz.verify.count",    "sqz.verify.made_by",
                                          "sqz.verify.tolerance"};
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < sqzi_gguf_n_values(q->model->gguf); i++) {
        const sqzi_gguf_value *value = sqzi_gguf_value_at(q->model->gguf, i);
        bool copy = true;
        for (size_t j = 0; j < sizeof changed / sizeof *changed; j++)
            copy &= !sqzi_span_is(value->key, changed[j]);
        if (copy) sqzi_gguf_put_value(writer, value);
    }
    const char *requires = q->options.type == SQZ_QUANTIZE_S8 ? "s8" : "bf16";
    if (q->options.type != SQZ_QUANTIZE_F16)
        TRY(put_strings_and(q, writer, "sqz.requires", MAX_FEATURES, requires, false));
    else if (sqzi_gguf_find(q->model->gguf, "sqz.requires"))
        sqzi_gguf_put_value(writer, sqzi_gguf_find(q->model->gguf, "sqz.requires"));
    char how[64] = "";
    if (q->corrections.n && q->sequences.texts)
        snprintf(how, sizeof how, ", calibrated on %u texts of %u pieces", q->sequences.n,
                 sqzi_sequences_tokens(&q->sequences));
    else if (q->corrections.n)
        snprintf(how, sizeof how, ", biases corrected over %d x %d random ids",
                 SQZI_CALIBRATION_SEQUENCES, SQZI_CALIBRATION_LENGTH);
    else if (q->options.type == SQZ_QUANTIZE_S8) snprintf(how, sizeof how, " --no-correction");
    snprintf(q->history, sizeof q->history, "quantize --type %s%s%.400s%s%s",
             type_names[q->options.type], q->has_keep ? " --keep '" : "",
             q->has_keep ? q->options.keep : "", q->has_keep ? "'" : "", how);
    TRY(put_strings_and(q, writer, "sqz.history", MAX_HISTORY, q->history, true));
fail:
    return status;
}

static void put_tensors(quantizer *q, sqzi_gguf_writer *writer)
{
    for (uint32_t i = 0; i < q->plan.n; i++) {
        sqzi_quantized *t = &q->plan.tensors[i];
        char name[96];
        if (strncmp(t->name, "verify.", 7) == 0) continue;
        if (!t->changed) {
            const sqzi_correction *c = sqzi_corrections_find(&q->corrections, t->name);
            sqzi_gguf_put_tensor(writer, t->name, t->to, t->from->n_dims, t->from->shape,
                                 c ? c->corrected : t->from->data);
            continue;
        }
        sqzi_gguf_put_tensor_by(writer, t->name, t->to, 2, t->from->shape, sqzi_quantize_emit, t);
        if (t->to != SQZI_S8) continue;
        snprintf(name, sizeof name, "%s.scale", t->name);
        sqzi_gguf_put_tensor(writer, name, SQZI_F32, 1, t->from->shape, t->scale);
    }
    for (uint32_t i = 0; i < q->corrections.n; i++) {
        const sqzi_correction *c = &q->corrections.list[i];
        if (!c->bias)
            sqzi_gguf_put_tensor(writer, c->bias_name, SQZI_F32, 1, (uint64_t[]){c->linear->n_out},
                                 c->corrected);
    }
}

static void put_references(const references *r, sqzi_gguf_writer *writer)
{
    sqzi_gguf_put_u32(writer, "sqz.verify.count", r->count);
    sqzi_gguf_put_string(writer, "sqz.verify.made_by", "portable kernels");
    sqzi_gguf_put_f64(writer, "sqz.verify.tolerance", r->tolerance);
    for (uint32_t j = 0; j < r->count; j++) {
        const sqzi_reference *from = &r->found[j];
        const struct {
            const char *part;
            const sqzi_gguf_tensor *like;
            const void *data;
        } parts[] = {{"ids", from->ids, from->ids->data},
                     {"types", from->types, from->types->data},
                     {"hidden", from->hidden, r->results[j].hidden},
                     {"logits", from->logits, r->results[j].logits}};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            char name[64];
            snprintf(name, sizeof name, "verify.%u.%s", (unsigned)j, parts[p].part);
            if (parts[p].like)
                sqzi_gguf_put_tensor(writer, name, parts[p].like->type, parts[p].like->n_dims,
                                     parts[p].like->shape, parts[p].data);
        }
    }
}

static sqz_status write_to(quantizer *q, const char *path, bool with_references)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = q->error;
    sqzi_gguf_writer *writer = NULL;
    TRY(sqzi_gguf_writer_open(&q->context->allocator, &writer, error));
    TRY(put_metadata(q, writer));
    put_tensors(q, writer);
    if (with_references) put_references(&q->references, writer);
    TRY(sqzi_gguf_write(writer, path, error));
fail:
    sqzi_gguf_writer_close(writer);
    return status;
}

static double largest_of(const sqzi_reference *found, const sqzi_reference_results *results,
                         double most)
{
    for (uint64_t i = 0; i < found->hidden->n; i++)
        most = fmax(most, fabs((double)results->hidden[i]));
    return most;
}

/* Run the unverified file. The tolerance: where another level's softmax, norm or GELU differs in a
 * last bit, a rounding of activations may go the other way; a step of int8 is a hundredth, so a few
 * layers on, the two runs are as far from each other as two independent roundings of the same
 * model: each about as far from the source's results as the portable kernels are, so by the
 * triangle's inequality twice that. */
static sqz_status run_references(quantizer *q, const char *path)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = q->error;
    references *r = &q->references;
    sqz_model *model = NULL;
    double largest = 0, changed = 0;
    TRY(sqz_context_open(&(sqz_context_options){.allocator = &q->context->allocator,
                                                .n_threads = 1,
                                                .cpu = "portable"},
                         &r->portable, error));
    TRY(sqz_model_open(r->portable, path, &model, error));
    for (uint32_t j = 0; j < r->count; j++) {
        TRY(sqzi_reference_find(q->model, j, &r->found[j], error));
        TRY(sqzi_reference_run(model, &r->found[j], &r->results[j], error));
        largest = largest_of(&r->found[j], &r->results[j], largest);
        changed = sqzi_reference_difference(&r->found[j], &r->results[j], changed);
    }
    r->tolerance = sqzi_reference_f32_tolerance(largest);
    if (q->options.type != SQZ_QUANTIZE_F16) r->tolerance = fmax(r->tolerance, 2 * changed);
fail:
    sqz_model_close(model);
    return status;
}

static sqz_status write_file(quantizer *q, const char *out)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = q->error;
    references *r = &q->references;
    const sqz_allocator *allocator = &q->context->allocator;
    char unverified[MAX_PATH];
    TRY(sqzi_reference_count(q->model, &r->count, error));
    if (r->count == 0) return write_to(q, out, false);
    r->found = sqzi_allocate_zeroed(allocator, r->count, sizeof *r->found);
    r->results = sqzi_allocate_zeroed(allocator, r->count, sizeof *r->results);
    FAIL_IF(!r->found || !r->results, SQZ_ENOMEM, 0, "no memory for %u reference vectors",
            r->count);
    const int n = snprintf(unverified, sizeof unverified, "%s.unverified", out);
    FAIL_IF(n < 0 || n >= (int)sizeof unverified, SQZ_ELIMIT, 0, "the path '%.100s...' is too long",
            out);
    TRY(write_to(q, unverified, false));
    status = run_references(q, unverified);
    remove(unverified);
    if (status == SQZ_OK) status = write_to(q, out, true);
fail:
    return status;
}

static void discard(quantizer *q)
{
    references *r = &q->references;
    if (q->has_keep) regfree(&q->keep);
    for (uint32_t j = 0; r->results && j < r->count; j++)
        sqzi_reference_discard(q->model, &r->results[j]);
    sqzi_release(&q->context->allocator, r->found, r->count * sizeof *r->found);
    sqzi_release(&q->context->allocator, r->results, r->count * sizeof *r->results);
    if (r->portable) sqz_context_close(r->portable);
    sqzi_sequences_discard(&q->sequences);
    if (q->model) sqzi_corrections_discard(&q->corrections);
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
        o->calibrated(o->user, q->sequences.n, sqzi_sequences_tokens(&q->sequences));
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
    if (options) q.options = *options;
    if ((unsigned)q.options.type > SQZ_QUANTIZE_F16)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_quantize: type %d is none of s8, bf16 and f16",
                         (int)q.options.type);
    if (q.options.texts && (q.options.type != SQZ_QUANTIZE_S8 || q.options.no_correction))
        return sqzi_fail(
            error, SQZ_EINVAL, 0,
            "sqz_quantize: texts calibrate int8 with its biases corrected, nothing else");
    TRY(compile_keep(&q));
    TRY(sqz_model_open(context, path, &q.model, error));
    status = sqzi_quantize_plan_make(q.model, q.options.type, is_kept, &q, &q.plan, error);
    if (status == SQZ_OK) status = check_plan(&q);
    if (status == SQZ_OK && q.options.type == SQZ_QUANTIZE_S8 && !q.options.no_correction)
        status = sqzi_corrections_make(&q.plan, &q.corrections, error);
    if (status == SQZ_OK && q.options.texts) status = calibrate(&q, out != NULL);
    if (status == SQZ_OK) status = report(&q);
    if (status == SQZ_OK && !q.options.texts) status = calibrate(&q, out != NULL);
    if (status != SQZ_OK) sqzi_error_prefix(error, path);
    if (status == SQZ_OK && out) status = write_file(&q, out);
fail:
    discard(&q);
    return status;
}
