/* SPDX-License-Identifier: Apache-2.0 */
/* The import as a whole: read everything and write the file. For bf16 the folder is read in f32
 * first and run, for the tolerance. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"
#include "rewrite/rewrite.h"

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
    TRY(sqzi_import_tokenizer(m));
    TRY(sqzi_import_texts(m));
    put_history(m);
fail:
    return status;
}

static void discard(sqzi_importer *m)
{
    sqzi_source_close(&m->source);
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
    sqzi_importer exact = {.context = m->context, .folder = m->folder, .error = m->error};
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
    sqzi_importer m = {.context = context, .folder = folder, .error = error};
    sqzi_references references = {0};
    sqz_status status = SQZ_OK;
    if (!context || !folder || !path)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_import: an argument is NULL");
    if (options) m.options = *options;
    if ((unsigned)m.options.type > SQZ_IMPORT_BF16)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_import: type %d is none of f32, f16 and bf16",
                         (int)m.options.type);
    if (m.options.type == SQZ_IMPORT_BF16) status = run_in_f32(&m, path, &references);
    if (status == SQZ_OK) status = read_folder(&m);
    if (status == SQZ_OK && m.options.type != SQZ_IMPORT_BF16)
        status = invent_references(&m, &references);
    if (status == SQZ_OK) status = sqzi_rewrite_write(m.writer, &references, path, error);
    sqzi_references_discard(&references);
    discard(&m);
    return status;
}
