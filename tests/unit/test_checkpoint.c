/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that are stopped and go on: whatever step they are stopped at, and however often, what is
 * written at the end has the bytes of a run that was not. A damaged checkpoint gives way to the one
 * before it; one of another run is refused. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <squeezebert/model.h>

#include "support/same_files.h"
#include "support/train_data.h"

static const sqzt_tiny small = {.width = 24,
                                .blocks = 2,
                                .heads = 3,
                                .head_width = 8,
                                .ffn_width = 40,
                                .embedding_width = 24,
                                .positions = 40,
                                .token_types = 2,
                                .permuted = true,
                                .seed = 31};

enum { EPOCHS = 3, STEPS = EPOCHS * SQZT_BATCHES, PATH = 512 };
static const sqz_train_recipe recipe = {.epochs = EPOCHS, .lr = 2e-3};

typedef struct scene {
    char base[PATH], folder[PATH], whole[PATH], out[PATH];
    sqzt_train_data d;
} scene;

static void clear_folder(const char *folder)
{
    char command[PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void make_scene(scene *s)
{
    const char *const names[] = {"base.gguf", "checkpoints", "whole.gguf", "out.gguf"};
    char *const paths[] = {s->base, s->folder, s->whole, s->out};
    for (int i = 0; i < 4; i++) snprintf(paths[i], PATH, "%s", sqzt_temporary(names[i]));
    clear_folder(s->folder);
    sqzt_train_data_make(&s->d, 9);
    sqzt_tiny_write(&small, s->base);
}

/* How a run goes: where it is stopped, what it was told. */
typedef struct course {
    uint64_t stop_at; /* 0: never */
    uint32_t notes, evaluations;
    char note[700];
} course;

static int progress(void *user, const sqz_train_progress *p)
{
    const course *c = user;
    return p->step == c->stop_at;
}

static void note(void *user, const char *text)
{
    course *c = user;
    c->notes++;
    snprintf(c->note, sizeof c->note, "%s", text);
}

/* Scores that fall, rise to the best at step 6 and fall behind it. */
static sqz_status score(void *user, const sqz_model *model, uint64_t step, double *score,
                        sqz_error *error)
{
    course *c = user;
    (void)model;
    (void)error;
    c->evaluations++;
    *score = -fabs((double)step - 6) - (step == 4 ? 3 : 0);
    return SQZ_OK;
}

typedef struct plan {
    const char *cpu;
    bool evaluates, resumes;
    uint64_t checkpoint_steps;
} plan;

/* A process of its own, so to speak: everything is opened and closed again. */
static sqz_status train(scene *s, const plan *p, const sqz_train_recipe *r, course *c,
                        sqz_train_result *result, const char *out, sqz_error *error)
{
    sqz_context *context = NULL;
    sqz_trainer *trainer = NULL;
    const sqz_train_run run = {.progress = progress,
                               .evaluate = p->evaluates ? score : NULL,
                               .note = note,
                               .user = c,
                               .evaluate_steps = p->evaluates ? 2 : 0,
                               .patience = p->evaluates ? 3 : 0,
                               .checkpoint = p->checkpoint_steps ? s->folder : NULL,
                               .checkpoint_steps = p->checkpoint_steps,
                               .resume = p->resumes};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 2, .cpu = p->cpu}, &context,
                                    error),
                   error);
    sqzt_assert_ok(sqz_trainer_open(context, s->base, r, &s->d.data, &trainer, error), error);
    const sqz_status status = sqz_trainer_run(trainer, &run, result, error);
    if (status == SQZ_OK && out) sqzt_assert_ok(sqz_trainer_write(trainer, out, error), error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
    return status;
}

static uint32_t count(const char *folder)
{
    return sqzt_count_files(folder);
}

/* Stopped after each step in turn, and in the last round after every one. */
static void check_stops(scene *s, bool evaluates, uint64_t end)
{
    sqz_error error = {0};
    sqz_train_result result, again;
    course c = {0};
    const plan undisturbed = {.evaluates = evaluates}, kept = {NULL, evaluates, true, 1000};
    sqzt_assert_ok(train(s, &undisturbed, &recipe, &c, &result, s->whole, &error), &error);
    assert_int_equal(result.step, end);
    assert_int_equal(result.kept_step, evaluates ? 6 : end);
    for (uint64_t stop = 1; stop <= end; stop++) {
        const bool every = stop == end;
        clear_folder(s->folder);
        for (uint64_t at = every ? 1 : stop; at < end; at += every ? 1 : end) {
            c = (course){.stop_at = at};
            sqzt_assert_fails(train(s, &kept, &recipe, &c, &again, NULL, &error), SQZ_ECANCELLED,
                              &error, "stopped after step");
            assert_int_equal(again.step, at);
            assert_true(count(s->folder) <= 4);
        }
        c = (course){0};
        sqzt_assert_ok(train(s, &kept, &recipe, &c, &again, s->out, &error), &error);
        assert_int_equal(again.kept_step, result.kept_step);
        assert_int_equal(again.stopped_early, evaluates);
        sqzt_assert_same_files(s->whole, s->out);
        assert_int_equal(c.notes, 0);
    }
    /* finished: once more, and nothing is trained */
    c = (course){0};
    sqzt_assert_ok(train(s, &kept, &recipe, &c, &again, s->out, &error), &error);
    assert_int_equal(c.evaluations, 0);
    sqzt_assert_same_files(s->whole, s->out);
}

static void a_run_that_was_stopped_ends_as_one_that_was_not(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    check_stops(&s, false, STEPS);
}

static void so_does_one_with_early_stopping_that_keeps_the_best(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    check_stops(&s, true, 12);
}

/* ---- damage ---- */

