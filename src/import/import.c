/* SPDX-License-Identifier: Apache-2.0 */
/* The import as a whole: read everything, write the file, run it with the portable kernels, write
 * it again with what they gave. For bf16 that is done in f32 first, for the tolerance. */
#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"
#include "model/reference_vectors.h"

enum { VECTORS = 3, LONGEST = 24 };

/* Inputs and results that the file will carry. */
typedef struct references {
    const sqz_allocator *allocator;
    uint32_t n[VECTORS], classes, rows[VECTORS]; /* rows of logits, 0 for none */
    int32_t ids[VECTORS][LONGEST], types[VECTORS][LONGEST];
    float *hidden[VECTORS], *logits[VECTORS];
    uint32_t width;
    double largest;
} references;

/* Encoder tensors that were not asked for are errors; heads and poolers that the class does not use
 * are told. */
static sqz_status check_used(const sqzi_importer *m)
{
    static const char *const heads[] = {"pooler.",          "cls.",           "classifier.",
                                        "qa_outputs.",      "vocab_",         "pre_classifier.",
                                        "generator_",       "discriminator_", "sequence_summary.",
                                        "seq_relationship."};
    for (uint32_t i = 0; i < sqzi_source_n(&m->source); i++) {
        const sqzi_source_tensor *t = sqzi_source_at(&m->source, i);
        if (t->used || strstr(t->name, "position_ids") ||
            (t->type == SQZI_I32 && strstr(t->name, "embeddings.")))
            continue;
        const char *name = strncmp(t->name, m->prefix, strlen(m->prefix)) == 0
                               ? t->name + strlen(m->prefix)
                               : t->name;
        bool head = false;
        for (size_t j = 0; j < sizeof heads / sizeof *heads; j++)
            head |= strncmp(name, heads[j], strlen(heads[j])) == 0;
        if (!head)
            return sqzi_fail(m->error, SQZ_EFORMAT, 0,
                             "%s: the tensor '%s' belongs to no part of %s", t->file, t->name,
                             m->class_name);
        sqzi_import_note(m, "not used: %s", t->name);
    }
    return SQZ_OK;
}

static sqz_status run_reference(const sqz_model *model, sqz_session *session, references *r, int j,
                                uint32_t length, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(model);
    const sqz_allocator *allocator = r->allocator;
    uint32_t ids[LONGEST];
    uint8_t types[LONGEST];
    r->n[j] = length;
    for (uint32_t t = 0; t < length; t++) {
        ids[t] = (uint32_t)((2654435761u * (t + 7 * (uint32_t)j + 1)) % info->vocabulary);
        types[t] = info->n_token_types > 1 && 2 * t > length;
        r->ids[j][t] = (int32_t)ids[t];
        r->types[j][t] = types[t];
    }
    const uint32_t first[] = {0, length};
    const sqz_batch batch = {1, first, ids, types};
    r->hidden[j] = sqzi_allocate(allocator, (size_t)length * r->width * sizeof(float));
    FAIL_IF(!r->hidden[j], SQZ_ENOMEM, 0, "no memory for a reference vector");
    TRY(sqz_encode(session, &batch, r->hidden[j], r->width, error));
    for (size_t i = 0; i < (size_t)length * r->width; i++)
        r->largest = fmax(r->largest, fabs((double)r->hidden[j][i]));
    /* a vocabulary of logits a token would be megabytes */
    if (info->head == SQZ_HEAD_NONE || info->head == SQZ_HEAD_MASKED_LM) return SQZ_OK;
    r->classes = info->n_labels;
    r->rows[j] = info->head == SQZ_HEAD_SEQUENCE || info->head == SQZ_HEAD_MULTIPLE_CHOICE ? 1
                                                                                           : length;
    r->logits[j] = sqzi_allocate(allocator, (size_t)r->rows[j] * r->classes * sizeof(float));
    FAIL_IF(!r->logits[j], SQZ_ENOMEM, 0, "no memory for a reference vector");
    TRY(sqz_logits(session, &batch, NULL, 0, r->logits[j], r->classes, error));
fail:
    return status;
}

