/* SPDX-License-Identifier: Apache-2.0 */
/* Sensitivities: output variances against loops in double, and whether they foretell what other
 * errors change. */
#include "squeeze/sensitivity.h"

#include <math.h>

#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

typedef struct measured {
    sqzt_opened opened;
    sqzi_sequences sequences;
    sqzi_weights weights;
    sqzi_statistics statistics;
    sqzi_trial trial;
    sqzi_sensitivities sensitivities;
} measured;

static void measure(const char *form, uint32_t n_threads, measured *m)
{
    sqz_error error = {0};
    const sqzt_named_tiny *named = sqzt_tiny_forms;
    while (strcmp(named->name, form) != 0) named++;
    sqzt_tiny tiny = named->tiny;
    tiny.positions = SQZI_CALIBRATION_LENGTH;
    tiny.head = NULL;
    m->opened = sqzt_open_tiny(&tiny, n_threads,
                               &(sqz_session_options){.max_tokens = 1, .max_sequences = 1});
    const sqz_model *model = m->opened.model;
    sqzt_assert_ok(sqzi_sequences_random(model, &m->sequences, &error), &error);
    sqzt_assert_ok(sqzi_weights_of(model, &m->weights, &error), &error);
    sqzt_assert_ok(sqzi_statistics_make(model, &m->sequences, NULL, 0, NULL, NULL, &m->statistics,
                                        &error),
                   &error);
    sqzt_assert_ok(sqzi_trial_open(model, &m->sequences, &m->trial, &error), &error);
    sqzt_assert_ok(sqzi_sensitivities_make(&m->weights, &m->statistics, &m->trial, NULL, NULL,
                                           &m->sensitivities, &error),
                   &error);
}

static void discard(measured *m)
{
    sqzi_sensitivities_discard(&m->sensitivities);
    sqzi_trial_close(&m->trial);
    sqzi_statistics_discard(&m->statistics);
    sqzi_weights_discard(&m->weights);
    sqzi_sequences_discard(&m->sequences);
    sqzt_close(&m->opened);
}

/* tr(V C V') in double; its products in f32 are off by the depth's roundings of their size. */
static double variance_of(const sqzi_weight_matrix *w, const float *values,
                          const sqzi_input_statistics *input, double *size)
{
    const size_t n = w->columns, rows = w->rows / w->groups;
    double sum = 0;
    *size = 0;
    for (size_t r = 0; r < w->rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                const size_t at = r / rows * n;
                const double term = (double)values[r * n + i] * (double)values[r * n + j] *
                                    (double)input->covariance[(at + i) * input->n + at + j];
                sum += term;
                *size += fabs(term);
            }
    return sum;
}

static void output_variances_are_those_of_the_definition(void **state)
{
    (void)state;
    static const char *const forms[] = {"dense", "groups of squeezebert"};
    for (size_t f = 0; f < 2; f++) {
        measured m;
        sqz_error error = {0};
        measure(forms[f], 1, &m);
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            const sqzi_weight_matrix *w = &m.weights.blocks[0].linears[j].terms[0].b;
            const sqzi_input_statistics *input = &m.statistics.blocks[0][sqzi_block_input_of(j)];
            double size, got;
            const double wanted = variance_of(w, w->values, input, &size);
            sqzt_assert_ok(sqzi_output_variance(m.opened.model, w, w->values, input, NULL, &got,
                                                &error),
                           &error);
            if (!(fabs(got - wanted) <= (w->columns + 1) * 0x1p-24 * size))
                fail_msg("%s, linear %u: %g, %g expected", forms[f], j, got, wanted);
        }
        discard(&m);
    }
}

/* Noise of another stream, of another size, not scaled by rows. In layers of 24 two draws of noise
 * differ in where they point, so a factor of 2 is allowed; sensitivities themselves are some
 * hundred apart. */