static void damage(const char *path, bool cut)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    if (cut) {
        assert_int_equal(truncate(path, found.st_size / 2), 0);
        return;
    }
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, found.st_size * 3 / 4, SEEK_SET), 0);
    const int c = getc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    assert_true(putc(c ^ 1, file) != EOF);
    fclose(file);
}

static void a_damaged_checkpoint_gives_way_to_the_one_before(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    sqz_error error = {0};
    sqz_train_result result;
    course c = {0};
    char newest[PATH + 32], older[PATH + 32];
    snprintf(newest, sizeof newest, "%s/step-00000009.gguf", s.folder);
    snprintf(older, sizeof older, "%s/step-00000008.gguf", s.folder);
    sqzt_assert_ok(train(&s, &(plan){0}, &recipe, &c, &result, s.whole, &error), &error);
    for (int round = 0; round < 3; round++) {
        clear_folder(s.folder);
        c = (course){.stop_at = 9};
        const plan kept = {.resumes = true, .checkpoint_steps = 4};
        sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_ECANCELLED,
                          &error, "stopped after step 9 of 15");
        damage(newest, round != 1);
        if (round == 2) damage(older, true);
        c = (course){0};
        sqzt_assert_ok(train(&s, &kept, &recipe, &c, &result, s.out, &error), &error);
        assert_int_equal(c.notes, round == 2 ? 2 : 1);
        assert_non_null(strstr(c.note, round == 2 ? "beginning anew"
                                                  : "going on from the one before it, step 8"));
        sqzt_assert_same_files(s.whole, s.out);
    }
}

/* ---- what does not belong together ---- */

static void another_recipe_data_base_or_level_is_refused(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    sqz_error error = {0};
    sqz_train_result result;
    course c = {.stop_at = 3};
    const plan kept = {.resumes = true, .checkpoint_steps = 100},
               begins = {.checkpoint_steps = 100};
    sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_ECANCELLED, &error,
                      "step 3");
    c = (course){0};
    sqzt_assert_fails(train(&s, &begins, &recipe, &c, &result, NULL, &error), SQZ_EINVAL, &error,
                      "holds a run that is not finished, at step 3");
    sqz_train_recipe other = recipe;
    other.lr = 1e-3;
    sqzt_assert_fails(train(&s, &kept, &other, &c, &result, NULL, &error), SQZ_EINVAL, &error,
                      "\"lr\":0.002");
    other = recipe;
    other.max_steps = 2;
    sqzt_assert_fails(train(&s, &kept, &other, &c, &result, NULL, &error), SQZ_EINVAL, &error,
                      "past the 2");
    s.d.ids[3][0] ^= 1;
    sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_EINVAL, &error,
                      "the data have changed");
    s.d.ids[3][0] ^= 1;
    sqzt_tiny another = small;
    another.seed++;
    sqzt_tiny_write(&another, s.base);
    sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_EINVAL, &error,
                      "another base");
    sqzt_tiny_write(&small, s.base);
    const plan portable = {"portable", false, true, 100};
    const sqz_status status = train(&s, &portable, &recipe, &c, &result, NULL, &error);
    /* a CPU without another level goes on */
    if (status != SQZ_OK) assert_non_null(strstr(error.text, "other kernels (--cpu"));
}

/* The order of batches is part of the data. */
static sqz_status other_order(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows,
                              uint32_t *n, sqz_error *error)
{
    return sqzt_batch(user, epoch, SQZT_BATCHES - 1 - i, rows, n, error);
}

static void another_order_of_batches_is_refused(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    sqz_error error = {0};
    sqz_train_result result;
    course c = {.stop_at = 3};
    const plan kept = {.resumes = true, .checkpoint_steps = 100};
    sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_ECANCELLED, &error,
                      "step 3");
    s.d.data.batch = other_order;
    sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_EINVAL, &error,
                      "the data have changed");
}

/* The last but one of its checkpoints is that of a run that goes on. */
static void the_folder_of_a_finished_run_is_taken_over(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    sqz_error error = {0};
    sqz_train_result result;
    course c = {0};
    const plan kept = {.checkpoint_steps = 4};
    sqzt_assert_ok(train(&s, &kept, &recipe, &c, &result, s.whole, &error), &error);
    assert_int_equal(count(s.folder), 2);
    sqzt_assert_ok(train(&s, &kept, &recipe, &c, &result, s.out, &error), &error);
    assert_int_equal(count(s.folder), 2);
    sqzt_assert_same_files(s.whole, s.out);
}

static void a_checkpoint_is_a_model(void **state)
{
    (void)state;
    scene s;
    make_scene(&s);
    sqz_error error = {0};
    sqz_train_result result;
    sqz_context *context = NULL;
    sqz_model *model = NULL;
    course c = {.stop_at = 4};
    char path[PATH + 32];
    const plan kept = {.checkpoint_steps = 100};
    sqzt_assert_fails(train(&s, &kept, &recipe, &c, &result, NULL, &error), SQZ_ECANCELLED, &error,
                      "step 4");
    snprintf(path, sizeof path, "%s/step-00000004.gguf", s.folder);
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    assert_string_equal(sqz_model_label(model, 2), "high");
    sqz_model_close(model);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_was_stopped_ends_as_one_that_was_not),
        cmocka_unit_test(so_does_one_with_early_stopping_that_keeps_the_best),
        cmocka_unit_test(a_damaged_checkpoint_gives_way_to_the_one_before),
        cmocka_unit_test(another_recipe_data_base_or_level_is_refused),
        cmocka_unit_test(another_order_of_batches_is_refused),
        cmocka_unit_test(the_folder_of_a_finished_run_is_taken_over),
        cmocka_unit_test(a_checkpoint_is_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
