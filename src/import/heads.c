/* SPDX-License-Identifier: Apache-2.0 */
/* Heads by architecture: which tensors they have, what they read, and their labels. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

/* Rows of the head's last layer, 0 where it is not there. */
static uint32_t rows_of(const sqzi_importer *m, const char *name)
{
    const sqzi_source_tensor *t = sqzi_source_find(&m->source, name);
    return t && t->n_dims == 2 && t->shape[0] <= 1 << 16 ? (uint32_t)t->shape[0] : 0;
}

static sqz_status put_labels(sqzi_importer *m)
{
    const json_t *names = json_object_get(m->config, "id2label");
    const bool named = json_is_object(names) && json_object_size(names) > 0;
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    sqzi_span *labels = sqzi_allocate_zeroed(m->source.allocator, m->classes, sizeof *labels);
    char (*fallback)[24] = sqzi_allocate_zeroed(m->source.allocator, m->classes, sizeof *fallback);
    FAIL_IF(!labels || !fallback, SQZ_ENOMEM, 0, "no memory for %u labels", m->classes);
    for (uint32_t k = 0; k < m->classes; k++) {
        char key[16];
        snprintf(key, sizeof key, "%u", (unsigned)k);
        snprintf(fallback[k], sizeof fallback[k], "LABEL_%u", (unsigned)k);
        const char *label = json_string_value(json_object_get(names, key));
        FAIL_IF(named && !label, SQZ_EFORMAT, 0,
                "config.json: id2label has %zu labels and none for class %u of %u",
                json_object_size(names), k, m->classes);
        labels[k] = sqzi_span_of(label ? label : fallback[k]);
    }
    if (!named)
        sqzi_import_note(m,
                         "config.json names no labels: LABEL_0 to LABEL_%u stand in, and what they "
                         "mean is not known",
                         m->classes - 1);
    sqzi_gguf_put_strings(m->writer, "sqz.head.labels", labels, m->classes);
    sqzi_gguf_put_bool(m->writer, "sqz.head.labels_named", named);
fail:
    sqzi_release(m->source.allocator, labels, m->classes * sizeof *labels);
    sqzi_release(m->source.allocator, fallback, m->classes * sizeof *fallback);
    return status;
}

static sqz_status put_problem(sqzi_importer *m)
{
    static const char unnamed[] = "single_label_classification";
    const char *given = unnamed;
    const sqz_status status = sqzi_json_string(m->config, "config.json", "problem_type", false,
                                               &given, m->error);
    if (status != SQZ_OK) return status;
    if (given == unnamed && m->classes == 1)
        sqzi_import_note(m, "config.json names no problem_type for its one class: its score is the "
                            "sigmoid of its logit, as in Transformers' pipeline; for a regression "
                            "add \"problem_type\": \"regression\"");
    const char *problem = sqzi_our_word(sqzi_problems, given);
    if (!problem)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0,
                         "config.json: problem_type '%s' is not known", given);
    sqzi_gguf_put_string(m->writer, "sqz.head.problem", problem);
    return SQZ_OK;
}

static sqz_status import_pooler(sqzi_importer *m, bool required)
{
    return sqzi_import_layer(m, "pooler", "pooler.dense", m->width, m->width, required, NULL);
}

/* ELECTRA's summary in front of a choice has settings; what can be run is the projection of [CLS]
 * with GELU. */
static sqz_status check_summary(const sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *type = "first", *activation = "gelu";
    bool projected = true;
    TRY(sqzi_json_string(m->config, "config.json", "summary_type", false, &type, error));
    TRY(sqzi_json_string(m->config, "config.json", "summary_activation", false, &activation,
                         error));
    TRY(sqzi_json_bool(m->config, "config.json", "summary_use_proj", &projected, error));
    FAIL_IF(strcmp(type, "first") != 0 || strcmp(activation, "gelu") != 0 || !projected,
            SQZ_EUNSUPPORTED, 0,
            "config.json: summary_type '%s', summary_activation '%s', summary_use_proj %s: only "
            "'first', 'gelu' and true can be run",
            type, activation, projected ? "true" : "false");
fail:
    return status;
}

/* Sequence classification and multiple choice: what is pooled, an optional dense layer, the
 * classes. */
