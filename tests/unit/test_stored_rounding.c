/* SPDX-License-Identifier: Apache-2.0 */
/* Training through the rounding of the base: the file that is written has the base's tensors, each
 * of its type and size, and other numbers; the model that is trained is that of the file. */
#include <stdio.h>

#include <squeezebert/squeeze.h>

#include "io/gguf.h"
#include "model/loader.h"
#include "support/test.h"
#include "support/train_data.h"
#include "train/trainer.h"

static const char *const labels[SQZT_CLASSES] = {"low", "middle", "high"};
static const sqzt_tiny classifier = {.width = 24,
                                     .blocks = 2,
                                     .heads = 3,
                                     .head_width = 8,
                                     .ffn_width = 40,
                                     .embedding_width = 24,
                                     .positions = 40,
                                     .token_types = 2,
                                     .head = "sequence",
                                     .classes = SQZT_CLASSES,
                                     .labels = labels,
                                     .seed = 5};

/* How a base of three kinds of rows is made: pooler and head int8, or some matrices floats. */
static const struct {
    const char *name;
    sqz_squeeze_options squeeze;
    sqz_quantize_options quantize;
    uint32_t n_rounded[9]; /* parameters by bits */
} bases[] = {
    {"squeezed to 4 bits", {.bits = 4, .plain = 1, .no_fidelity = 1}, {0}, {[4] = 12, [8] = 2}},
    {"packed to 3 bits, ffn in floats",
     {0},
     {.type = SQZ_QUANTIZE_S3, .keep = "ffn"},
     {[3] = 8}},
    {"int8", {0}, {.type = SQZ_QUANTIZE_S8}, {[8] = 12}}};

static void make_base(sqz_context *context, size_t i, const char *path)
{
    sqz_error error = {0};
    const char *floats = sqzt_temporary("floats.gguf");
    sqzt_tiny_write(&classifier, floats);
    sqzt_assert_ok(bases[i].squeeze.bits
                       ? sqz_squeeze(context, floats, path, &bases[i].squeeze, &error)
                       : sqz_quantize(context, floats, path, &bases[i].quantize, &error),
                   &error);
}

static void check_parameters(const sqz_trainer *trainer, const uint32_t *wanted)
{
    uint32_t found[9] = {0};
    const sqzi_parameters *all = &trainer->trainable.parameters;
    for (uint32_t i = 0; i < all->n; i++)
        if (all->list[i].bits) found[all->list[i].bits]++;
    for (uint32_t bits = 1; bits <= 8; bits++) assert_int_equal(found[bits], wanted[bits]);
}

/* Names, types and sizes, but of reference vectors; *changed: integers that are not the base's. */
static void compare_tensors(const sqz_model *base, const sqz_model *written, size_t *changed)
{
    *changed = 0;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(base->gguf); i++) {
        const sqzi_gguf_tensor *a = sqzi_gguf_tensor_at(base->gguf, i),
                               *b = sqzi_gguf_tensor_at(written->gguf, i);
        assert_int_equal(a->name.n, b->name.n);
        assert_memory_equal(a->name.bytes, b->name.bytes, a->name.n);
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->bytes, b->bytes);
        *changed += a->type == SQZI_S8 && memcmp(a->data, b->data, (size_t)a->bytes) != 0;
    }
    for (uint32_t i = sqzi_gguf_n_tensors(base->gguf); i < sqzi_gguf_n_tensors(written->gguf); i++)
        assert_memory_equal(sqzi_gguf_tensor_at(written->gguf, i)->name.bytes, "verify.", 7);
}

static void train(sqz_context *context, size_t i, const sqzt_train_data *d)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_model *base = NULL, *written = NULL;
    char path[400];
    size_t changed;
    uint32_t rounded = 0;
    snprintf(path, sizeof path, "%s", sqzt_temporary("base.gguf"));
    make_base(context, i, path);
    const char *out = sqzt_temporary("out.gguf");
    const sqz_train_recipe recipe = {.epochs = 3,
                                     .keep_head = 1,
                                     .lr = 1e-2,
                                     .seed = 3,
                                     .fake_quantise = SQZ_FAKE_QUANTISE_STORED};
    sqzt_assert_ok(sqz_trainer_open(context, path, &recipe, &d->data, &trainer, &error), &error);
    check_parameters(trainer, bases[i].n_rounded);
    sqzt_assert_ok(sqz_trainer_run(trainer, NULL, &result, &error), &error);
    sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, &base, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, out, &written, &error), &error);
    compare_tensors(base, written, &changed);
    for (uint32_t bits = 1; bits <= 8; bits++) rounded += bases[i].n_rounded[bits];
    assert_int_equal(changed, rounded);
    for (uint32_t row = 0; row < SQZT_EXAMPLES; row++) {
        float x[SQZT_LONGEST * SQZT_CLASSES], y[SQZT_LONGEST * SQZT_CLASSES];
        sqzt_logits_of(sqz_trainer_model(trainer), d, row, x);
        sqzt_logits_of(written, d, row, y);
        if (memcmp(x, y, sizeof x) != 0)
            fail_msg("%s: logits of row %u: %.9g in the trainer, %.9g of the file", bases[i].name,
                     row, (double)x[0], (double)y[0]);
    }
    sqz_verification v = {0};
    sqzt_assert_ok(sqz_model_verify(written, &v, &error), &error);
    sqz_model_close(base);
    sqz_model_close(written);
    sqz_trainer_close(trainer);
}

static void each_matrix_stays_as_it_was_stored(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 1);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 2}, &context, &error),
                   &error);
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) train(context, i, &d);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_matrix_stays_as_it_was_stored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
