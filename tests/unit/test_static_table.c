/* SPDX-License-Identifier: Apache-2.0 */
/* The static end: how a table is fitted, and what the file is that comes out. */
#include <math.h>
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/loader.h"
#include "squeeze/dense_algebra.h"
#include "squeeze/fidelity.h"
#include "squeeze/static_fit.h"
#include "support/one_context.h"
#include "support/random.h"
#include "support/squeeze_texts.h"
#include "support/test.h"
#include "support/tiny_model.h"

/* ---- fitting ---- */

enum { TEXTS = 5, PIECES = 4, WIDTH = 6, IDS = 7, ROWS = 6 };
static const uint32_t first[TEXTS + 1] = {0, 4, 8, 12, 16, 20};
static const uint32_t rows[IDS] = {0, 1, 2, 3, 4, 5, SQZI_ABSENT};

/* Texts of four pieces, some of them absent; the last reads nothing else. */
static void make_texts(uint32_t *ids, float *target, float *table, double *wide)
{
    sqzt_random random = sqzt_random_of(5);
    for (uint32_t i = 0; i < TEXTS * PIECES; i++)
        ids[i] = i < (TEXTS - 1) * PIECES ? (uint32_t)sqzt_below(&random, IDS) : IDS - 1;
    for (uint32_t i = 0; i < TEXTS; i++) {
        double squares = 0;
        for (uint32_t j = 0; j < WIDTH; j++) {
            target[i * WIDTH + j] = (float)sqzt_normal(&random);
            squares += pow((double)target[i * WIDTH + j], 2);
        }
        for (uint32_t j = 0; j < WIDTH; j++)
            target[i * WIDTH + j] = (float)((double)target[i * WIDTH + j] / sqrt(squares));
    }
    for (uint32_t i = 0; i < ROWS * WIDTH; i++)
        wide[i] = (double)(table[i] = (float)(0.1 * sqzt_normal(&random)));
}

/* 1 - cos of a text's mean by a table in double. */
static double loss_of(const uint32_t *ids, const float *target, const double *table, uint32_t text)
{
    double mean[WIDTH] = {0}, dot = 0, squares = 0;
    for (uint32_t i = first[text]; i < first[text + 1]; i++)
        for (uint32_t j = 0; j < WIDTH && rows[ids[i]] != SQZI_ABSENT; j++)
            mean[j] += table[rows[ids[i]] * WIDTH + j];
    for (uint32_t j = 0; j < WIDTH; j++) {
        dot += mean[j] * (double)target[text * WIDTH + j];
        squares += mean[j] * mean[j];
    }
    return squares > 0 ? 1 - dot / sqrt(squares) : 0;
}

static bool reads(const uint32_t *ids, uint32_t row)
{
    for (uint32_t i = 0; i < TEXTS * PIECES; i++)
        if (rows[ids[i]] == row) return true;
    return false;
}

/* A step over all texts, its gradient from differences. */
static void move(const uint32_t *ids, const float *target, double *table, double *m, double *v,
                 int t, double rate)
{
    double gradient[ROWS * WIDTH] = {0};
    for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
        const double was = table[i], h = 1e-5;
        for (int side = -1; side <= 1; side += 2) {
            table[i] = was + side * h;
            for (uint32_t text = 0; text < TEXTS; text++)
                gradient[i] += side * loss_of(ids, target, table, text) / (2 * h) / TEXTS;
        }
        table[i] = was;
    }
    for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
        if (!reads(ids, i / WIDTH)) continue;
        m[i] = 0.9 * m[i] + 0.1 * gradient[i];
        v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
        table[i] -= rate * m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
    }
}