static sqz_status run_references(const char *path, references *r, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_context *portable = NULL;
    sqz_model *model = NULL;
    sqz_session *session = NULL;
    TRY(sqz_context_open(
        &(sqz_context_options){.allocator = r->allocator, .n_threads = 1, .cpu = "portable"},
        &portable, error));
    TRY(sqz_model_open(portable, path, &model, error));
    const sqz_model_info *info = sqz_model_get_info(model);
    const uint32_t longest = info->max_positions < LONGEST ? info->max_positions : LONGEST;
    r->width = info->width;
    TRY(sqz_session_open(model, &(sqz_session_options){longest, 1, longest}, &session, error));
    for (int j = 0; j < VECTORS; j++)
        TRY(run_reference(model, session, r, j,
                          j == 0   ? 1
                          : j == 1 ? (longest + 1) / 2
                                   : longest,
                          error));
fail:
    sqz_session_close(session);
    sqz_model_close(model);
    if (portable) sqz_context_close(portable);
    return status;
}

static void put_references(sqzi_gguf_writer *w, const references *r, double tolerance)
{
    sqzi_gguf_put_u32(w, "sqz.verify.count", VECTORS);
    sqzi_gguf_put_string(w, "sqz.verify.made_by", "portable kernels");
    sqzi_gguf_put_f64(w, "sqz.verify.tolerance", tolerance);
    for (int j = 0; j < VECTORS; j++) {
        char name[64];
        const uint64_t length[] = {r->n[j], r->width}, logits[] = {r->rows[j], r->classes};
        snprintf(name, sizeof name, "verify.%d.ids", j);
        sqzi_gguf_put_tensor(w, name, SQZI_I32, 1, length, r->ids[j]);
        snprintf(name, sizeof name, "verify.%d.types", j);
        sqzi_gguf_put_tensor(w, name, SQZI_I32, 1, length, r->types[j]);
        snprintf(name, sizeof name, "verify.%d.hidden", j);
        sqzi_gguf_put_tensor(w, name, SQZI_F32, 2, length, r->hidden[j]);
        snprintf(name, sizeof name, "verify.%d.logits", j);
        if (r->logits[j]) sqzi_gguf_put_tensor(w, name, SQZI_F32, 2, logits, r->logits[j]);
    }
}

static void discard_references(references *r)
{
    for (int j = 0; j < VECTORS; j++) {
        if (r->hidden[j])
            sqzi_release(r->allocator, r->hidden[j], (size_t)r->n[j] * r->width * sizeof(float));
        if (r->logits[j])
            sqzi_release(r->allocator, r->logits[j],
                         (size_t)r->rows[j] * r->classes * sizeof(float));
    }
}

/* The file without reference vectors goes to a name of its own, so that `path` is only ever a
 * finished file. */
static sqz_status run_unverified(const sqzi_importer *m, const char *path, references *r)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    char unverified[SQZI_JSON_PATH];
    const int n = snprintf(unverified, sizeof unverified, "%s.unverified", path);
    FAIL_IF(n < 0 || n >= (int)sizeof unverified, SQZ_ELIMIT, 0, "the path '%.100s...' is too long",
            path);
    TRY(sqzi_gguf_write(m->writer, unverified, error));
    status = run_references(unverified, r, error);
    remove(unverified);
fail:
    return status;
}

