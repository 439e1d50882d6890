/* SPDX-License-Identifier: Apache-2.0 */
/* Heads by architecture: which tensors they have, what they read, and their labels. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

/* Rows of the head's last layer, 0 where it is not there. */
static uint32_t rows_of(const sqzi_importer *m, const char *name)
{
    const sqzi_source_tensor *t = sqzi_import_find(m, name);
    return t && !t->unread && t->n_dims == 2 && t->shape[0] <= 1 << 16 ? (uint32_t)t->shape[0] : 0;
}

/* What a cross-encoder of sentence-transformers does with its logits, by the last part of a class
 * of torch such as "torch.nn.modules.linear.Identity"; NULL where no file says it. */
static const char *score_activation(const sqzi_importer *m, const json_t *cross_encoder)
{
    const json_t *newest = json_object_get(cross_encoder, "activation_fn"),
                 *own = json_object_get(json_object_get(m->config, "sentence_transformers"),
                                        "activation_fn"),
                 *old = json_object_get(m->config, "sbert_ce_default_activation_function");
    const char *name = json_string_value(json_is_string(newest) ? newest
                                         : json_is_string(own)  ? own
                                                                : old);
    const char *dot = name ? strrchr(name, '.') : NULL;
    return dot ? dot + 1 : name;
}

/* The problem that scores as the activation does, in Hugging Face's words; NULL where none does. */
static const char *problem_of(const char *activation, uint32_t classes)
{
    return strcmp(activation, "Identity") == 0 ? "regression"
           : strcmp(activation, "Sigmoid") == 0
               ? classes == 1 ? "single_label_classification" : "multi_label_classification"
           : strcmp(activation, "Softmax") == 0 && classes > 1 ? "single_label_classification"
                                                               : NULL;
}

/* problem_type; where it is absent, the activation of a cross-encoder decides, and in a folder that
 * says it is one in any case: sentence-transformers never looks at problem_type. */
static sqz_status put_problem(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    json_t *cross_encoder = NULL;
    const char *given = NULL;
    TRY(sqzi_import_cross_encoder(m, &cross_encoder));
    const char *activation = score_activation(m, cross_encoder);
    if (!cross_encoder || !activation)
        TRY(sqzi_json_string(m->config, m->config_file, "problem_type", false, &given, error));
    if (!given && activation) {
        given = problem_of(activation, m->classes);
        sqzi_import_note(m, "%s: scores are %s, by the activation '%s' of its cross-encoder",
                         cross_encoder ? "config_sentence_transformers.json" : m->config_file,
                         given ? given : "those of Transformers' pipeline, not", activation);
    } else if (!given && m->classes == 1)
        sqzi_import_note(m,
                         "%s names no problem_type for its one class: its score is the sigmoid "
                         "of its logit, as in Transformers' pipeline; for a regression add "
                         "\"problem_type\": \"regression\"",
                         m->config_file);
    else if (!given && strstr(m->class_name, "MultiLabel"))
        sqzi_import_note(m,
                         "%s names no problem_type: scores are a softmax over the labels, as in "
                         "Transformers' pipeline; for labels apart add \"problem_type\": "
                         "\"multi_label_classification\"",
                         m->config_file);
    const char *problem = sqzi_our_word(sqzi_problems,
                                        given ? given : "single_label_classification");
    FAIL_IF(!problem, SQZ_EUNSUPPORTED, 0, "%s: problem_type '%s' is not known", m->config_file,
            given);
    sqzi_gguf_put_string(m->writer, "sqz.head.problem", problem);
fail:
    json_decref(cross_encoder);
    return status;
}

sqz_status sqzi_import_classes(sqzi_importer *m)
{
    const sqz_status status = put_problem(m);
    return status == SQZ_OK ? sqzi_import_labels(m) : status;
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
    TRY(sqzi_json_string(m->config, m->config_file, "summary_type", false, &type, error));
    TRY(sqzi_json_string(m->config, m->config_file, "summary_activation", false, &activation,
                         error));
    TRY(sqzi_json_bool(m->config, m->config_file, "summary_use_proj", &projected, error));
    FAIL_IF(strcmp(type, "first") != 0 || strcmp(activation, "gelu") != 0 || !projected,
            SQZ_EUNSUPPORTED, 0,
            "%s: summary_type '%s', summary_activation '%s', summary_use_proj %s: only "
            "'first', 'gelu' and true can be run",
            m->config_file, type, activation, projected ? "true" : "false");
fail:
    return status;
}

