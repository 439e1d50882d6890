/* SPDX-License-Identifier: Apache-2.0 */
/* The import as a whole: read everything and write the file. For bf16 the folder is read in f32
 * first and run, for the tolerance. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"
#include "rewrite/rewrite.h"

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
    TRY(sqzi_import_locate(m));
    TRY(sqzi_import_config(m));
    TRY(sqzi_source_open(&m->context->allocator, m->transformer, m->weights, &m->source, m->error));
    TRY(sqzi_import_encoder(m));
    TRY(sqzi_import_head(m));
    TRY(sqzi_import_tell_unused(m));
    TRY(sqzi_import_texts(m));
    TRY(sqzi_import_check_labels(m));
    TRY(sqzi_import_tokenizer(m));
    TRY(sqzi_import_provenance(m));
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

static sqz_status invent_references(const sqzi_importer *m, sqzi_references *references)
{
    const sqz_model_info info = {.width = m->width,
                                 .vocabulary = m->vocabulary,
                                 .max_positions = m->positions,
                                 .n_token_types = m->token_types,
                                 .head = m->head,
                                 .n_labels = m->classes};
    return sqzi_references_invent(references, &m->context->allocator, &info, m->error);
}

/* The results of the folder's weights in f32, which those in bf16 are compared with. Before
 * anything else is read, so that memory holds one of the two. */
static sqz_status run_in_f32(const sqzi_importer *m, const char *path, sqzi_references *references)
{
    sqzi_importer exact = {
        .context = m->context, .given = m->given, .options = m->options, .error = m->error};
    exact.options.type = SQZ_IMPORT_F32;
    exact.options.note = NULL; /* everything is told once, by the second reading */
    sqz_status status = read_folder(&exact);
    if (status == SQZ_OK) status = invent_references(&exact, references);
    if (status == SQZ_OK)
        status = sqzi_references_compare_with(references, exact.writer, path, m->error);
    discard(&exact);
    return status;
}

sqz_status sqz_import(sqz_context *context, const char *folder, const char *path,
                      const sqz_import_options *options, sqz_error *error)
{
    sqzi_importer m = {.context = context, .given = folder, .error = error};
    sqzi_references references = {0};
    sqz_status status = SQZ_OK;
    if (!context || !folder || !path)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_import: an argument is NULL");
    status = SQZI_RESERVED(options, "sqz_import_options", error);
    if (status != SQZ_OK) return status;
    if (options) m.options = *options;
    if ((unsigned)m.options.type > SQZ_IMPORT_BF16)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_import: type %d is none of f32, f16 and bf16",
                         (int)m.options.type);
    if (m.options.type == SQZ_IMPORT_BF16) status = run_in_f32(&m, path, &references);
    if (status == SQZ_OK) status = read_folder(&m);
    if (status == SQZ_OK) status = sqzi_import_check_output(&m, path);
    if (status == SQZ_OK && m.options.type != SQZ_IMPORT_BF16)
        status = invent_references(&m, &references);
    if (status == SQZ_OK) status = sqzi_rewrite_write(m.writer, &references, path, error);
    sqzi_references_discard(&references);
    discard(&m);
    return status;
}
