/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer of a head, one of embeddings, and one behind integers, while memory fails: opened, run
 * with a checkpoint, written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/train_data.h"

static sqzt_train_data d;
static char folder[400], out[400];

static sqz_status score(void *user, const sqz_model *model, uint64_t step, double *score,
                        sqz_error *error)
{
    (void)user;
    (void)model;
    (void)error;
    *score = (double)step;
    return SQZ_OK;
}

static sqz_status train(const sqzt_subject *s, sqz_error *error)
{
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {.epochs = 1, .lr = 1e-3};
    const sqz_train_run run = {.evaluate = score, .checkpoint = folder, .checkpoint_steps = 100};
    char command[sizeof folder + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    sqz_status status = sqz_trainer_open(s->context, s->path, &recipe, &d.data, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, &run, &result, error);
    if (status == SQZ_OK) status = sqz_trainer_write(trainer, out, error);
    sqz_trainer_close(trainer);
    return status;
}

static sqz_status resume(const sqzt_subject *s, sqz_error *error)
{
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {.epochs = 1, .lr = 1e-3};
    const sqz_train_run run = {.evaluate = score, .checkpoint = folder, .resume = 1};
    sqz_status status = sqz_trainer_open(s->context, s->path, &recipe, &d.data, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, &run, &result, error);
    sqz_trainer_close(trainer);
    return status;
}

/* Pairs of the same examples, each a batch in two parts. */
static sqz_status give_pairs(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows,
                             uint32_t *n, sqz_error *error)
{
    static const uint32_t pairs[] = {0, 1, 2, 3, 4, 5, 6, 7};
    (void)user;
    (void)epoch;
    (void)error;
    *rows = pairs + 4 * i;
    *n = 4;
    return SQZ_OK;
}

static sqz_status train_embedder(const sqzt_subject *s, sqz_error *error)
{
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {
        .loss = SQZ_LOSS_RANKING, .symmetric = 1, .epochs = 1, .lr = 1e-3, .accumulate = 2};
    const sqz_train_data pairs = {.examples = d.examples,
                                  .n_examples = SQZT_EXAMPLES / 2,
                                  .texts = 2,
                                  .n_batches = 2,
                                  .batch = give_pairs};
    sqz_status status = sqz_trainer_open(s->context, s->path, &recipe, &pairs, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, NULL, &result, error);
    if (status == SQZ_OK) status = sqz_trainer_write(trainer, out, error);
    sqz_trainer_close(trainer);
    return status;
}

static sqz_status train_frozen(const sqzt_subject *s, sqz_error *error)
{
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    const sqz_train_recipe recipe = {.freeze_encoder = 1, .epochs = 1, .lr = 1e-3};
    sqz_status status = sqz_trainer_open(s->context, s->path, &recipe, &d.data, &trainer, error);
    if (status == SQZ_OK) status = sqz_trainer_run(trainer, NULL, &result, error);
    if (status == SQZ_OK) status = sqz_trainer_write(trainer, out, error);
    sqz_trainer_close(trainer);
    return status;
}

static const sqzt_tiny *form(const char *name)
{
    const sqzt_named_tiny *f = sqzt_tiny_forms;
    while (f->name && strcmp(f->name, name) != 0) f++;
    assert_non_null(f->name);
    return &f->tiny;
}

static void a_trainer_says_so_and_holds_nothing(void **state)
{
    (void)state;
    sqzt_subject s = sqzt_sweep_begin();
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("checkpoints"));
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    s.path = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, s.path);
    sqzt_train_data_make(&d, 2);
    assert_true(sqzt_sweep("train", train, &s) > 30);
    assert_true(sqzt_sweep("resume", resume, &s) > 20);
    assert_true(sqzt_sweep("train an embedder", train_embedder, &s) > 20);
    sqzt_tiny_write(form("dense, s4"), s.path);
    assert_true(sqzt_sweep("train behind integers", train_frozen, &s) > 20);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_trainer_says_so_and_holds_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
