/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of the logits of a sequence: config.json's problem_type, or what a cross-encoder of
 * sentence-transformers does with them. */
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

static const char config_file[] = "config_sentence_transformers.json";

/* config_sentence_transformers.json of a cross-encoder as sentence-transformers 6 saves one, to be
 * released; NULL: it is none. */
static sqz_status load_cross_encoder(const sqzi_importer *m, json_t **config)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    json_t *modules = NULL;
    *config = NULL;
    TRY(sqzi_json_load(m->folder, "modules.json", false, &modules, error));
    if (modules) TRY(sqzi_json_load(m->folder, config_file, false, config, error));
fail:
    json_decref(modules);
    const char *type = json_string_value(json_object_get(*config, "model_type"));
    if (status == SQZ_OK && type && strcmp(type, "CrossEncoder") == 0) return status;
    json_decref(*config);
    *config = NULL;
    return status;
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
    TRY(load_cross_encoder(m, &cross_encoder));
    const char *activation = score_activation(m, cross_encoder);
    if (!cross_encoder || !activation)
        TRY(sqzi_json_string(m->config, m->config_file, "problem_type", false, &given, error));
    if (!given && activation) {
        given = problem_of(activation, m->classes);
        sqzi_import_note(m, "%s: scores are %s, by the activation '%s' of its cross-encoder",
                         cross_encoder ? config_file : m->config_file,
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
