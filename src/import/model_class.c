/* SPDX-License-Identifier: Apache-2.0 */
/* Which model a folder holds: model_type and class of config.json, or what stands in where they are
 * missing or of one's own. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "import/importer.h"

/* ---- model_type ---- */

static bool take_type(sqzi_importer *m, const char *type)
{
    for (int i = 0; i < SQZI_ARCHITECTURES; i++)
        if (strcmp(type, sqzi_layouts[i].model_type) == 0) {
            m->architecture = (sqzi_architecture)i;
            m->layout = &sqzi_layouts[i];
            m->model_type = m->layout->model_type;
            return true;
        }
    return false;
}

/* The i-th name of "architectures", a list or a single string; NULL behind the last. */
static const char *class_at(const sqzi_importer *m, size_t i)
{
    const json_t *names = json_object_get(m->config, "architectures");
    return json_is_string(names) ? i == 0 ? json_string_value(names) : NULL
                                 : json_string_value(json_array_get(names, i));
}

/* No model_type: the class's name says it, else keys that one architecture alone has. */
static const char *guess_type(const sqzi_importer *m)
{
    /* their configurations look like BERT's, and their positions or tables are others */
    static const char *const others[] = {"Roberta", "ROBERTA",   "Albert", "Deberta", "MPNet",
                                         "XLM",     "Camembert", "XLNet",  "Nomic",   "Longformer"};
    static const struct {
        const char *key, *type;
    } keys[] = {{"q_groups", "squeezebert"}, {"n_layers", "distilbert"},
                {"dim", "distilbert"},       {"embedding_size", "electra"},
                {"hidden_size", "bert"},     {"num_hidden_layers", "bert"}};
    const char *name = class_at(m, 0);
    for (size_t i = 0; name && i < sizeof others / sizeof *others; i++)
        if (strstr(name, others[i])) return NULL;
    for (int i = 0; name && i < SQZI_ARCHITECTURES; i++)
        if (strncmp(name, sqzi_layouts[i].class_prefix, strlen(sqzi_layouts[i].class_prefix)) == 0)
            return sqzi_layouts[i].model_type;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(m->config, keys[i].key)) return keys[i].type;
    return NULL;
}

static sqz_status find_architecture(sqzi_importer *m)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = m->error;
    const char *given = NULL;
    TRY(sqzi_json_string(m->config, m->config_file, "model_type", false, &given, error));
    if (m->options.model_type) {
        FAIL_IF(!take_type(m, m->options.model_type), SQZ_EINVAL, 0,
                "sqz_import: the model type '%s' is none of bert, squeezebert, distilbert and "
                "electra",
                m->options.model_type);
        if (given && strcmp(given, m->model_type) != 0)
            sqzi_import_note(m, "%s: model_type '%s' is read as %s, as was asked for",
                             m->config_file, given, m->model_type);
        return SQZ_OK;
    }
    if (given)
        FAIL_IF(!take_type(m, given), SQZ_EUNSUPPORTED, 0,
                "%s: model_type '%s' is not known; bert, squeezebert, distilbert and electra are",
                m->config_file, given);
    else {
        const char *guess = guess_type(m), *name = class_at(m, 0);
        FAIL_IF(!guess || !take_type(m, guess), SQZ_EUNSUPPORTED, 0,
                "%s: 'model_type' is missing%s%s, and nothing else says that this is a bert, "
                "squeezebert, distilbert or electra: --model-type can",
                m->config_file, name ? ", its class is " : "", name ? name : "");
        sqzi_import_note(m, "%s names no model_type: read as %s by its %s", m->config_file,
                         m->model_type, name ? "class" : "keys");
    }
fail:
    return status;
}

/* ---- class and head ---- */

/* How well a class is known: not at all, an encoder whose head is not run, a head by the words in a
 * name of one's own, a class of Transformers. */
typedef enum knowledge { UNKNOWN, ENCODER, SUGGESTED, KNOWN } knowledge;

static knowledge know_class(const sqzi_importer *m, const char *name, sqz_head_kind *head)
{
    const size_t n = strlen(m->layout->class_prefix);
    const bool ours = strncmp(name, m->layout->class_prefix, n) == 0;
    *head = SQZ_HEAD_NONE;
    if (strstr(name, "ForNextSentencePrediction") ||
        (m->layout->discriminates && strstr(name, "ForPreTraining")))
        return ENCODER;
    for (const sqzi_class_ending *known = sqzi_class_endings; known->ending; known++) {
        if (ours && strcmp(name + n, known->ending) == 0) {
            *head = known->head;
            return KNOWN;
        }
    }
    for (const sqzi_class_ending *known = sqzi_class_endings; known->ending; known++) {
        /* ForX of a class of one's own may stand as X */
        const char *word = strncmp(known->ending, "For", 3) == 0 ? known->ending + 3
                                                                 : known->ending;
        if (known->head == SQZ_HEAD_NONE || !strstr(name, word)) continue;
        *head = known->head;
        return SUGGESTED;
    }
    return UNKNOWN;
}

static void take_class(sqzi_importer *m)
{
    knowledge best = UNKNOWN;
    const char *name;
    m->class_name = class_at(m, 0);
    for (size_t i = 0; (name = class_at(m, i)); i++) {
        sqz_head_kind head;
        const knowledge k = know_class(m, name, &head);
        if (k <= best) continue;
        best = k;
        m->head = head;
        m->class_name = name;
    }
    /* a head of BertForPreTraining may have been left out, that of a known class may not */
    m->head_required = best == KNOWN && !strstr(m->class_name, "ForPreTraining");
    if (!m->class_name) {
        m->class_name = "Model";
        sqzi_import_note(m,
                         "%s names no architecture: the encoder alone is read; --head reads a "
                         "head",
                         m->config_file);
    } else if (class_at(m, 1))
        sqzi_import_note(m, "%s names several architectures: read as %s", m->config_file,
                         m->class_name);
    if (best == UNKNOWN && class_at(m, 0))
        sqzi_import_note(m,
                         "%s: the architecture '%s' is not known: the encoder alone is read; "
                         "--head reads a head",
                         m->config_file, m->class_name);
    if (best == ENCODER)
        sqzi_import_note(m, "the head of %s is not run: the encoder alone is read", m->class_name);
}

static sqz_status find_class(sqzi_importer *m)
{
    static const sqz_head_kind heads[] = {
        [SQZ_IMPORT_HEAD_NONE] = SQZ_HEAD_NONE,
        [SQZ_IMPORT_HEAD_SEQUENCE] = SQZ_HEAD_SEQUENCE,
        [SQZ_IMPORT_HEAD_TOKEN] = SQZ_HEAD_TOKEN,
        [SQZ_IMPORT_HEAD_QUESTION] = SQZ_HEAD_QUESTION,
        [SQZ_IMPORT_HEAD_MASKED_LM] = SQZ_HEAD_MASKED_LM,
    };
    if (m->options.head == SQZ_IMPORT_HEAD_OF_CLASS) {
        take_class(m);
        return SQZ_OK;
    }
    if ((unsigned)m->options.head > SQZ_IMPORT_HEAD_MASKED_LM)
        return sqzi_fail(m->error, SQZ_EINVAL, 0, "sqz_import: head %d is none that is known",
                         (int)m->options.head);
    m->head = heads[m->options.head];
    m->head_required = true;
    m->class_name = class_at(m, 0) ? class_at(m, 0) : "Model";
    return SQZ_OK;
}

sqz_status sqzi_import_model_class(sqzi_importer *m)
{
    const sqz_status status = find_architecture(m);
    return status == SQZ_OK ? find_class(m) : status;
}
