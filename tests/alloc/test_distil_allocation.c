/* SPDX-License-Identifier: Apache-2.0 */
/* A distillation while memory fails: plain texts made a data set, a trainer with a teacher opened,
 * and a step taken: also of another width, and of a teacher that reads other pieces. */
#include <squeezebert/dataset.h>
#include <stdio.h>

#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/train_data.h"

static sqzt_train_data d;

static sqz_status distil(const sqzt_subject *s, sqz_error *error)
{
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_distil_recipe lesson = {.teacher = s->path};
    lesson.weights[SQZ_DISTIL_LABELS] = lesson.weights[SQZ_DISTIL_HIDDEN] = 1;
    lesson.weights[SQZ_DISTIL_VALUES] = lesson.weights[SQZ_DISTIL_POOLED] = 1;
    const sqz_train_recipe recipe = {
        .epochs = 1, .max_steps = 1, .lr = 1e-3, .dropout = -1, .distil = &lesson};
    sqz_status status = sqz_trainer_open(s->context, s->path, &recipe, &d.data, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, NULL, &result, error);
    sqz_trainer_close(trainer);
    return status;
}

static char narrow[400], other[400];

/* Hidden states and embeddings behind projections. */
static sqz_status distil_narrow(const sqzt_subject *s, sqz_error *error)
{
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_distil_recipe lesson = {.teacher = s->path};
    lesson.weights[SQZ_DISTIL_HIDDEN] = lesson.weights[SQZ_DISTIL_POOLED] = 1;
    const sqz_train_recipe recipe = {.epochs = 1, .max_steps = 1, .lr = 1e-3, .distil = &lesson};
    sqz_status status = sqz_trainer_open(s->context, narrow, &recipe, &d.data, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, NULL, &result, error);
    sqz_trainer_close(trainer);
    return status;
}

/* A teacher that reads pieces of its own, and has its classes in another order. */
static sqz_status distil_apart(const sqzt_subject *s, sqz_error *error)
{
    static sqz_train_example teachers[SQZT_EXAMPLES], examples[SQZT_EXAMPLES];
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_train_data data = d.data;
    sqz_distil_recipe lesson = {.teacher = other};
    lesson.weights[SQZ_DISTIL_LABELS] = lesson.weights[SQZ_DISTIL_LOGITS] = 1;
    lesson.weights[SQZ_DISTIL_POOLED] = 1;
    const sqz_train_recipe recipe = {.epochs = 1, .max_steps = 1, .lr = 1e-3, .distil = &lesson};
    for (uint32_t i = 0; i < SQZT_EXAMPLES; i++) {
        teachers[i] = d.examples[SQZT_EXAMPLES - 1 - i];
        examples[i] = d.examples[i];
        examples[i].teachers = &teachers[i];
    }
    data.examples = examples;
    sqz_status status = sqz_trainer_open(s->context, s->path, &recipe, &data, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, NULL, &result, error);
    sqz_trainer_close(trainer);
    return status;
}

static void write_models(void)
{
    static const char *const labels[] = {"high", "low", "middle"};
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.width = tiny.embedding_width = tiny.width / 2;
    snprintf(narrow, sizeof narrow, "%s", sqzt_temporary("narrow.gguf"));
    sqzt_tiny_write(&tiny, narrow);
    tiny = sqzt_tiny_forms[0].tiny;
    tiny.head = "sequence";
    tiny.classes = 3;
    tiny.labels = labels;
    snprintf(other, sizeof other, "%s", sqzt_temporary("other.gguf"));
    sqzt_tiny_write(&tiny, other);
}

static sqz_status texts(const sqzt_subject *s, sqz_error *error)
{
    static const sqz_text all[] = {{"A first sentence of some words. And a second one.", 49},
                                   {" ", 1},
                                   {"A text without any end", 22}};
    const sqz_texts_options options = {.most = 2, .seed = 1};
    sqz_dataset *dataset = NULL;
    size_t n;
    const sqz_status status = sqz_dataset_open_texts(s->context, "texts", all, 3, &options,
                                                     &dataset, error);
    if (status != SQZ_OK) return status;
    (void)sqz_dataset_examples(dataset, &n);
    assert_int_equal(n, 2);
    sqz_dataset_close(dataset);
    return status;
}

static void a_distillation_says_so_and_holds_nothing(void **state)
{
    (void)state;
    sqzt_subject s = sqzt_sweep_begin();
    write_models();
    s.path = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, s.path);
    sqzt_train_data_make(&d, 2);
    assert_true(sqzt_sweep("texts", texts, &s) > 5);
    assert_true(sqzt_sweep("distil", distil, &s) > 30);
    assert_true(sqzt_sweep("distil of another width", distil_narrow, &s) > 30);
    assert_true(sqzt_sweep("distil of other pieces", distil_apart, &s) > 30);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_distillation_says_so_and_holds_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