/* Sequence classification and multiple choice: what is pooled, an optional dense layer, the
 * classes. */
static sqz_status import_sequence(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    const bool choice = m->head == SQZ_HEAD_MULTIPLE_CHOICE;
    const char *dense = choice ? m->layout->choice_dense : m->layout->sequence_dense,
               *output = choice ? m->layout->choice_output : m->layout->sequence_output;
    char name[64];
    if (choice && m->layout->discriminates) TRY(check_summary(m));
    snprintf(name, sizeof name, "%s.weight", output);
    m->classes = rows_of(m, name);
    if (!m->classes) return sqzi_import_fail_missing(m, name);
    sqzi_gguf_put_string(m->writer, "sqz.head.pool", dense ? "cls" : "pooler");
    if (dense) {
        sqzi_gguf_put_string(m->writer, "sqz.head.activation", m->layout->dense_activation);
        TRY(sqzi_import_layer(m, "head.dense", dense, m->width, m->width, true, NULL));
    } else {
        TRY(import_pooler(m, true));
    }
    TRY(sqzi_import_layer(m, "head.output", output, m->classes, m->width, true, NULL));
    if (!choice) TRY(sqzi_import_classes(m));
fail:
    return status;
}

static sqz_status import_per_token(sqzi_importer *m)
{
    const char *output = m->head == SQZ_HEAD_QUESTION ? "qa_outputs" : "classifier";
    char name[64];
    snprintf(name, sizeof name, "%s.weight", output);
    m->classes = rows_of(m, name);
    if (!m->classes) return sqzi_import_fail_missing(m, name);
    sqz_status status = sqzi_import_layer(m, "head.output", output, m->classes, m->width, true,
                                          NULL);
    if (status == SQZ_OK && m->head == SQZ_HEAD_TOKEN) status = sqzi_import_labels(m);
    return status;
}

/* The same numbers in the same shape? Files hold a tied tensor under two names, each with its own
 * copy or both with one. */
static bool same_numbers(const sqzi_source_tensor *a, const sqzi_source_tensor *b)
{
    if (a->unread || b->unread || a->n_dims != b->n_dims || a->n != b->n || a->type == SQZI_I32 ||
        b->type == SQZI_I32)
        return false;
    for (uint32_t d = 0; d < a->n_dims; d++)
        if (a->shape[d] != b->shape[d]) return false;
    for (uint64_t i = 0; a->data != b->data && i < a->n; i++)
        /* a NaN is refused where the tensor is written */
        if (sqzi_import_number(a, i) != sqzi_import_number(b, i)) return false;
    return true;
}

/* Is the decoder the table of words? As in Transformers 5: config.json says so, unless the file has
 * both and they differ. */
static sqz_status find_tied(const sqzi_importer *m, const char *decoder_weight, bool *tied)
{
    *tied = true;
    const sqz_status status = sqzi_json_bool(m->config, m->config_file, "tie_word_embeddings", tied,
                                             m->error);
    sqzi_source_tensor *decoder = sqzi_import_find(m, decoder_weight),
                       *words = sqzi_import_find(m, "embeddings.word_embeddings.weight");
    if (status != SQZ_OK || !*tied || !decoder) return status;
    *tied = !words || same_numbers(decoder, words);
    if (*tied) decoder->used = true;
    else
        sqzi_import_note(m,
                         "'%s' differs from the table of words, so it is a decoder of its own, "
                         "though %s ties the two",
                         decoder->name, m->config_file);
    return SQZ_OK;
}

/* A tensor that stands elsewhere as well. */
static void pass_over(const sqzi_importer *m, const char *name)
{
    sqzi_source_tensor *twin = sqzi_import_find(m, name);
    if (twin) twin->used = true;
}

