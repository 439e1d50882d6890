/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer: its model is that of the file that is written of it, to the bit; neither threads nor
 * evaluations change a bit; a loss falls. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>

#include "support/same_files.h"
#include "support/test.h"
#include "support/train_data.h"

static sqz_context *context_of(uint32_t threads, const char *cpu)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads, .cpu = cpu},
                                    &context, &error),
                   &error);
    return context;
}

/* ---- the model and its file ---- */

enum { ROWS = SQZT_LONGEST };

static void expect_same_logits(const char *form, const sqz_model *a, const sqz_model *b,
                               const sqzt_train_data *d)
{
    float x[ROWS * SQZT_CLASSES], y[ROWS * SQZT_CLASSES];
    for (uint32_t row = 0; row < SQZT_EXAMPLES; row++) {
        sqzt_logits_of(a, d, row, x);
        sqzt_logits_of(b, d, row, y);
        if (memcmp(x, y, sizeof x) != 0)
            fail_msg("%s: logits of row %u: %.9g in the trainer, %.9g of the file", form, row,
                     (double)x[0], (double)y[0]);
        for (size_t i = 0; i < ROWS * SQZT_CLASSES; i++) assert_true(isfinite(x[i]));
    }
}

static bool can_be_trained(const sqzt_tiny *tiny)
{
    return tiny->type == SQZI_F32 || tiny->type == SQZI_BF16;
}

/* The file that a model computes as: what was written, in bf16 with its tables in f32 where the
 * products are bf16. */
static void open_written(sqz_context *context, const char *path, sqz_precision precision,
                         sqz_model **model)
{
    sqz_error error = {0};
    const sqz_quantize_options bf16 = {.type = SQZ_QUANTIZE_BF16,
                                       .keep = "_embd\\.weight|token_types"};
    if (precision == SQZ_PRECISION_BF16)
        sqzt_assert_ok(sqz_quantize(context, path, path, &bf16, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, model, &error), &error);
}

static void check_form(sqz_context *context, const sqzt_named_tiny *form, sqz_precision precision,
                       sqzt_train_data *d)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_model *written = NULL;
    sqzt_tiny tiny = form->tiny;
    if (tiny.parts && precision == SQZ_PRECISION_BF16) return; /* it cannot be quantised again */
    const char *base = sqzt_temporary("base.gguf"), *out = sqzt_temporary("out.gguf");
    const bool tokens = tiny.head && strcmp(tiny.head, "token") == 0;
    const sqz_train_recipe recipe = {.head = tokens ? SQZ_HEAD_TOKEN : SQZ_HEAD_SEQUENCE,
                                     .epochs = 1,
                                     .lr = 1e-2,
                                     .warmup = -1,
                                     .seed = 3,
                                     .precision = precision};
    sqzt_tiny_write(&tiny, base);
    for (uint32_t i = 0; i < SQZT_EXAMPLES; i++)
        d->examples[i].types = tiny.token_types > 1 ? d->types[i] : NULL;
    const sqz_status status = sqz_trainer_open(context, base, &recipe, &d->data, &trainer, &error);
    if (!can_be_trained(&tiny)) {
        assert_int_equal(status, SQZ_EUNSUPPORTED);
        assert_non_null(strstr(error.text, "train the float model"));
        return;
    }
    sqzt_assert_ok(status, &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, NULL, &result, &error), &error);
    assert_int_equal(result.step, SQZT_BATCHES);
    sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    open_written(context, out, precision, &written);
    expect_same_logits(form->name, sqz_trainer_model(trainer), written, d);
    assert_string_equal(sqz_model_label(written, 1), "middle");
    assert_int_equal(sqz_model_get_info(written)->n_labels, SQZT_CLASSES);
    assert_int_equal(sqz_model_get_info(written)->n_parameters,
                     sqz_model_get_info(sqz_trainer_model(trainer))->n_parameters);
    sqz_verification verification = {0};
    sqzt_assert_ok(sqz_model_verify(written, &verification, &error), &error);
    assert_int_equal(verification.n_vectors, 3);
    sqz_model_close(written);
    sqz_trainer_close(trainer);
}

static void logits_after_steps_are_those_of_the_written_file(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 1);
    sqz_context *context = context_of(2, NULL);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (int p = SQZ_PRECISION_F32; p <= SQZ_PRECISION_BF16; p++)
            check_form(context, form, (sqz_precision)p, &d);
    sqz_context_close(context);
}

/* ---- runs ---- */

static const sqzt_tiny small = {.width = 24,
                                .blocks = 2,
                                .heads = 3,
                                .head_width = 8,
                                .ffn_width = 40,
                                .embedding_width = 24,
                                .positions = 40,
                                .token_types = 2,
                                .seed = 21};

typedef struct watch {
    double first, last; /* loss of the first and the last epoch */
    uint64_t steps;
} watch;

