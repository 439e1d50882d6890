/* SPDX-License-Identifier: Apache-2.0 */
/* Models and tasks: which task a model has learned, whether it can do one, and which class each of
 * its outputs stands for. */
#include <squeezebert/glue.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "eval/glue_tasks.h"

/* A model's outputs and what they are called. */
typedef struct outputs {
    const sqz_model *model;
    const sqz_eval_options *options;
} outputs;

/* The name of logit k: what the caller says, else the model's own; NULL where nobody named it. */
static const char *class_name(const outputs *o, uint32_t k)
{
    if (o->options->classes) return k < o->options->n_classes ? o->options->classes[k] : NULL;
    return sqz_model_get_info(o->model)->labels_named ? sqz_model_label(o->model, k) : NULL;
}

/* "'joy', 'anger', ...": what the logits are called, for a message. */
static void list_names(const outputs *o, uint32_t n, char *to, size_t room)
{
    size_t used = 0;
    for (uint32_t k = 0; k < n && used < room; k++) {
        const char *name = class_name(o, k);
        used += (size_t)snprintf(to + used, room - used, "%s%s%.40s%s", k ? ", " : "",
                                 name ? "'" : "", name ? name : "no name", name ? "'" : "");
    }
}

/* By what the names say; false where not every class has one logit then. */
static bool match_by(const outputs *o, const sqzi_glue_facts *facts, bool by_number,
                     uint32_t order[SQZI_GLUE_CLASSES])
{
    uint32_t seen = 0;
    const uint32_t n = sqzi_glue_n_classes(facts);
    for (uint32_t k = 0; k < n; k++) {
        const char *name = class_name(o, k);
        int c = (int)k; /* unnamed, by number: in order */
        if (name)
            c = by_number ? sqzi_glue_number_of(name, strlen(name))
                          : sqzi_glue_class_of_word(facts, name, strlen(name));
        else if (!by_number) return false;
        if (c < 0 || (uint32_t)c >= n) return false;
        order[k] = (uint32_t)c;
        seen |= 1u << c;
    }
    return seen == (1u << n) - 1;
}

/* Which class each logit stands for: by words, or by numbers where the task's files hold numbers.
 * Anything else would be a guess. */
static sqz_status match_classes(const outputs *o, const sqzi_glue_facts *facts,
                                uint32_t order[SQZI_GLUE_CLASSES], sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(o->model);
    const uint32_t n = sqzi_glue_n_classes(facts);
    char names[200], classes[160];
    sqzi_glue_list_classes(facts, classes, sizeof classes);
    FAIL_IF(info->n_labels != n, SQZ_EINVAL, 0, "%s has %u classes, the model has %u", facts->name,
            n, info->n_labels);
    FAIL_IF(o->options->classes && o->options->n_classes != n, SQZ_EINVAL, 0,
            "%u class names were given, %s has %u: %s", o->options->n_classes, facts->name, n,
            classes);
    if (match_by(o, facts, false, order) || (facts->numbered && match_by(o, facts, true, order)))
        return SQZ_OK;
    list_names(o, n, names, sizeof names);
    FAIL_IF(true, SQZ_EINVAL, 0,
            "which class of %s each output stands for is unknown: %s are %s, the task's are %s; "
            "name them in the order of the model's outputs (in the program `import --labels "
            "A,B,...`, or for once `eval --classes A,B,...` and `glue MODEL:%s:A,B,...`)",
            facts->name, o->options->classes ? "the given names" : "the model's names", names,
            classes, facts->name);
fail:
    return status;
}

sqz_status sqzi_glue_fit(const sqz_model *model, sqz_glue_task task,
                         const sqz_eval_options *options, uint32_t order[SQZI_GLUE_CLASSES],
                         sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = sqz_model_get_info(model);
    FAIL_IF(options->cosine && task != SQZ_GLUE_STSB, SQZ_EINVAL, 0,
            "the cosine is a figure for stsb alone, not for %s", sqz_glue_name(task));
    if (options->cosine) return SQZ_OK;
    FAIL_IF(options->prompt || options->second_prompt, SQZ_EINVAL, 0,
            "prompts go before texts that are embedded: they need the cosine");
    FAIL_IF(info->head != SQZ_HEAD_SEQUENCE, SQZ_EINVAL, 0,
            "%s needs a model with a sequence classification head; an embedding model can do stsb "
            "by cosine",
            sqz_glue_name(task));
    FAIL_IF(task == SQZ_GLUE_STSB && info->n_labels != 1, SQZ_EINVAL, 0,
            "stsb needs a model with one output, this one has %u", info->n_labels);
    if (task != SQZ_GLUE_STSB)
        TRY(match_classes(&(outputs){model, options}, &sqzi_glue_facts_of[task], order, error));
fail:
    return status;
}

sqz_status sqz_glue_fits(const sqz_model *model, sqz_glue_task task,
                         const sqz_eval_options *options, sqz_error *error)
{
    static const sqz_eval_options defaults = {0};
    uint32_t order[SQZI_GLUE_CLASSES];
    if (!model) return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_glue_fits: the model is NULL");
    if (!sqz_glue_name(task))
        return sqzi_fail(error, SQZ_EINVAL, 0, "%d is no GLUE task", (int)task);
    const sqz_status status = SQZI_RESERVED(options, "sqz_eval_options", error);
    if (status != SQZ_OK) return status;
    return sqzi_glue_fit(model, task, options ? options : &defaults, order, error);
}

/* Do all labels name classes of the task by words? AX has MNLI's. */
static bool names_classes_of(const outputs *o, int task)
{
    uint32_t order[SQZI_GLUE_CLASSES];
    const sqzi_glue_facts *facts = &sqzi_glue_facts_of[task];
    const uint32_t n = sqzi_glue_n_classes(facts);
    return task != SQZ_GLUE_AX && n && n == sqz_model_get_info(o->model)->n_labels &&
           match_by(o, facts, false, order);
}

int sqz_glue_task_of(const sqz_model *model)
{
    static const sqz_eval_options none = {0};
    sqz_text said;
    int found = -1, n = 0;
    if (sqz_model_text(model, "sqz.task", 0, &said))
        for (int task = 0; task < SQZI_GLUE_TASKS; task++)
            if (sqzi_same_word(said.bytes, said.n_bytes, sqzi_glue_facts_of[task].name))
                return task;
    if (sqz_model_get_info(model)->head != SQZ_HEAD_SEQUENCE) return -1;
    for (int task = 0; task < SQZI_GLUE_TASKS; task++) {
        if (!names_classes_of(&(outputs){model, &none}, task)) continue;
        found = task;
        n++;
    }
    return n == 1 ? found : -1;
}
