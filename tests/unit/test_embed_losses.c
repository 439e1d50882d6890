/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of embeddings and their gradients against sentence-transformers' in float64; in double
 * too, where they must be theirs to rounding. */
#include <math.h>
#include <stdlib.h>

#include "support/test.h"
#include "train/loss.h"
#include "unit/embed_vectors.h"

static const double unit = sizeof(sqzi_real) == sizeof(double) ? 0x1p-53 : 0x1p-24;

static void expect_near(const char *what, size_t i, double found, double wanted, double bound)
{
    if (!(fabs(found - wanted) <= bound))
        fail_msg("%s, number %zu: %.17g instead of %.17g", what, i, found, wanted);
}

static sqzi_loss embed_loss_of(const embed_case *c)
{
    return (sqzi_loss){.kind = sqzi_loss_find(c->loss),
                       .weight = 1,
                       .classes = 1,
                       .texts = c->texts,
                       .dimensions = c->width,
                       .scale = c->scale,
                       .symmetric = c->symmetric};
}

/* The value, and d [n, texts, width] added to. */
static double run_embed(const embed_case *c, const sqzi_loss *loss, sqzi_real *d)
{
    sqzi_real x[MOST_NUMBERS];
    for (size_t i = 0; i < c->n * c->texts * c->width; i++) x[i] = (sqzi_real)c->embeddings[i];
    const sqzi_loss_items items = {c->n, NULL, c->targets};
    const sqzi_outputs outputs = {.embeddings = x};
    const sqzi_output_grads grads = {.embeddings = d};
    double *scratch = malloc(loss->kind->room(loss, c->n) * sizeof *scratch);
    assert_non_null(scratch);
    const double value = loss->kind->run(loss,
                                         &(sqzi_loss_args){&items, loss->kind->count(loss, &items),
                                                           &outputs, &grads, scratch});
    free(scratch);
    return value;
}

/* In double on both sides; d is rounded once. */
static void losses_of_embeddings_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof embed_cases / sizeof *embed_cases; k++) {
        const embed_case *c = &embed_cases[k];
        const sqzi_loss loss = embed_loss_of(c);
        sqzi_real d[MOST_NUMBERS] = {0};
        expect_near(c->loss, k, run_embed(c, &loss, d), c->value, 1e-13 * (1 + fabs(c->value)));
        for (size_t i = 0; i < c->n * c->texts * c->width; i++)
            expect_near("d of embeddings", k, (double)d[i], c->d[i],
                        2 * unit * fabs(c->d[i]) + 1e-13);
    }
}

static void a_weight_is_of_the_gradient_and_what_is_there_stays(void **state)
{
    (void)state;
    const embed_case *c = &embed_cases[0];
    sqzi_loss loss = embed_loss_of(c);
    sqzi_real once[MOST_NUMBERS] = {0}, twice[MOST_NUMBERS];
    for (size_t i = 0; i < MOST_NUMBERS; i++) twice[i] = 4;
    const double value = run_embed(c, &loss, once);
    loss.weight = 2;
    assert_true(run_embed(c, &loss, twice) == value);
    for (size_t i = 0; i < c->n * c->texts * c->width; i++)
        expect_near("d", i, (double)twice[i], 4 + 2 * (double)once[i], 8 * unit);
}

static void labels_that_a_loss_cannot_use_are_refused(void **state)
{
    (void)state;
    const float scores[] = {1.5f, (float)NAN, -1};
    const sqzi_loss loss = {.classes = 1};
    sqz_error error = {0};
    for (size_t i = 0; i < 3; i++) {
        const sqz_train_example example = {.values = &scores[i]};
        const bool cosine = i == 2, score = i != 1;
        assert_int_equal(sqzi_check_cosine(&loss, &example, 7, &error),
                         cosine ? SQZ_OK : SQZ_EINVAL);
        assert_int_equal(sqzi_check_score(&loss, &example, 7, &error), score ? SQZ_OK : SQZ_EINVAL);
    }
    assert_int_equal(sqzi_check_score(&loss, &(sqz_train_example){0}, 7, &error), SQZ_EINVAL);
    assert_int_equal(error.offset, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_of_embeddings_are_those_of_sentence_transformers),
        cmocka_unit_test(a_weight_is_of_the_gradient_and_what_is_there_stays),
        cmocka_unit_test(labels_that_a_loss_cannot_use_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