static void a_fit_takes_the_steps_of_adam_down_the_gradient_of_the_cosine(void **state)
{
    (void)state;
    uint32_t ids[TEXTS * PIECES];
    float target[TEXTS * WIDTH], table[ROWS * WIDTH];
    double wide[ROWS * WIDTH], m[ROWS * WIDTH] = {0}, v[ROWS * WIDTH] = {0}, loss, wanted = 0;
    sqz_error error = {0};
    make_texts(ids, target, table, wide);
    const sqzi_static_task task = {.allocator = &sqzi_default_allocator,
                                   .n = TEXTS,
                                   .width = WIDTH,
                                   .n_rows = ROWS,
                                   .first = first,
                                   .ids = ids,
                                   .row = rows,
                                   .target = target,
                                   .epochs = 4,
                                   .batch = TEXTS,
                                   .rate = 0.01,
                                   .seed = 1};
    for (int t = 1; t <= 4; t++) {
        wanted = 0;
        for (uint32_t i = 0; i < TEXTS; i++) wanted += loss_of(ids, target, wide, i) / TEXTS;
        move(ids, target, wide, m, v, t, 0.01 * (1 - (t - 1) / 4.0));
    }
    sqzt_assert_ok(sqzi_static_fit(&task, table, &loss, &error), &error);
    assert_true(fabs(loss - wanted) < 1e-5);
    for (uint32_t i = 0; i < ROWS * WIDTH; i++)
        if (!(fabs((double)table[i] - wide[i]) < 2e-5))
            fail_msg("number %u is %g, %g expected", i, (double)table[i], wide[i]);
}

/* ---- the file ---- */

static sqz_text texts[SQZT_SQUEEZE_TEXTS];

static const char *make_static(uint32_t bits, const char *name)
{
    static const uint32_t none[1];
    static char source[256];
    sqz_error error = {0};
    snprintf(source, sizeof source, "%s", sqzt_temporary("teacher.gguf"));
    const char *out = sqzt_temporary(name);
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, source);
    sqzt_squeeze_texts(texts);
    const sqz_squeeze_options options = {.layers = none,
                                         .static_width = 20,
                                         .embedding_bits = bits,
                                         .texts = texts,
                                         .n_texts = SQZT_SQUEEZE_TEXTS};
    sqzt_assert_ok(sqz_squeeze(context, source, out, &options, &error), &error);
    return out;
}

static sqz_model *open_model(const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static void vectors_are_the_direction_of_the_mean_of_rows(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqz_error error = {0};
    sqz_session *session;
    sqz_model *model = open_model(make_static(0, "static.gguf"));
    const sqz_special_tokens special = sqz_tokenizer_special(sqz_model_tokenizer(model));
    const uint32_t ids[] = {special.cls, 30, 9, 30, special.sep}, starts[] = {0, 5};
    const sqzi_table *words = &model->encoder.embedding.word;
    const float *table = words->rows;
    float vector[20];
    double sum[20] = {0}, squares = 0;
    assert_int_equal(sqz_model_get_info(model)->n_layers, 0);
    assert_int_equal(sqz_model_get_info(model)->dimensions, 20);
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = 5, .max_sequences = 1},
                                    &session, &error),
                   &error);
    const sqz_batch batch = {.n_sequences = 1, .first = starts, .ids = ids};
    sqzt_assert_ok(sqz_embed(session, &batch, NULL, vector, 20, &error), &error);
    sqz_session_close(session);
    for (uint32_t j = 0; j < 20; j++) {
        assert_true(table[special.cls * 20 + j] == 0 && table[special.sep * 20 + j] == 0);
        sum[j] = 2 * (double)table[30 * 20 + j] + (double)table[9 * 20 + j];
        squares += sum[j] * sum[j];
    }
    for (uint32_t j = 0; j < 20; j++)
        assert_true(fabs((double)vector[j] - sum[j] / sqrt(squares)) < 1e-6);
    sqz_model_close(model);
}

