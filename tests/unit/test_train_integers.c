/* SPDX-License-Identifier: Apache-2.0 */
/* A base of integers: what is frozen of it is read and written as it is, what would be trained is
 * refused by name. */
#include "io/gguf.h"
#include "model/loader.h"

#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>

#include "support/same_files.h"
#include "support/test.h"
#include "support/train_data.h"

static sqz_context *context_of(uint32_t threads)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads}, &context, &error),
                   &error);
    return context;
}

static bool is_made_anew(sqzi_span name)
{
    return (name.n >= 5 && memcmp(name.bytes, "head.", 5) == 0) ||
           (name.n >= 7 && memcmp(name.bytes, "verify.", 7) == 0);
}

/* Bytes of the encoder's tensors; returns how many hold integers. */
static unsigned expect_same_encoder(const sqz_model *base, const sqz_model *written)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(base->gguf); i++) {
        const sqzi_gguf_tensor *a = sqzi_gguf_tensor_at(base->gguf, i);
        if (is_made_anew(a->name)) continue;
        char name[96];
        snprintf(name, sizeof name, "%.*s", (int)a->name.n, a->name.bytes);
        const sqzi_gguf_tensor *b = sqzi_gguf_find_tensor(written->gguf, name);
        if (!b) fail_msg("'%s' is not in the file that was written", name);
        if (a->type != b->type || a->bytes != b->bytes || memcmp(a->data, b->data, a->bytes) != 0)
            fail_msg("'%s' has other bytes", name);
        n += a->type == SQZI_S8;
    }
    return n;
}

static sqz_train_recipe recipe_of(sqz_precision precision)
{
    return (sqz_train_recipe){.pooling = SQZ_POOLING_MEAN,
                              .freeze_encoder = 1,
                              .epochs = 4,
                              .lr = 1e-2,
                              .seed = 3,
                              .precision = precision};
}

typedef struct watch {
    double first, last;
} watch;

static int watch_loss(void *user, const sqz_train_progress *p)
{
    watch *w = user;
    if (p->epoch == 0) w->first += p->loss;
    if (p->epoch == 3) w->last += p->loss;
    return 0;
}

static void train(const char *base, uint32_t threads, sqz_precision precision,
                  const sqzt_train_data *d, const char *out, watch *w)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_model *written = NULL, *before = NULL;
    sqz_verification of_base = {0}, verification = {0};
    float x[SQZT_LONGEST * SQZT_CLASSES], y[SQZT_LONGEST * SQZT_CLASSES];
    sqz_context *context = context_of(threads);
    const sqz_train_recipe recipe = recipe_of(precision);
    const sqz_train_run run = {.progress = watch_loss, .user = w};
    sqzt_assert_ok(sqz_trainer_open(context, base, &recipe, &d->data, &trainer, &error), &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, &run, &result, &error), &error);
    sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, base, &before, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, out, &written, &error), &error);
    assert_true(expect_same_encoder(before, written) > 0);
    assert_int_equal(sqz_model_get_info(written)->n_parameters,
                     sqz_model_get_info(sqz_trainer_model(trainer))->n_parameters);
    sqzt_assert_ok(sqz_model_verify(before, &of_base, &error), &error);
    sqzt_assert_ok(sqz_model_verify(written, &verification, &error), &error);
    assert_int_equal(verification.n_vectors, of_base.n_vectors);
    assert_true(verification.tolerance >= of_base.tolerance);
    for (uint32_t row = 0; precision == SQZ_PRECISION_F32 && row < SQZT_EXAMPLES; row++) {
        sqzt_logits_of(sqz_trainer_model(trainer), d, row, x);
        sqzt_logits_of(written, d, row, y);
        assert_memory_equal(x, y, sizeof x);
    }
    sqz_model_close(before);
    sqz_model_close(written);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

static bool holds_integers(const sqzt_tiny *tiny)
{
    return tiny->type == SQZI_S8;
}

