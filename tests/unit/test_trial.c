/* SPDX-License-Identifier: Apache-2.0 */
/* Trials of other weights against the model itself and against a file that holds those weights. */
#include "squeeze/trial.h"

#include <math.h>

#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

typedef struct tried {
    sqzt_opened opened;
    sqzi_sequences sequences;
    sqzi_weights weights;
    sqzi_trial trial;
} tried;

static void open_trial(const sqzt_tiny *of, uint32_t n_threads, tried *t)
{
    sqz_error error = {0};
    sqzt_tiny tiny = *of;
    tiny.positions = SQZI_CALIBRATION_LENGTH;
    t->opened = sqzt_open_tiny(&tiny, n_threads,
                               &(sqz_session_options){.max_tokens = 1, .max_sequences = 1});
    sqzt_assert_ok(sqzi_sequences_random(t->opened.model, &t->sequences, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(t->opened.model, &t->weights, &error), &error);
    sqzt_assert_ok(sqzi_trial_open(t->opened.model, &t->sequences, NULL, 0, &t->trial, &error),
                   &error);
}

static void close_trial(tried *t)
{
    sqzi_trial_close(&t->trial);
    sqzi_weights_discard(&t->weights);
    sqzi_sequences_discard(&t->sequences);
    sqzt_close(&t->opened);
}

static void a_model_of_its_own_weights_changes_nothing_in_every_form(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        tried t;
        sqz_error error = {0};
        double change = 1;
        if (form->tiny.type != SQZI_F32 || form->tiny.parts) continue;
        open_trial(&form->tiny, 1, &t);
        for (uint32_t i = 0; i < t.weights.n_blocks; i++)
            sqzt_assert_ok(sqzi_trial_set_block(&t.trial, i, &t.weights.blocks[i], &error), &error);
        sqzi_trial_set_tables(&t.trial, t.weights.word.values, t.weights.position.values);
        for (uint32_t stage = 0; stage <= t.weights.n_blocks; stage++) {
            if (stage) sqzi_trial_reset(&t.trial);
            if (stage)
                sqzt_assert_ok(sqzi_trial_set_block(&t.trial, stage - 1,
                                                    &t.weights.blocks[stage - 1], &error),
                               &error);
            sqzi_trial_run(&t.trial, stage, &change);
            if (change != 0)
                fail_msg("%s, from stage %u: changed by %g", form->name, stage, change);
        }
        close_trial(&t);
        n++;
    }
    assert_true(n > 5);
}

static void disturb(sqzi_weights *weights, uint32_t block, float by)
{
    sqzt_random random = sqzt_random_of(5);
    sqzi_weight_matrix *m = &weights->blocks[block].linears[SQZI_FFN_DOWN].terms[0].b;
    for (size_t i = 0; i < (size_t)m->rows * m->columns; i++)
        m->values[i] += by * (float)sqzt_normal(&random);
}

/* What the vectors of two files differ by. */
static double change_of_file(const tried *t, const char *path)
{
    sqz_error error = {0};
    const uint32_t n = t->sequences.n, width = t->opened.model->info.dimensions;
    float *whole = sqzi_allocate(&sqzi_default_allocator, 2 * n * width * sizeof *whole),
          *now = whole + n * width;
    const sqz_session_options room = {.max_tokens = sqzi_sequences_tokens(&t->sequences),
                                      .max_sequences = n};
    const sqz_batch batch = {.n_sequences = n,
                             .ids = (const uint32_t *)(const void *)t->sequences.ids.data,
                             .first = (const uint32_t *)(const void *)t->sequences.first.data};
    const sqz_embed_options unit = {.normalize = SQZ_NORMALIZE_YES};
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        sqz_session *session = NULL;
        sqz_model *model = t->opened.model;
        if (i) sqzt_assert_ok(sqz_model_open(t->opened.context, path, &model, &error), &error);
        sqzt_assert_ok(sqz_session_open(model, &room, &session, &error), &error);
        sqzt_assert_ok(sqz_embed(session, &batch, &unit, i ? now : whole, width, &error), &error);
        sqz_session_close(session);
        if (i) sqz_model_close(model);
    }
    for (uint32_t i = 0; i < n * width; i++)
        sum += ((double)now[i] - (double)whole[i]) * ((double)now[i] - (double)whole[i]);
    sqzi_release(&sqzi_default_allocator, whole, 2 * n * width * sizeof *whole);
    return sum / 2 / n;
}