static void rows_in_four_bits_make_nearly_the_same_vectors(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    sqz_error error = {0};
    sqz_likeness of_teacher, of_floats;
    sqz_model *plain = open_model(make_static(0, "static.gguf")),
              *teacher = open_model(sqzt_temporary("teacher.gguf"));
    sqzt_assert_ok(
        sqz_compare_models(teacher, plain, texts, SQZT_SQUEEZE_TEXTS, &of_teacher, &error), &error);
    assert_true(isnan(of_teacher.cosine) && of_teacher.neighbours > 0); /* other dimensions */
    sqz_model *packed = open_model(make_static(4, "packed.gguf"));
    sqzt_assert_ok(sqz_compare_models(plain, packed, texts, SQZT_SQUEEZE_TEXTS, &of_floats, &error),
                   &error);
    /* a row is off by a thirtieth of its largest number at most */
    assert_true(of_floats.cosine > 0.99 && of_floats.cosine < 0.999999);
    sqz_model_close(packed);
    sqz_model_close(plain);
    sqz_model_close(teacher);
}

/* ---- what is refused ---- */

static void assert_refused(const sqzt_tiny *tiny, const char *text)
{
    sqz_error error = {0};
    sqz_model *model = NULL;
    const char *path = sqzt_temporary("refused.gguf");
    sqzt_tiny_write(tiny, path);
    assert_int_equal(sqz_model_open(context, path, &model, &error), SQZ_EFORMAT);
    if (!strstr(error.text, text)) fail_msg("'%s' does not hold '%s'", error.text, text);
}

static void a_bare_embedding_has_neither_norm_nor_positions_nor_another_width(void **state)
{
    (void)state;
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.blocks = 0;
    tiny.bare = true;
    sqzt_tiny_write(&tiny, sqzt_temporary("bare.gguf"));
    sqz_model_close(open_model(sqzt_temporary("bare.gguf")));
    tiny.extra = "position_embd.weight";
    assert_refused(&tiny, "position_embd.weight");
    tiny.extra = "token_embd_norm.bias";
    assert_refused(&tiny, "token_embd_norm.bias");
    tiny.extra = NULL;
    tiny.drop = "token_embd.weight";
    assert_refused(&tiny, "'token_embd.weight' is missing");
    tiny.drop = NULL;
    tiny.embedding_width = tiny.width + 4;
    assert_refused(&tiny, "sqz.embedding.width");
}

static void levers_that_a_table_has_no_place_for_are_refused(void **state)
{
    (void)state;
    static const uint32_t none[1];
    sqz_error error = {0};
    const sqz_squeeze_options wrong[] = {
        {.static_width = 8},
        {.layers = none, .n_layers = 1, .static_width = 8},
        {.layers = none, .static_width = 8, .neurons = 0.5},
        {.layers = none, .static_width = 8, .budget = 1 << 20},
        {.layers = none, .static_width = 8, .plain = 1},
        {.layers = none, .static_width = 8, .embedding = SQZ_EMBEDDING_WIDTH, .embedding_size = 4},
        {.layers = none, .static_width = 1000},
    };
    const char *path = sqzt_temporary("teacher.gguf"), *out = sqzt_temporary("none.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, path);
    sqzt_squeeze_texts(texts);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sqz_squeeze_options options = wrong[i];
        options.texts = texts;
        options.n_texts = SQZT_SQUEEZE_TEXTS;
        assert_int_equal(sqz_squeeze(context, path, out, &options, &error), SQZ_EINVAL);
        assert_non_null(strstr(error.text, "static_width"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fit_takes_the_steps_of_adam_down_the_gradient_of_the_cosine),
        cmocka_unit_test(vectors_are_the_direction_of_the_mean_of_rows),
        cmocka_unit_test(rows_in_four_bits_make_nearly_the_same_vectors),
        cmocka_unit_test(a_bare_embedding_has_neither_norm_nor_positions_nor_another_width),
        cmocka_unit_test(levers_that_a_table_has_no_place_for_are_refused),
    };
    return cmocka_run_group_tests(tests, sqzt_open_context, sqzt_close_context);
}
