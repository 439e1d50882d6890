/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer while memory fails: opened, run with a checkpoint, written. */
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
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_trainer_says_so_and_holds_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