/* One bias under two names. Where both are there the decoder's is added, as in Transformers. */
static sqz_status import_decoder_bias(sqzi_importer *m, const char *decoder_bias)
{
    const char *const biases[] = {decoder_bias, m->layout->decoder_bias};
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        const sqz_status status = sqzi_import_tensor(
            m, (sqzi_wanted){"head.output.bias", biases[i], m->vocabulary, 0, false, false},
            &found);
        if (status != SQZ_OK) return status;
    }
    pass_over(m, biases[1]);
    return SQZ_OK;
}

/* dense, activation, norm, and a decoder that is the word table, or one of its own. */
static sqz_status import_masked_lm(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    const sqzi_layout *l = m->layout;
    const uint32_t width = l->projected ? m->embedding_width : m->width;
    bool tied;
    char decoder_weight[64], decoder_bias[64];
    snprintf(decoder_weight, sizeof decoder_weight, "%s.weight", l->decoder);
    snprintf(decoder_bias, sizeof decoder_bias, "%s.bias", l->decoder);
    TRY(find_tied(m, decoder_weight, &tied));
    sqzi_gguf_put_string(m->writer, "sqz.head.activation",
                         l->masked_activation ? l->masked_activation : m->activation);
    sqzi_gguf_put_f64(m->writer, "sqz.head.norm_epsilon", m->epsilon);
    sqzi_gguf_put_bool(m->writer, "sqz.head.tied", tied);
    TRY(sqzi_import_layer(m, "head.dense", l->masked_dense, width, m->width, true, NULL));
    TRY(sqzi_import_layer(m, "head.norm", l->masked_norm, width, 0, true, NULL));
    if (!tied)
        TRY(sqzi_import_tensor(m,
                               (sqzi_wanted){"head.output.weight", decoder_weight, m->vocabulary,
                                             width, true, true},
                               NULL));
    TRY(import_decoder_bias(m, decoder_bias));
fail:
    return status;
}

/* A class that only suggests its head: without the head's tensors the encoder is what there is. */
static void settle_head(sqzi_importer *m)
{
    const sqzi_layout *l = m->layout;
    const char *const layers[] = {[SQZ_HEAD_SEQUENCE] = l->sequence_output,
                                  [SQZ_HEAD_TOKEN] = "classifier",
                                  [SQZ_HEAD_QUESTION] = "qa_outputs",
                                  [SQZ_HEAD_MASKED_LM] = l->masked_dense,
                                  [SQZ_HEAD_MULTIPLE_CHOICE] = l->choice_output};
    char name[96];
    if (m->head_required || m->head == SQZ_HEAD_NONE) return;
    snprintf(name, sizeof name, "%s.weight", layers[m->head]);
    if (sqzi_import_find(m, name)) {
        if (!strstr(m->class_name, "ForPreTraining"))
            sqzi_import_note(m, "the class '%s' is read as %s%s", m->class_name, l->class_prefix,
                             sqzi_class_ending_of(m->head));
        return;
    }
    sqzi_import_note(m, "%s has no '%s': the encoder alone is read", m->class_name, name);
    m->head = SQZ_HEAD_NONE;
}

sqz_status sqzi_import_head(sqzi_importer *m)
{
    settle_head(m);
    const sqz_status beside = sqzi_import_find_head_beside(m);
    if (beside != SQZ_OK) return beside;
    sqzi_gguf_put_string(m->writer, "sqz.head.kind", sqz_head_name(m->head));
    /* a pooler that every class has stays, so that an export is whole */
    if (m->pooler_beside) {
        pass_over(m, "pooler.dense.weight");
        pass_over(m, "pooler.dense.bias");
        return SQZ_OK;
    }
    if (m->head == SQZ_HEAD_NONE || m->head_beside ||
        (m->layout->always_pooled && m->head != SQZ_HEAD_SEQUENCE &&
         m->head != SQZ_HEAD_MULTIPLE_CHOICE)) {
        const sqz_status status = import_pooler(m, false);
        if (status != SQZ_OK) return status;
    }
    if (m->head_beside) return SQZ_OK;
    switch (m->head) {
    case SQZ_HEAD_SEQUENCE:
    case SQZ_HEAD_MULTIPLE_CHOICE: return import_sequence(m);
    case SQZ_HEAD_TOKEN:
    case SQZ_HEAD_QUESTION: return import_per_token(m);
    case SQZ_HEAD_MASKED_LM: return import_masked_lm(m);
    default: return SQZ_OK;
    }
}