static sqz_status import_sequence(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const bool choice = m->head == SQZ_HEAD_MULTIPLE_CHOICE;
    const char *dense = choice ? m->layout->choice_dense : m->layout->sequence_dense,
               *output = choice ? m->layout->choice_output : m->layout->sequence_output;
    char name[64];
    if (choice && m->architecture == SQZI_ELECTRA) TRY(check_summary(m));
    snprintf(name, sizeof name, "%s.weight", output);
    m->classes = rows_of(m, name);
    FAIL_IF(!m->classes, SQZ_EFORMAT, 0, "%s: the tensor '%s' of %s is missing", m->folder, name,
            m->class_name);
    sqzi_gguf_put_string(m->writer, "sqz.head.pool", dense ? "cls" : "pooler");
    if (dense) {
        sqzi_gguf_put_string(m->writer, "sqz.head.activation", m->layout->dense_activation);
        TRY(sqzi_import_layer(m, "head.dense", dense, m->width, m->width, true, NULL));
    } else {
        TRY(import_pooler(m, true));
    }
    TRY(sqzi_import_layer(m, "head.output", output, m->classes, m->width, true, NULL));
    if (choice) return SQZ_OK;
    TRY(put_problem(m));
    TRY(put_labels(m));
fail:
    return status;
}

static sqz_status import_per_token(sqzi_importer *m)
{
    const char *output = m->head == SQZ_HEAD_QUESTION ? "qa_outputs" : "classifier";
    char name[64];
    snprintf(name, sizeof name, "%s.weight", output);
    m->classes = rows_of(m, name);
    if (!m->classes)
        return sqzi_fail(m->error, SQZ_EFORMAT, 0, "%s: the tensor '%s' of %s is missing",
                         m->folder, name, m->class_name);
    sqz_status status = sqzi_import_layer(m, "head.output", output, m->classes, m->width, true,
                                          NULL);
    if (status == SQZ_OK && m->head == SQZ_HEAD_TOKEN) status = put_labels(m);
    return status;
}

/* dense, activation, norm, and a decoder that is the word table, or one of its own. */
static sqz_status import_masked_lm(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const sqzi_layout *l = m->layout;
    const uint32_t width = m->architecture == SQZI_ELECTRA ? m->embedding_width : m->width;
    bool tied = true, found = false;
    char decoder_weight[64], decoder_bias[64];
    snprintf(decoder_weight, sizeof decoder_weight, "%s.weight", l->decoder);
    snprintf(decoder_bias, sizeof decoder_bias, "%s.bias", l->decoder);
    TRY(sqzi_json_bool(m->config, "config.json", "tie_word_embeddings", &tied, error));
    sqzi_gguf_put_string(m->writer, "sqz.head.activation",
                         l->masked_activation ? l->masked_activation : m->activation);
    sqzi_gguf_put_f64(m->writer, "sqz.head.norm_epsilon", m->epsilon);
    sqzi_gguf_put_bool(m->writer, "sqz.head.tied", tied);
    TRY(sqzi_import_layer(m, "head.dense", l->masked_dense, width, m->width, true, NULL));
    TRY(sqzi_import_layer(m, "head.norm", l->masked_norm, width, 0, true, NULL));
    sqzi_source_tensor *decoder = sqzi_source_find(&m->source, decoder_weight);
    if (tied && decoder) decoder->used = true; /* the word table again */
    if (!tied)
        TRY(sqzi_import_tensor(m,
                               (sqzi_wanted){"head.output.weight", decoder_weight, m->vocabulary,
                                             width, true, true},
                               NULL));
    /* One bias under two names where tied; else Transformers adds the decoder's. */
    const char *const biases[] = {tied ? l->decoder_bias : decoder_bias,
                                  tied ? decoder_bias : l->decoder_bias};
    TRY(sqzi_import_tensor(
        m, (sqzi_wanted){"head.output.bias", biases[0], m->vocabulary, 0, false, false}, &found));
    if (!found)
        TRY(sqzi_import_tensor(
            m, (sqzi_wanted){"head.output.bias", biases[1], m->vocabulary, 0, false, false}, NULL));
    sqzi_source_tensor *twin = sqzi_source_find(&m->source, biases[1]);
    if (twin) twin->used = true;
fail:
    return status;
}

sqz_status sqzi_import_head(sqzi_importer *m)
{
    sqzi_gguf_put_string(m->writer, "sqz.head.kind", sqzi_head_words[m->head]);
    /* Every class of SqueezeBERT has a pooler, whether its head reads it or not: it stays, so that
     * an export is whole. */
    if (m->head == SQZ_HEAD_NONE ||
        (m->architecture == SQZI_SQUEEZEBERT && m->head != SQZ_HEAD_SEQUENCE &&
         m->head != SQZ_HEAD_MULTIPLE_CHOICE)) {
        const sqz_status status = import_pooler(m, false);
        if (status != SQZ_OK) return status;
    }
    switch (m->head) {
    case SQZ_HEAD_SEQUENCE:
    case SQZ_HEAD_MULTIPLE_CHOICE: return import_sequence(m);
    case SQZ_HEAD_TOKEN:
    case SQZ_HEAD_QUESTION: return import_per_token(m);
    case SQZ_HEAD_MASKED_LM: return import_masked_lm(m);
    default: return SQZ_OK;
    }
}
