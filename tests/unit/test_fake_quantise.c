/* SPDX-License-Identifier: Apache-2.0 */
/* Training through rounding: what is read is the nearest row of the stored form, and the file that
 * is written holds it; the model that is trained is that of the file, to the bit; steps are nearly
 * those of floats; neither threads nor running blocks again change a bit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <squeezebert/session.h>

#include "io/stored_matrix.h"
#include "model/loader.h"
#include "nn/pack.h"
#include "rewrite/group_scales.h"
#include "support/same_files.h"
#include "support/test.h"
#include "support/train_data.h"
#include "train/fake_quantise.h"
#include "train/trainer.h"

static const struct {
    const char *name;
    sqz_fake_quantise rounding;
    uint32_t bits;
} roundings[] = {{"s8", SQZ_FAKE_QUANTISE_S8, 8},
                 {"s4", SQZ_FAKE_QUANTISE_S4, 4},
                 {"s3", SQZ_FAKE_QUANTISE_S3, 3}};
enum { ROUNDINGS = sizeof roundings / sizeof *roundings };

static sqz_context *context_of(uint32_t threads)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = threads}, &context, &error),
                   &error);
    return context;
}

/* ---- rows ---- */

enum { OUT = 12, IN = 144, GROUPS = 2, COLUMNS = IN / GROUPS };

/* A permutation of n that keeps every number in its group of n / GROUPS. */
static void permute(sqzt_random *random, uint32_t n, uint32_t *order)
{
    const uint32_t size = n / GROUPS;
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t first = i / size * size, j = first + (uint32_t)sqzt_below(random, size),
                       held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
}

/* Rows of the file are what quantising makes of `stored`, and what is read means them. */
static void check_rows_of_file(const sqzi_parameter *p, const sqzi_rounded *stores,
                               const float *stored, const uint32_t *in, const uint32_t *out)
{
    for (size_t r = 0; r < OUT; r++) {
        uint8_t wanted_m[8] = {0};
        const uint8_t *m;
        int8_t wanted[COLUMNS], got[COLUMNS];
        sqzi_rounding_error sums = {0, 0};
        const float *w = stored + r * COLUMNS;
        const float scale = sqzi_group_scales(0, p->bits, w, COLUMNS, wanted_m);
        sqzi_integer_row(p->bits, w, COLUMNS, scale, p->bits < 8 ? wanted_m : NULL, wanted, &sums);
        assert_true(sqzi_rounded_row(p, stores, r, got, &m) == scale);
        assert_memory_equal(got, wanted, sizeof got);
        if (p->bits < 8) assert_memory_equal(m, wanted_m, (COLUMNS + 31) / 32);
        else assert_null(m);
        for (size_t i = 0; i < COLUMNS; i++) {
            const size_t g = r / (OUT / GROUPS), row = out ? out[r] : r,
                         column = in ? in[g * COLUMNS + i] % COLUMNS : i;
            assert_true(p->rounded[row * COLUMNS + column] == scale * (float)wanted[i]);
        }
    }
}

static void check_rows(uint32_t bits, bool permuted)
{
    sqzt_random random = sqzt_random_of(bits);
    uint32_t in[IN], out[OUT];
    float stored[OUT * COLUMNS], placed[OUT * COLUMNS], rounded[OUT * COLUMNS];
    permute(&random, IN, in);
    permute(&random, OUT, out);
    const sqz_context *context = context_of(1);
    sqzi_linear linear = {.n_in = IN, .n_out = OUT, .n_terms = 1};
    sqzi_matrix *matrix = &linear.terms[0].b;
    *matrix = sqzi_matrix_of(context->kernels.gemm_s8, IN, OUT, GROUPS);
    if (permuted) matrix->packing = (sqzi_packing){.in = in, .out = out};
    void *packed = malloc(sqzi_matrix_bytes(matrix) + SQZI_ALIGNMENT);
    assert_non_null(packed);
    matrix->packed = (unsigned char *)(((uintptr_t)packed + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT *
                                       SQZI_ALIGNMENT);
    for (size_t i = 0; i < OUT * COLUMNS; i++) /* a row of zeros, groups of other sizes */
        stored[i] = i / COLUMNS == 3 ? 0
                                     : (float)(sqzt_uniform(&random) - 0.5) *
                                           (i % COLUMNS / 32 == 1 ? 9.0f : 1.0f);
    for (size_t r = 0; r < OUT; r++)
        for (size_t i = 0; i < COLUMNS; i++) {
            const size_t g = r / (OUT / GROUPS), row = permuted ? out[r] : r,
                         column = permuted ? in[g * COLUMNS + i] % COLUMNS : i;
            placed[row * COLUMNS + column] = stored[r * COLUMNS + i];
        }
    const sqzi_parameter p = {.entry = {.rows = OUT,
                                        .columns = COLUMNS,
                                        .groups = GROUPS,
                                        .role = SQZI_ROLE_WHOLE,
                                        .linear = &linear},
                              .n = OUT * COLUMNS,
                              .bits = bits,
                              .master = placed,
                              .rounded = rounded};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_rounded stores;
    sqzi_rounded_layout(&p, &stores, &arena);
    void *block = malloc(arena.used + SQZI_ALIGNMENT);
    assert_non_null(block);
    arena = sqzi_arena_over((void *)(((uintptr_t)block + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT *
                                     SQZI_ALIGNMENT),
                            arena.used);
    sqzi_rounded_layout(&p, &stores, &arena);
    sqzi_fake_quantise(&p, context->kernels.features, NULL, &stores);
    check_rows_of_file(&p, &stores, stored, permuted ? in : NULL, permuted ? out : NULL);
    free(block);
    free(packed);
    sqz_context_close((sqz_context *)(uintptr_t)context);
}

static void rows_are_those_of_quantising_in_the_order_of_the_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDINGS; i++)
        for (int permuted = 0; permuted < 2; permuted++)
            check_rows(roundings[i].bits, permuted != 0);
}

