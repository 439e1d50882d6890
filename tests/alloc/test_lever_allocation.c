/* SPDX-License-Identifier: Apache-2.0 */
/* The levers of token embeddings while memory fails. */
#include "squeeze/dense_algebra.h"
#include "squeeze/embedding_levers.h"
#include "squeeze/vocabulary_pruning.h"
#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"

typedef sqz_status lever(sqzi_weights *weights, sqz_error *error);

static sqz_status product(sqzi_weights *weights, sqz_error *error)
{
    return sqzi_squeeze_product(weights, NULL, 6, NULL, error);
}

static sqz_status width(sqzi_weights *weights, sqz_error *error)
{
    return sqzi_squeeze_width(weights, NULL, 5, NULL, error);
}

static sqz_status vocabulary(sqzi_weights *weights, sqz_error *error)
{
    const sqz_text texts[] = {{"zebra", 5}, {"q x", 3}};
    return sqzi_squeeze_vocabulary(weights, texts, 2, NULL, error);
}

/* On weights, which are as they were where it fails, and written where it does not. */
static sqz_status squeeze(const sqzt_subject *s, lever *run, sqz_error *error)
{
    static const sqzi_step step = {.history = "squeezed", .suffix = "-squeezed"};
    sqzi_weights weights;
    uint64_t bytes;
    sqz_status status = sqzi_weights_of(s->model, &weights, error);
    if (status == SQZ_OK) {
        status = run(&weights, error);
        if (status == SQZ_OK) status = sqzi_weights_write(&weights, &step, NULL, &bytes, error);
        else
            assert_true(weights.word.values && !weights.product.parts && !weights.factor.rows &&
                        !weights.kept_words && weights.word.rows == SQZT_TINY_VOCABULARY);
    }
    sqzi_weights_discard(&weights);
    return status;
}

static sqz_status squeeze_product(const sqzt_subject *s, sqz_error *error)
{
    return squeeze(s, product, error);
}

static sqz_status squeeze_width(const sqzt_subject *s, sqz_error *error)
{
    return squeeze(s, width, error);
}

static sqz_status squeeze_vocabulary(const sqzt_subject *s, sqz_error *error)
{
    return squeeze(s, vocabulary, error);
}

static void levers_leave_weights_as_they_were(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model;
    sqzt_subject s = sqzt_sweep_begin();
    s.path = sqzt_temporary("lever.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, s.path);
    sqzt_assert_ok(sqz_model_open(s.context, s.path, &model, &error), &error);
    s.model = model;
    assert_true(sqzt_sweep("product", squeeze_product, &s) > 10);
    if (sqzi_dense_algebra_built()) assert_true(sqzt_sweep("width", squeeze_width, &s) > 10);
    assert_true(sqzt_sweep("vocabulary", squeeze_vocabulary, &s) > 10);
    sqz_model_close(model);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(levers_leave_weights_as_they_were)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