static void a_frozen_encoder_of_integers_stays_byte_for_byte(void **state)
{
    (void)state;
    sqzt_train_data d;
    unsigned forms = 0;
    sqzt_train_data_make(&d, 12);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        if (!holds_integers(&form->tiny)) continue;
        char base[400], one[400];
        watch w = {0};
        snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
        snprintf(one, sizeof one, "%s", sqzt_temporary("one.gguf"));
        sqzt_tiny_write(&form->tiny, base);
        for (uint32_t i = 0; i < SQZT_EXAMPLES; i++)
            d.examples[i].types = form->tiny.token_types > 1 ? d.types[i] : NULL;
        train(base, 1, SQZ_PRECISION_F32, &d, one, &w);
        if (!(w.last < w.first)) fail_msg("%s: loss %g, then %g", form->name, w.first, w.last);
        train(base, 3, SQZ_PRECISION_F32, &d, sqzt_temporary("other.gguf"), &w);
        sqzt_assert_same_files(one, sqzt_temporary("other.gguf"));
        train(base, 2, SQZ_PRECISION_BF16, &d, one, &w);
        forms++;
    }
    assert_true(forms > 8);
}

/* What levels may differ by is what the base says: where it has no vectors, the file has none. */
static void vectors_of_the_file_have_the_tolerance_of_its_base(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    watch w = {0};
    sqz_verification verification = {0};
    sqz_model *model = NULL;
    char base[400];
    const sqz_train_recipe recipe = {.max_steps = 1};
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    sqz_context *context = context_of(1);
    sqzt_train_data_make(&d, 14);
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, base);
    sqzt_assert_ok(sqz_trainer_open(context, base, &recipe, &d.data, &trainer, &error), &error);
    sqzt_assert_ok(sqz_trainer_write(trainer, base, &error), &error); /* with vectors */
    sqz_trainer_close(trainer);
    sqzt_assert_ok(sqz_quantize(context, base, base, NULL, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, base, &model, &error), &error);
    sqzt_assert_ok(sqz_model_verify(model, &verification, &error), &error);
    assert_int_equal(verification.n_vectors, 3);
    sqz_model_close(model);
    sqz_context_close(context);
    train(base, 1, SQZ_PRECISION_F32, &d, sqzt_temporary("out.gguf"), &w);
}

static void expect_refused(const char *base, const sqz_train_recipe *recipe,
                           const sqzt_train_data *d, const char *tensor)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_context *context = context_of(1);
    sqzt_assert_fails(sqz_trainer_open(context, base, recipe, &d->data, &trainer, &error),
                      SQZ_EUNSUPPORTED, &error, tensor);
    assert_non_null(strstr(error.text, "a frozen encoder may hold integers"));
    assert_null(trainer);
    sqz_context_close(context);
}

static void integers_that_would_be_trained_are_refused_by_name(void **state)
{
    (void)state;
    sqzt_train_data d;
    const sqzt_tiny tiny = {.width = 24,
                            .blocks = 2,
                            .heads = 3,
                            .head_width = 8,
                            .ffn_width = 40,
                            .embedding_width = 24,
                            .positions = 40,
                            .token_types = 2,
                            .head = "sequence",
                            .classes = SQZT_CLASSES,
                            .type = SQZI_S8,
                            .seed = 9};
    const char *base = sqzt_temporary("base.gguf");
    sqzt_train_data_make(&d, 13);
    sqzt_tiny_write(&tiny, base);
    sqz_train_recipe recipe = {.pooling = SQZ_POOLING_MEAN};
    expect_refused(base, &recipe, &d, "'blk.0.attn_q.weight'");
    recipe.freeze_blocks = 1;
    expect_refused(base, &recipe, &d, "'blk.1.attn_q.weight'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_encoder_of_integers_stays_byte_for_byte),
        cmocka_unit_test(vectors_of_the_file_have_the_tolerance_of_its_base),
        cmocka_unit_test(integers_that_would_be_trained_are_refused_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