/* ---- the model and its file ---- */

enum { ROWS = SQZT_LONGEST };

/* Every matrix of the blocks is stored so, and is what the last forward read. */
static void check_tensors(const sqz_trainer *trainer, const sqz_model *written, uint32_t bits)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < trainer->trainable.parameters.n; i++) {
        const sqzi_parameter *p = &trainer->trainable.parameters.list[i];
        if (!p->bits) continue;
        const sqzi_stored stored = sqzi_stored_of(written->gguf, p->entry.name, p->entry.columns);
        int8_t integers[8192];
        const uint8_t *m;
        double row[8192];
        assert_non_null(stored.tensor);
        assert_int_equal(stored.tensor->type, SQZI_S8);
        assert_int_equal(stored.bits, bits == 8 ? 0 : bits);
        assert_true(p->entry.columns <= 8192);
        for (uint32_t r = 0; r < p->entry.rows; r++) {
            const float scale = sqzi_rounded_row(p, &trainer->trainable.rounded[i], r, integers,
                                                 &m);
            sqzi_stored_row(&stored, r, row);
            for (uint32_t j = 0; j < p->entry.columns; j++)
                assert_true(row[j] == (double)scale * integers[j]);
        }
        n++;
    }
    assert_true(n >= SQZI_BLOCK_LINEARS * written->info.n_layers);
}

static void check_form(sqz_context *context, const sqzt_named_tiny *form, size_t rounding,
                       sqz_precision precision, sqzt_train_data *d)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    sqz_model *written = NULL;
    const char *base = sqzt_temporary("base.gguf"), *out = sqzt_temporary("out.gguf");
    const bool tokens = form->tiny.head && strcmp(form->tiny.head, "token") == 0;
    const sqz_train_recipe recipe = {.head = tokens ? SQZ_HEAD_TOKEN : SQZ_HEAD_SEQUENCE,
                                     .epochs = 1,
                                     .lr = 1e-2,
                                     .warmup = -1,
                                     .seed = 3,
                                     .precision = precision,
                                     .fake_quantise = roundings[rounding].rounding};
    sqzt_tiny_write(&form->tiny, base);
    for (uint32_t i = 0; i < SQZT_EXAMPLES; i++)
        d->examples[i].types = form->tiny.token_types > 1 ? d->types[i] : NULL;
    sqzt_assert_ok(sqz_trainer_open(context, base, &recipe, &d->data, &trainer, &error), &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, NULL, &result, &error), &error);
    sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, out, &written, &error), &error);
    check_tensors(trainer, written, roundings[rounding].bits);
    for (uint32_t row = 0; row < SQZT_EXAMPLES && precision == SQZ_PRECISION_F32; row++) {
        float x[ROWS * SQZT_CLASSES], y[ROWS * SQZT_CLASSES];
        sqzt_logits_of(sqz_trainer_model(trainer), d, row, x);
        sqzt_logits_of(written, d, row, y);
        if (memcmp(x, y, sizeof x) != 0)
            fail_msg("%s, %s: logits of row %u: %.9g in the trainer, %.9g of the file", form->name,
                     roundings[rounding].name, row, (double)x[0], (double)y[0]);
    }
    sqz_verification v = {0};
    const sqz_status status = sqz_model_verify(written, &v, &error);
    if (status != SQZ_OK) fail_msg("%s, %s: %s", form->name, roundings[rounding].name, error.text);
    assert_int_equal(v.n_vectors, 3);
    sqz_model_close(written);
    sqz_trainer_close(trainer);
}

/* Bases of floats, of int8 and of packed rows. */
static void the_model_is_that_of_the_file_which_holds_what_was_read(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 1);
    sqz_context *context = context_of(2);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
        for (size_t i = 0; i < ROUNDINGS; i++) {
            check_form(context, form, i, SQZ_PRECISION_F32, &d);
            if (i == 1) check_form(context, form, i, SQZ_PRECISION_BF16, &d);
        }
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
    double loss, norm;  /* of the first step */
    double first, last; /* loss of the first and the last epoch */
} watch;

