/* SPDX-License-Identifier: Apache-2.0 */
/* What a trainer cannot train on, or by, is refused by name. */
#include <math.h>

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

static const sqzt_tiny small = {.width = 24,
                                .blocks = 2,
                                .heads = 3,
                                .head_width = 8,
                                .ffn_width = 40,
                                .embedding_width = 24,
                                .positions = 40,
                                .token_types = 2,
                                .seed = 21};

static void expect_refused(const char *base, const sqz_train_recipe *recipe, sqzt_train_data *d,
                           sqz_status wanted, const char *part)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_context *context = context_of(1, NULL);
    sqzt_assert_fails(sqz_trainer_open(context, base, recipe, &d->data, &trainer, &error), wanted,
                      &error, part);
    assert_null(trainer);
    sqz_context_close(context);
}

static void bad_recipes_are_refused_by_name(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 5);
    const float weights[] = {1, 0, 1};
    const struct {
        sqz_train_recipe recipe;
        const char *part;
    } all[] = {{{.lr = -1}, "lr is -1"},
               {{.dropout = 1}, "dropout is 1"},
               {{.beta2 = 1.5}, "beta2"},
               {{.epsilon = NAN}, "epsilon"},
               {{.label_smoothing = 1}, "label_smoothing"},
               {{.label_smoothing = 0.1, .problem = SQZ_REGRESSION}, "label smoothing"},
               {{.class_weights = weights}, "class 1 (middle)"},
               {{.pooling = SQZ_POOLING_MAX}, "mean, cls and pooler"},
               {{.head = SQZ_HEAD_TOKEN, .pooling = SQZ_POOLING_MEAN}, "token head"},
               {{.freeze_blocks = 3}, "the model has 2"},
               {{.precision = (sqz_precision)2}, "no precision has number 2"},
               {{.fake_quantise = (sqz_fake_quantise)5}, "no fake_quantise has number 5"},
               {{.keep_head = 1}, "cannot be kept"},
               {{.reserved = {1}}, "sqz_train_recipe"}};
    const char *base = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&small, base);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        expect_refused(base, &all[i].recipe, &d, SQZ_EINVAL, all[i].part);
    expect_refused(base, &(sqz_train_recipe){.head = SQZ_HEAD_QUESTION}, &d, SQZ_EUNSUPPORTED,
                   "head 3");
    sqzt_tiny other = small;
    other.no_pooler = true;
    sqzt_tiny_write(&other, base);
    expect_refused(base, &(sqz_train_recipe){.pooling = SQZ_POOLING_POOLER}, &d, SQZ_EINVAL,
                   "no pooler");
}

static void bad_data_are_refused_with_their_row(void **state)
{
    (void)state;
    sqzt_train_data d;
    const sqz_train_recipe plain = {0}, multi = {.problem = SQZ_MULTI_LABEL};
    const char *base = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&small, base);
    sqzt_train_data_make(&d, 6);
    d.examples[4].n_tokens = 0;
    expect_refused(base, &plain, &d, SQZ_EINVAL, "example 4 has no pieces");
    sqzt_train_data_make(&d, 6);
    d.examples[5].label = 3;
    expect_refused(base, &plain, &d, SQZ_EINVAL, "example 5 has label 3");
    sqzt_train_data_make(&d, 6);
    d.ids[7][0] = SQZT_TINY_VOCABULARY;
    expect_refused(base, &plain, &d, SQZ_ETOKEN, "example 7");
    sqzt_train_data_make(&d, 6);
    d.values[8][1] = 1.5f;
    expect_refused(base, &multi, &d, SQZ_EINVAL, "number 1 of example 8");
    sqzt_train_data_make(&d, 6);
    d.data.n_examples = 20;
    expect_refused(base, &plain, &d, SQZ_EINVAL, "there are 20");
    sqzt_train_data_make(&d, 6);
    d.data.n_labels = 1;
    expect_refused(base, &plain, &d, SQZ_EINVAL, "nothing to tell apart");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_recipes_are_refused_by_name),
                                       cmocka_unit_test(bad_data_are_refused_with_their_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