static int watch_progress(void *user, const sqz_train_progress *p)
{
    watch *w = user;
    if (p->epoch == 0) w->first += p->loss;
    if (p->step > p->n_steps - SQZT_BATCHES) w->last += p->loss;
    w->steps++;
    assert_int_equal(p->step, w->steps);
    assert_true(p->norm > 0 && isfinite(p->norm));
    return 0;
}

/* Train, write `out`; what the run said goes to *w. */
static void train(const char *base, uint32_t threads, const sqz_train_recipe *recipe,
                  const sqzt_train_data *d, const sqz_train_run *run, const char *out)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_context *context = context_of(threads, NULL);
    sqzt_assert_ok(sqz_trainer_open(context, base, recipe, &d->data, &trainer, &error), &error);
    assert_true(sqz_trainer_memory(trainer) >
                4 * sqz_model_get_info(sqz_trainer_model(trainer))->n_parameters);
    sqzt_assert_ok(sqz_trainer_run(trainer, run, &result, &error), &error);
    if (out) sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

static void loss_falls(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 2);
    const char *base = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&small, base);
    const struct {
        const char *what;
        sqz_train_recipe recipe;
        double falls_to; /* of the first epoch's */
    } all[] = {
        {"single label", {.epochs = 40, .lr = 2e-3}, 0.5},
        {"mean", {.epochs = 40, .lr = 2e-3, .pooling = SQZ_POOLING_MEAN}, 0.5},
        {"first token", {.epochs = 40, .lr = 2e-3, .pooling = SQZ_POOLING_CLS}, 0.6},
        {"multi label", {.problem = SQZ_MULTI_LABEL, .epochs = 40, .lr = 2e-3}, 0.6},
        {"regression", {.problem = SQZ_REGRESSION, .epochs = 40, .lr = 2e-3}, 0.6},
        {"tokens", {.head = SQZ_HEAD_TOKEN, .epochs = 40, .lr = 2e-3}, 0.65},
        {"frozen encoder", {.freeze_encoder = 1, .epochs = 40, .lr = 2e-2, .dropout = -1}, 0.8},
        {"one block", {.freeze_blocks = 1, .epochs = 40, .lr = 5e-3}, 0.8},
        {"bf16", {.precision = SQZ_PRECISION_BF16, .epochs = 40, .lr = 2e-3}, 0.5},
        {"bf16 tokens",
         {.head = SQZ_HEAD_TOKEN, .precision = SQZ_PRECISION_BF16, .epochs = 40, .lr = 2e-3},
         0.65}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        watch w = {0};
        const sqz_train_run run = {.progress = watch_progress, .user = &w};
        train(base, 2, &all[i].recipe, &d, &run, NULL);
        if (!(w.last < all[i].falls_to * w.first))
            fail_msg("%s: the loss went from %g to %g", all[i].what, w.first / SQZT_BATCHES,
                     w.last / SQZT_BATCHES);
    }
}

/* Its decoder is tied to the table of words, which is trained all the same; head and tie go. */
static void a_masked_language_model_is_a_base_like_any_other(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 8);
    sqz_error error = {0};
    const char *base = sqzt_temporary("base.gguf"), *out = sqzt_temporary("out.gguf");
    sqzt_tiny tiny = small;
    tiny.head = "masked_lm";
    sqzt_tiny_write(&tiny, base);
    for (int p = SQZ_PRECISION_F32; p <= SQZ_PRECISION_BF16; p++) {
        watch w = {0};
        const sqz_train_run run = {.progress = watch_progress, .user = &w};
        const sqz_train_recipe recipe = {
            .epochs = 40, .lr = 2e-3, .precision = (sqz_precision)p, .pooling = SQZ_POOLING_MEAN};
        train(base, 2, &recipe, &d, &run, out);
        if (!(w.last < 0.5 * w.first))
            fail_msg("the loss went from %g to %g", w.first / SQZT_BATCHES, w.last / SQZT_BATCHES);
        sqz_context *context = context_of(1, NULL);
        sqz_model *model = NULL;
        sqzt_assert_ok(sqz_model_open(context, out, &model, &error), &error);
        assert_int_equal(sqz_model_get_info(model)->head, SQZ_HEAD_SEQUENCE);
        sqz_model_close(model);
        sqz_context_close(context);
    }
}

static sqz_status no_score(void *user, const sqz_model *model, uint64_t step, double *score,
                           sqz_error *error)
{
    float logits[ROWS * SQZT_CLASSES];
    (void)error;
    sqzt_logits_of(model, user, (uint32_t)step % SQZT_EXAMPLES, logits);
    *score = NAN; /* never the best */
    return SQZ_OK;
}