/* The same kernels compute the same numbers, so the sums are the same. */
static void other_weights_change_what_a_file_of_them_changes(void **state)
{
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
        tried t;
        sqz_error error = {0};
        double change = 0;
        sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
        tiny.head = NULL;
        open_trial(&tiny, n_threads, &t);
        const uint32_t last = t.weights.n_blocks - 1;
        disturb(&t.weights, last, 0.05f);
        sqzt_assert_ok(sqzi_trial_set_block(&t.trial, last, &t.weights.blocks[last], &error),
                       &error);
        sqzi_trial_run(&t.trial, 1 + last, &change);
        const char *path = sqzt_temporary("disturbed.gguf");
        const sqzi_step step = {.history = "disturbed", .suffix = "-d"};
        uint64_t bytes;
        sqzt_assert_ok(sqzi_weights_write(&t.weights, &step, path, &bytes, &error), &error);
        const double wanted = change_of_file(&t, path);
        assert_true(wanted > 1e-6);
        if (change != wanted) fail_msg("changed by %g, a file by %g", change, wanted);
        close_trial(&t);
    }
}

static void blocks_left_out_and_other_tables_change_the_output_until_they_are_reset(void **state)
{
    (void)state;
    tried t;
    double whole = 1, without = 0, words = 0;
    open_trial(&sqzt_tiny_forms[0].tiny, 1, &t);
    sqzi_trial_leave_out(&t.trial, 0);
    sqzi_trial_run(&t.trial, 1, &without);
    sqzi_trial_reset(&t.trial);
    t.weights.word.values[7] += 0.5f;
    for (uint32_t i = 0; i < t.weights.word.rows; i++)
        t.weights.word.values[i * t.weights.word.columns] += 0.1f;
    sqzi_trial_set_tables(&t.trial, t.weights.word.values, NULL);
    sqzi_trial_run(&t.trial, 0, &words);
    sqzi_trial_reset(&t.trial);
    sqzi_trial_run(&t.trial, 0, &whole);
    assert_true(without > 1e-4);
    assert_true(words > 1e-6);
    if (whole != 0) fail_msg("after a reset the change is %g", whole);
    close_trial(&t);
}

/* Without block 0 from the start, leaving it out is nothing, and the other block changes what it
 * changes after the embedding. */
static void absent_blocks_are_no_part_of_the_model(void **state)
{
    (void)state;
    tried t;
    sqzi_trial without;
    sqz_error error = {0};
    double nothing = 1, something = 0;
    open_trial(&sqzt_tiny_forms[0].tiny, 1, &t);
    sqzt_assert_ok(sqzi_trial_open(t.opened.model, &t.sequences, (uint32_t[]){1}, 1, &without,
                                   &error),
                   &error);
    sqzi_trial_leave_out(&without, 0);
    sqzi_trial_run(&without, 0, &nothing);
    sqzi_trial_leave_out(&without, 1);
    sqzi_trial_run(&without, 0, &something);
    if (nothing != 0) fail_msg("an absent block changes the output by %g", nothing);
    assert_true(something > 1e-4);
    sqzi_trial_close(&without);
    close_trial(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_of_its_own_weights_changes_nothing_in_every_form),
        cmocka_unit_test(other_weights_change_what_a_file_of_them_changes),
        cmocka_unit_test(absent_blocks_are_no_part_of_the_model),
        cmocka_unit_test(blocks_left_out_and_other_tables_change_the_output_until_they_are_reset)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