static double largest_difference(double most, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void put_features(const sqzi_importer *m)
{
    sqzi_span features[sizeof m->features / sizeof *m->features];
    for (uint32_t i = 0; i < m->n_features; i++) features[i] = sqzi_span_of(m->features[i]);
    if (m->n_features) sqzi_gguf_put_strings(m->writer, "sqz.requires", features, m->n_features);
}

static void put_history(sqzi_importer *m)
{
    static const char *const types[] = {"f32", "f16", "bf16"};
    char line[128];
    snprintf(line, sizeof line, "import --dtype %s, from %.40s", types[m->options.type],
             m->class_name);
    const sqzi_span span = sqzi_span_of(line);
    sqzi_gguf_put_strings(m->writer, "sqz.history", &span, 1);
}

/* Everything but the reference vectors into a writer, in the type of the options. */
static sqz_status read_folder(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_gguf_writer_open(&m->context->allocator, &m->writer, m->error));
    TRY(sqzi_import_config(m));
    TRY(sqzi_source_open(&m->context->allocator, m->folder, &m->source, m->error));
    TRY(sqzi_import_encoder(m));
    TRY(sqzi_import_head(m));
    TRY(check_used(m));
    TRY(sqzi_import_texts(m));
    TRY(sqzi_import_tokenizer(m));
    put_features(m);
    put_history(m);
fail:
    return status;
}

static void discard(sqzi_importer *m)
{
    sqzi_source_close(&m->source);
    for (uint32_t i = 0; i < m->n_modules; i++) sqzi_source_close(&m->modules[i]);
    if (m->writer) sqzi_gguf_writer_close(m->writer);
    json_decref(m->config);
}

/* The results of the folder's weights in f32, which those in bf16 are compared with. Before
 * anything else is read, so that memory holds one of the two. */
static sqz_status run_in_f32(const sqzi_importer *m, const char *path, references *whole)
{
    sqzi_importer exact = {.context = m->context, .folder = m->folder, .error = m->error};
    sqz_status status = read_folder(&exact);
    if (status == SQZ_OK) status = run_unverified(&exact, path, whole);
    discard(&exact);
    return status;
}

/* What bf16 changes: the largest difference between the portable kernels' results. Another level
 * rounds an activation the other way here and there, so it may be as far from either
 * (doc/format.md). 0 where there is nothing to compare with. */
static double rounding(const references *r, const references *whole)
{
    double changed = 0;
    /* or the folder was changed in between */
    if (whole->width != r->width || whole->classes != r->classes) return 0;
    for (int j = 0; j < VECTORS && whole->n[j] == r->n[j] && whole->rows[j] == r->rows[j]; j++) {
        if (whole->hidden[j])
            changed = largest_difference(changed, r->hidden[j], whole->hidden[j],
                                         (size_t)r->n[j] * r->width);
        if (whole->logits[j])
            changed = largest_difference(changed, r->logits[j], whole->logits[j],
                                         (size_t)r->rows[j] * r->classes);
    }
    return changed;
}

static sqz_status write_file(sqzi_importer *m, const char *path, const references *whole)
{
    references r = {.allocator = &m->context->allocator};
    sqz_status status = run_unverified(m, path, &r);
    if (status == SQZ_OK) {
        put_references(m->writer, &r,
                       fmax(sqzi_reference_f32_tolerance(r.largest), 2 * rounding(&r, whole)));
        status = sqzi_gguf_write(m->writer, path, m->error);
    }
    discard_references(&r);
    return status;
}

sqz_status sqz_import(sqz_context *context, const char *folder, const char *path,
                      const sqz_import_options *options, sqz_error *error)
{
    sqzi_importer m = {.context = context, .folder = folder, .error = error};
    if (!context || !folder || !path)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_import: an argument is NULL");
    if (options) m.options = *options;
    if ((unsigned)m.options.type > SQZ_IMPORT_BF16)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_import: type %d is none of f32, f16 and bf16",
                         (int)m.options.type);
    references whole = {.allocator = &context->allocator};
    sqz_status status = m.options.type == SQZ_IMPORT_BF16 ? run_in_f32(&m, path, &whole) : SQZ_OK;
    if (status == SQZ_OK) status = read_folder(&m);
    if (status == SQZ_OK) status = write_file(&m, path, &whole);
    discard_references(&whole);
    discard(&m);
    return status;
}