static void check_bits(sqz_precision precision)
{
    sqzt_train_data d;
    sqzt_train_data_make(&d, 3);
    const sqz_train_recipe recipe = {.epochs = 2, .lr = 1e-3, .precision = precision};
    char base[400], one[400];
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    snprintf(one, sizeof one, "%s", sqzt_temporary("one.gguf"));
    sqzt_tiny_write(&small, base);
    train(base, 1, &recipe, &d, NULL, one);
    for (uint32_t threads = 2; threads <= 3; threads++) {
        const char *other = sqzt_temporary("other.gguf");
        const sqz_train_run run = {.evaluate = no_score, .user = &d, .evaluate_steps = threads};
        train(base, threads, &recipe, &d, &run, other);
        sqzt_assert_same_files(one, other);
    }
    sqz_train_recipe again = recipe;
    again.recompute = 1;
    const char *other = sqzt_temporary("other.gguf");
    train(base, 2, &again, &d, NULL, other);
    sqzt_assert_same_files(one, other);
}

static void neither_threads_nor_evaluations_nor_running_again_change_a_bit(void **state)
{
    (void)state;
    check_bits(SQZ_PRECISION_F32);
    check_bits(SQZ_PRECISION_BF16);
}

typedef struct collected {
    double losses[SQZT_BATCHES], norms[SQZT_BATCHES];
} collected;

static int collect(void *user, const sqz_train_progress *p)
{
    collected *c = user;
    c->losses[p->step - 1] = p->loss;
    c->norms[p->step - 1] = p->norm;
    return 0;
}

static void check_parts(const char *what, const char *base, const sqzt_train_data *d,
                        sqz_train_recipe recipe)
{
    collected whole, parts;
    const sqz_train_run all = {.progress = collect, .user = &whole},
                        split = {.progress = collect, .user = &parts};
    train(base, 1, &recipe, d, &all, NULL);
    for (recipe.accumulate = 2; recipe.accumulate < 30; recipe.accumulate += 5) {
        train(base, 1, &recipe, d, &split, NULL);
        for (size_t i = 0; i < SQZT_BATCHES; i++) {
            /* the first step is off by its own roundings; these are carried on into the others */
            const double bound = i ? 2e-4 : 1e-6;
            if (!(fabs(parts.losses[i] - whole.losses[i]) <= bound * whole.losses[i]) ||
                !(fabs(parts.norms[i] - whole.norms[i]) <= 10 * bound * whole.norms[i]))
                fail_msg("%s, %u parts, step %zu: loss %.9g instead of %.9g, gradient %.9g instead "
                         "of %.9g",
                         what, recipe.accumulate, i + 1, parts.losses[i], whole.losses[i],
                         parts.norms[i], whole.norms[i]);
        }
    }
}

/* The dropout's masks are those of the examples, wherever they are run; labels and weights are
 * counted over the whole batch, whose parts have more or fewer of them; 20 more parts than there
 * are examples change nothing. */
static void parts_of_a_batch_are_the_batch(void **state)
{
    (void)state;
    static const float weights[SQZT_CLASSES] = {0.25f, 4, 1};
    static const struct {
        const char *what;
        sqz_train_recipe recipe;
    } all[] = {{"one class", {.lr = 1e-3}},
               {"weighted classes", {.class_weights = weights, .label_smoothing = 0.2}},
               {"several classes", {.problem = SQZ_MULTI_LABEL, .class_weights = weights}},
               {"numbers", {.problem = SQZ_REGRESSION}},
               {"tokens", {.head = SQZ_HEAD_TOKEN}},
               {"weighted tokens", {.head = SQZ_HEAD_TOKEN, .class_weights = weights}}};
    sqzt_train_data d;
    sqzt_train_data_make(&d, 4);
    /* an example without labels, alone in its part where there are seven */
    for (uint32_t t = 0; t < SQZT_LONGEST; t++) d.token_labels[7][t] = -1;
    const char *base = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&small, base);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sqz_train_recipe recipe = all[i].recipe;
        recipe.epochs = 1;
        recipe.lr = 1e-3;
        check_parts(all[i].what, base, &d, recipe);
    }
}

/* A gradient that is not finite is seen before the step; what the model had, it has. */
static void a_step_that_is_not_finite_is_not_taken(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 7);
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    float logits[ROWS * SQZT_CLASSES];
    const char *base = sqzt_temporary("base.gguf");
    sqz_context *context = context_of(1, NULL);
    const sqz_train_recipe recipe = {.lr = 999, .clip = -1, .warmup = -1, .weight_decay = 999};
    sqzt_tiny_write(&small, base);
    sqzt_assert_ok(sqz_trainer_open(context, base, &recipe, &d.data, &trainer, &error), &error);
    sqzt_assert_fails(sqz_trainer_run(trainer, NULL, &result, &error), SQZ_ENUMERIC, &error,
                      "not finite; the step was not taken");
    assert_true(result.step > 0);
    sqzt_logits_of(sqz_trainer_model(trainer), &d, 0, logits);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_after_steps_are_those_of_the_written_file),
        cmocka_unit_test(loss_falls),
        cmocka_unit_test(a_masked_language_model_is_a_base_like_any_other),
        cmocka_unit_test(neither_threads_nor_evaluations_nor_running_again_change_a_bit),
        cmocka_unit_test(parts_of_a_batch_are_the_batch),
        cmocka_unit_test(a_step_that_is_not_finite_is_not_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