static int watch_progress(void *user, const sqz_train_progress *p)
{
    watch *w = user;
    if (p->step == 1) {
        w->loss = p->loss;
        w->norm = p->norm;
    }
    if (p->epoch == 0) w->first += p->loss;
    if (p->step > p->n_steps - SQZT_BATCHES) w->last += p->loss;
    return 0;
}

static watch train(const char *base, uint32_t threads, const sqz_train_recipe *recipe,
                   const sqzt_train_data *d, const char *out)
{
    sqz_error error = {0};
    sqz_trainer *trainer = NULL;
    sqz_train_result result;
    watch w = {0};
    const sqz_train_run run = {.progress = watch_progress, .user = &w};
    sqz_context *context = context_of(threads);
    sqzt_assert_ok(sqz_trainer_open(context, base, recipe, &d->data, &trainer, &error), &error);
    sqzt_assert_ok(sqz_trainer_run(trainer, &run, &result, &error), &error);
    if (out) sqzt_assert_ok(sqz_trainer_write(trainer, out, &error), &error);
    sqz_trainer_close(trainer);
    sqz_context_close(context);
    return w;
}

/* A step of int8 is a hundredth: so near are loss and gradient; of low rank, whose middle is
 * rounded as well, some times that. */
static void the_first_step_is_nearly_that_of_floats(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 6);
    const char *base = sqzt_temporary("base.gguf");
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        if (form->tiny.type != SQZI_F32) continue;
        const bool tokens = form->tiny.head && strcmp(form->tiny.head, "token") == 0;
        sqzt_tiny_write(&form->tiny, base);
        for (uint32_t i = 0; i < SQZT_EXAMPLES; i++)
            d.examples[i].types = form->tiny.token_types > 1 ? d.types[i] : NULL;
        sqz_train_recipe recipe = {.head = tokens ? SQZ_HEAD_TOKEN : SQZ_HEAD_SEQUENCE,
                                   .max_steps = 1,
                                   .dropout = -1,
                                   .seed = 3};
        const watch floats = train(base, 1, &recipe, &d, NULL);
        recipe.fake_quantise = SQZ_FAKE_QUANTISE_S8;
        const watch rounded = train(base, 1, &recipe, &d, NULL);
        if (!(fabs(rounded.loss / floats.loss - 1) < 0.02) ||
            !(fabs(rounded.norm / floats.norm - 1) < (form->tiny.rank ? 0.1 : 0.02)) ||
            rounded.loss == floats.loss)
            fail_msg("%s: loss %g of %g, norm %g of %g", form->name, rounded.loss, floats.loss,
                     rounded.norm, floats.norm);
    }
}

static void the_loss_falls_in_few_bits_too(void **state)
{
    (void)state;
    sqzt_train_data d;
    sqzt_train_data_make(&d, 2);
    const char *base = sqzt_temporary("base.gguf");
    sqzt_tiny_write(&small, base);
    for (size_t i = 0; i < ROUNDINGS; i++) {
        const sqz_train_recipe recipe = {.epochs = 40,
                                         .lr = 2e-3,
                                         .fake_quantise = roundings[i].rounding};
        const watch w = train(base, 2, &recipe, &d, NULL);
        if (!(w.last < 0.5 * w.first))
            fail_msg("%s: the loss went from %g to %g", roundings[i].name, w.first / SQZT_BATCHES,
                     w.last / SQZT_BATCHES);
    }
}

static void neither_threads_nor_running_again_change_a_bit(void **state)
{
    (void)state;
    sqzt_train_data d;
    char base[400], one[400];
    sqzt_train_data_make(&d, 3);
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    snprintf(one, sizeof one, "%s", sqzt_temporary("one.gguf"));
    sqzt_tiny_write(&small, base);
    for (size_t i = 0; i < ROUNDINGS; i++) {
        sqz_train_recipe recipe = {.epochs = 2, .lr = 1e-3, .fake_quantise = roundings[i].rounding};
        const char *other = sqzt_temporary("other.gguf");
        (void)train(base, 1, &recipe, &d, one);
        (void)train(base, 3, &recipe, &d, other);
        sqzt_assert_same_files(one, other);
        recipe.recompute = 1;
        (void)train(base, 2, &recipe, &d, other);
        sqzt_assert_same_files(one, other);
        recipe.dropout = -1;
        (void)train(base, 2, &recipe, &d, other);
        recipe.recompute = 0;
        (void)train(base, 2, &recipe, &d, one);
        sqzt_assert_same_files(one, other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_quantising_in_the_order_of_the_file),
        cmocka_unit_test(the_model_is_that_of_the_file_which_holds_what_was_read),
        cmocka_unit_test(the_first_step_is_nearly_that_of_floats),
        cmocka_unit_test(the_loss_falls_in_few_bits_too),
        cmocka_unit_test(neither_threads_nor_running_again_change_a_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
