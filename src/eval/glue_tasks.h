/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of each GLUE task: names of its columns and its classes, in every spelling that is
 * in use. Nothing else is guessed. */
#ifndef SQZI_GLUE_TASKS_H
#define SQZI_GLUE_TASKS_H

#include <squeezebert/eval.h>
#include <stdbool.h>

enum { SQZI_GLUE_TASKS = SQZ_GLUE_AX + 1, SQZI_GLUE_CLASSES = 3, SQZI_GLUE_NAMES = 8 };
typedef enum sqzi_glue_role {
    SQZI_FIRST,
    SQZI_SECOND,
    SQZI_LABEL,
    SQZI_ID,
    SQZI_ROLES
} sqzi_glue_role;

/*   columns  names of each role's column, the surest first; matched in any case. No name: the task
 *            has no such column
 *   classes  as the published files write them; none: the label is a score
 *   words    what models and other files call each class, "entailment" first; matched without case,
 *            blanks, `_` and `-`
 *   numbered files hold 0 and 1 for the classes, so numbers stand in the task's order */
typedef struct sqzi_glue_facts {
    const char *name, *other_name;
    const char *columns[SQZI_ROLES][SQZI_GLUE_NAMES];
    const char *classes[SQZI_GLUE_CLASSES];
    const char *words[SQZI_GLUE_CLASSES][SQZI_GLUE_NAMES];
    bool numbered;
} sqzi_glue_facts;
extern const sqzi_glue_facts sqzi_glue_facts_of[SQZI_GLUE_TASKS];

/* The class that these bytes name by a word; -1: none. */
int sqzi_glue_class_of_word(const sqzi_glue_facts *facts, const char *word, size_t n);
/* k for "k", "LABEL_k" and the like with nothing but digits behind; -1: no such name. */
int sqzi_glue_number_of(const char *word, size_t n);
/* How many classes a task has; 0 where its label is a score. */
uint32_t sqzi_glue_n_classes(const sqzi_glue_facts *facts);
/* "0 = negative, 1 = positive" or "entailment, neutral, contradiction", for messages. */
void sqzi_glue_list_classes(const sqzi_glue_facts *facts, char *to, size_t room);
/* Does the model fit the task, by the options' cosine, prompts and classes? order[k] is the task's
 * class of logit k; left as it is where the task has scores. SQZ_EINVAL as sqz_evaluate says. */
SQZ_NODISCARD sqz_status sqzi_glue_fit(const sqz_model *model, sqz_glue_task task,
                                       const sqz_eval_options *options,
                                       uint32_t order[SQZI_GLUE_CLASSES], sqz_error *error);
/* Equal but for the case of ASCII letters. */
bool sqzi_same_word(const char *a, size_t n, const char *b);

#endif