static void other_noise_changes_the_output_by_what_sensitivities_say(void **state)
{
    (void)state;
    measured m;
    sqz_error error = {0};
    measure("dense", 1, &m);
    for (uint32_t i = 0; i < m.weights.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            sqzt_random random = sqzt_random_of(11 + i * SQZI_BLOCK_LINEARS + j);
            sqzi_weight_linear *linear = &m.weights.blocks[i].linears[j];
            sqzi_weight_matrix *w = &linear->terms[0].b;
            const sqzi_input_statistics *input = &m.statistics.blocks[i][sqzi_block_input_of(j)];
            const size_t n = (size_t)w->rows * w->columns;
            float *noise = sqzi_allocate(&sqzi_default_allocator, n * sizeof *noise);
            double size, change;
            double largest = 0;
            for (size_t k = 0; k < n; k++) largest = fmax(largest, fabs((double)w->values[k]));
            for (size_t k = 0; k < n; k++)
                noise[k] = (float)(0.05 * largest * sqzt_normal(&random));
            const double relative = variance_of(w, noise, input, &size) /
                                    variance_of(w, w->values, input, &size);
            for (size_t k = 0; k < n; k++) {
                w->values[k] += noise[k];
                linear->bias[k / w->columns] -= noise[k] * input->mean[k % w->columns];
            }
            sqzt_assert_ok(sqzi_trial_set_block(&m.trial, i, &m.weights.blocks[i], &error), &error);
            sqzi_trial_run(&m.trial, 1 + i, &change);
            sqzi_trial_reset(&m.trial);
            for (size_t k = 0; k < n; k++) {
                w->values[k] -= noise[k];
                linear->bias[k / w->columns] += noise[k] * input->mean[k % w->columns];
            }
            const double foretold = relative * m.sensitivities.linears[i][j];
            if (!(change > foretold / 2 && change < foretold * 2))
                fail_msg("block %u, linear %u, error %g: %g, foretold %g", i, j, relative, change,
                         foretold);
            sqzi_release(&sqzi_default_allocator, noise, n * sizeof *noise);
        }
    assert_true(m.sensitivities.words > 0 && m.sensitivities.positions > 0);
    discard(&m);
}

static void measuring_leaves_weights_and_trial_as_they_were(void **state)
{
    (void)state;
    measured m;
    sqz_error error = {0};
    sqzi_weights fresh;
    double change = 1;
    measure("dense", 1, &m);
    sqzt_assert_ok(sqzi_weights_of(m.opened.model, &fresh, &error), &error);
    for (uint32_t i = 0; i < fresh.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            const sqzi_weight_linear *a = &fresh.blocks[i].linears[j],
                                     *b = &m.weights.blocks[i].linears[j];
            const sqzi_weight_matrix *w = &a->terms[0].b;
            assert_memory_equal(w->values, b->terms[0].b.values,
                                (size_t)w->rows * w->columns * sizeof *w->values);
            assert_memory_equal(a->bias, b->bias, a->n_out * sizeof *a->bias);
        }
    sqzi_trial_run(&m.trial, 0, &change);
    assert_true(change == 0);
    sqzi_weights_discard(&fresh);
    discard(&m);
}

static void the_number_of_threads_changes_nothing(void **state)
{
    (void)state;
    measured one, three;
    measure("groups of squeezebert", 1, &one);
    measure("groups of squeezebert", 3, &three);
    for (uint32_t i = 0; i < one.sensitivities.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            assert_true(one.sensitivities.linears[i][j] == three.sensitivities.linears[i][j]);
    assert_true(one.sensitivities.words == three.sensitivities.words);
    discard(&one);
    discard(&three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_variances_are_those_of_the_definition),
        cmocka_unit_test(other_noise_changes_the_output_by_what_sensitivities_say),
        cmocka_unit_test(measuring_leaves_weights_and_trial_as_they_were),
        cmocka_unit_test(the_number_of_threads_changes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
