/* SPDX-License-Identifier: Apache-2.0 */
/* Neurons, heads and fidelity while memory fails: SQZ_ENOMEM, nothing held, and weights as they
 * were. */
#include <stdio.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/fidelity.h"
#include "squeeze/neurons.h"
#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { MOST = 64, TEXTS = 120 };

/* Inputs that do not lean on each other. */
static sqzi_input_statistics statistics_of(uint32_t n, float *mean, float *covariance)
{
    for (size_t i = 0; i < n; i++) {
        mean[i] = 0.5f;
        for (size_t j = 0; j < n; j++) covariance[i * n + j] = i == j ? 1 + (float)(i % 7) : 0.125f;
    }
    return (sqzi_input_statistics){.n = n, .rows = 100, .mean = mean, .covariance = covariance};
}

static sqz_status remove_some(const sqzt_subject *s, sqz_error *error)
{
    static float means[2][MOST], covariances[2][MOST * MOST];
    const sqzi_input_statistics down = statistics_of(40, means[0], covariances[0]),
                                output = statistics_of(24, means[1], covariances[1]);
    sqzi_weights weights;
    sqz_status status = sqzi_weights_of(s->model, &weights, error);
    const sqzi_weight_block was = status == SQZ_OK ? weights.blocks[1] : (sqzi_weight_block){0};
    if (status == SQZ_OK) {
        status = sqzi_squeeze_neurons(&weights, 1, &down, &(sqzi_remove_options){.keep = 12}, NULL,
                                      NULL, error);
        if (status != SQZ_OK) assert_memory_equal(&weights.blocks[1], &was, sizeof was);
    }
    if (status == SQZ_OK)
        status = sqzi_squeeze_neurons(&weights, 0, &down,
                                      &(sqzi_remove_options){.keep = 12, .plain = true}, NULL, NULL,
                                      error);
    if (status == SQZ_OK) {
        const sqzi_weight_block before = weights.blocks[1];
        status = sqzi_squeeze_heads(&weights, 1, &output, &(sqzi_remove_options){.keep = 2}, NULL,
                                    NULL, error);
        if (status != SQZ_OK) assert_memory_equal(&weights.blocks[1], &before, sizeof before);
    }
    sqzi_weights_discard(&weights);
    return status;
}

static char spellings[TEXTS][8];
static sqz_text texts[TEXTS];

static sqz_status compare_with_itself(const sqzt_subject *s, sqz_error *error)
{
    sqzi_text_split split;
    sqzi_text_vectors from = {0}, to = {0};
    sqzi_fidelity fidelity;
    sqz_status status = sqzi_text_split_make(&s->allocator, texts, TEXTS, &split, error);
    if (status == SQZ_OK)
        status = sqzi_text_vectors_make(s->model, split.held_out, split.n_held_out, &from, error);
    if (status == SQZ_OK)
        status = sqzi_text_vectors_make(s->model, split.held_out, split.n_held_out, &to, error);
    if (status == SQZ_OK) status = sqzi_fidelity_of(&from, &to, &fidelity, error);
    sqzi_text_vectors_discard(&from);
    sqzi_text_vectors_discard(&to);
    sqzi_text_split_discard(&split);
    return status;
}

static void levers_and_fidelity_leave_nothing(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model;
    sqzt_subject s = sqzt_sweep_begin();
    const char *path = sqzt_temporary("model.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, path);
    sqzt_assert_ok(sqz_model_open(s.context, path, &model, &error), &error);
    s.model = model;
    for (size_t i = 0; i < TEXTS; i++) {
        snprintf(spellings[i], sizeof *spellings, "%c %c", 'a' + (char)(i % 26),
                 'a' + (char)(i / 26));
        texts[i] = (sqz_text){spellings[i], 3};
    }
    if (sqzi_dense_algebra_built()) assert_true(sqzt_sweep("removal", remove_some, &s) > 30);
    assert_true(sqzt_sweep("fidelity", compare_with_itself, &s) > 10);
    sqz_model_close(model);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levers_and_fidelity_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
