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
        FAIL_IF(named && !label, SQZ_EFORMAT, 0, "config.json: id2label has %zu labels and none for class %u of %u", json_object_size(names), k, m->classes);
        labels[k] = sqzi_span_of(label ? label : fallback[k]);
    }
    if (!named) sqzi_import_note(m, "config.json names no labels: LABEL_0 to LABEL_%u stand in, and what they mean is not known", m->classes - 1);
    sqzi_gguf_put_strings(m->writer, "sqz.head.labels", labels, m->classes);
    sqzi_gguf_put_bool(m->writer, "sqz.head.labels_named", named);
fail:
    sqzi_release(m->source.allocator, labels, m->classes * sizeof *labels);
    sqzi_release(m->source.allocator, fallback, m->classes * sizeof *fallback);
    return status;
}

static sqz_status put_problem(sqzi_importer *m)
{
    static const char *const known[][2] = {{"single_label_classification", "single_label"}, {"multi_label_classification", "multi_label"}, {"regression", "regression"}};
    static const char unnamed[] = "single_label_classification";
    const char *given = unnamed;
    const sqz_status status = sqzi_json_string(m->config, "config.json", "problem_type", false, &given, m->error);
    if (status != SQZ_OK) return status;
    if (given == unnamed && m->classes == 1)
        sqzi_import_note(m, "config.json names no problem_type for its one class: its score is the sigmoid of its logit, as in Transformers' pipeline; for a regression add \"problem_type\": \"regression\"");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(given, known[i][0]) == 0) {
            sqzi_gguf_put_string(m->writer, "sqz.head.problem", known[i][1]);
            return SQZ_OK;
        }
    return sqzi_fail(m->error, SQZ_EUNSUPPORTED, 0, "config.json: problem_type '%s' is not known", given);
}

static sqz_status import_pooler(sqzi_importer *m, bool required, bool *found)
{
    return sqzi_import_layer(m, "pooler", "pooler.dense", m->width, m->width, required, found);
}

/* Sequence classification and multiple choice: what is pooled, an optional dense layer, the classes. */
static sqz_status import_sequence(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const bool choice = m->head == SQZ_HEAD_MULTIPLE_CHOICE, electra = m->architecture == SQZI_ELECTRA;
    const char *dense = m->architecture == SQZI_DISTILBERT ? "pre_classifier" : electra ? (choice ? "sequence_summary.summary" : "classifier.dense") : NULL;
    const char *output = electra && !choice ? "classifier.out_proj" : "classifier";
    char name[64];
    snprintf(name, sizeof name, "%s.weight", output);
    m->classes = rows_of(m, name);
    FAIL_IF(!m->classes, SQZ_EFORMAT, 0, "%s: the tensor '%s' of %s is missing", m->folder, name, m->class_name);
    sqzi_gguf_put_string(m->writer, "sqz.head.pool", dense ? "cls" : "pooler");
    if (dense) {
        sqzi_gguf_put_string(m->writer, "sqz.head.activation", electra ? "gelu" : "relu");
        TRY(sqzi_import_layer(m, "head.dense", dense, m->width, m->width, true, NULL));
    } else {
        TRY(import_pooler(m, true, NULL));
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
    if (!m->classes) return sqzi_fail(m->error, SQZ_EFORMAT, 0, "%s: the tensor '%s' of %s is missing", m->folder, name, m->class_name);
    sqz_status status = sqzi_import_layer(m, "head.output", output, m->classes, m->width, true, NULL);
    if (status == SQZ_OK && m->head == SQZ_HEAD_TOKEN) status = put_labels(m);
    return status;
}

/* dense, activation, norm, and a decoder that is the word table, or one of its own. */
static sqz_status import_masked_lm(sqzi_importer *m)
{
    static const char *const names[4][5] = {
        [SQZI_BERT] = {"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder.weight", "cls.predictions.bias", "cls.predictions.decoder.bias"},
        [SQZI_SQUEEZEBERT] = {"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder.weight", "cls.predictions.bias", "cls.predictions.decoder.bias"},
        [SQZI_DISTILBERT] = {"vocab_transform", "vocab_layer_norm", "vocab_projector.weight", "vocab_projector.bias", "vocab_projector.bias"},
        [SQZI_ELECTRA] = {"generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.weight", "generator_lm_head.bias", "generator_lm_head.bias"},
    };
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *const *n = names[m->architecture];
    const uint32_t width = m->architecture == SQZI_ELECTRA ? m->embedding_width : m->width;
    bool tied = true, found = false;
    TRY(sqzi_json_bool(m->config, "config.json", "tie_word_embeddings", &tied, error));
    sqzi_gguf_put_string(m->writer, "sqz.head.activation", m->architecture == SQZI_ELECTRA ? "gelu" : m->activation);
    sqzi_gguf_put_f64(m->writer, "sqz.head.norm_epsilon", m->epsilon);
    sqzi_gguf_put_bool(m->writer, "sqz.head.tied", tied);
    TRY(sqzi_import_layer(m, "head.dense", n[0], width, m->width, true, NULL));
    TRY(sqzi_import_layer(m, "head.norm", n[1], width, 0, true, NULL));
    sqzi_source_tensor *decoder = sqzi_source_find(&m->source, n[2]);
    if (tied && decoder) decoder->used = true; /* the word table again */
    if (!tied) TRY(sqzi_import_tensor(m, (sqzi_wanted){"head.output.weight", n[2], m->vocabulary, width, true, true}, NULL));
    TRY(sqzi_import_tensor(m, (sqzi_wanted){"head.output.bias", n[3], m->vocabulary, 0, false, false}, &found));
    if (!found) TRY(sqzi_import_tensor(m, (sqzi_wanted){"head.output.bias", n[4], m->vocabulary, 0, false, false}, NULL));
    sqzi_source_tensor *twin = sqzi_source_find(&m->source, n[4]);
    if (twin) twin->used = true; /* the same bias under its second name */
fail:
    return status;
}

sqz_status sqzi_import_head(sqzi_importer *m)
{
    static const char *const kinds[] = {"none", "sequence", "token", "question", "masked_lm", "multiple_choice"};
    bool pooler;
    sqzi_gguf_put_string(m->writer, "sqz.head.kind", kinds[m->head]);
    switch (m->head) {
    case SQZ_HEAD_SEQUENCE:
    case SQZ_HEAD_MULTIPLE_CHOICE: return import_sequence(m);
    case SQZ_HEAD_TOKEN:
    case SQZ_HEAD_QUESTION: return import_per_token(m);
    case SQZ_HEAD_MASKED_LM: return import_masked_lm(m);
    default: return import_pooler(m, false, &pooler);
    }
}
