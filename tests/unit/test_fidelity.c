/* SPDX-License-Identifier: Apache-2.0 */
/* Fidelity: how texts are parted, what is compared, what the new file says of itself, and what each
 * block gives. */
#include "squeeze/fidelity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "squeeze/weights.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { MOST_TEXTS = 12000, LETTERS = 24 };
static char spellings[MOST_TEXTS][LETTERS];
static sqz_text texts[MOST_TEXTS];

/* Different texts of three words each. */
static void make_texts(void)
{
    sqzt_random random = sqzt_random_of(5);
    for (uint32_t i = 0; i < MOST_TEXTS; i++) {
        char *at = spellings[i];
        const unsigned rest = (unsigned)sqzt_below(&random, 26 * 26 * 26);
        snprintf(at, LETTERS, "%c%c%c%c %c %c%c", 'a' + (char)(i % 26), 'a' + (char)(i / 26 % 26),
                 'a' + (char)(i / 676 % 26), 'a' + (char)(i / 17576), 'a' + (char)(rest % 26),
                 'a' + (char)(rest / 26 % 26), 'a' + (char)(rest / 676));
        texts[i] = (sqz_text){at, strlen(at)};
    }
}

/* ---- two parts ---- */

static void every_tenth_text_is_held_out(void **state)
{
    (void)state;
    static const struct {
        size_t n, held_out;
    } wanted[] = {{100, 50}, {149, 74},   {200, 50},    {499, 55},
                  {500, 50}, {6000, 600}, {12000, 1000}};
    for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++) {
        sqz_error error = {0};
        sqzi_text_split split;
        size_t learn = 0, held_out = 0;
        sqzt_assert_ok(sqzi_text_split_make(&sqzi_default_allocator, texts, wanted[w].n, &split,
                                            &error),
                       &error);
        assert_int_equal(split.n_held_out, wanted[w].held_out);
        assert_int_equal(split.n_learn + split.n_held_out, wanted[w].n);
        for (size_t i = 0; i < wanted[w].n; i++) /* each in one part, in order */
            if (held_out < split.n_held_out && split.held_out[held_out].bytes == texts[i].bytes)
                held_out++;
            else assert_ptr_equal(split.learn[learn++].bytes, texts[i].bytes);
        sqzi_text_split_discard(&split);
    }
}

static void equal_texts_are_in_one_part_once(void **state)
{
    (void)state;
    enum { N = 240 };
    static char spaced[N][3 * LETTERS];
    sqz_error error = {0};
    sqz_text all[3 * N];
    sqzi_text_split split;
    for (size_t i = 0; i < N; i++) {
        char *at = spaced[i];
        for (const char *c = spellings[i % 120]; *c; c++) {
            if (*c == ' ' && i % 2) *at++ = '\t';
            *at++ = *c;
        }
        all[i] = (sqz_text){spaced[i], (size_t)(at - spaced[i])};
        all[N + i] = texts[i % 120];
        all[2 * N + i] = i % 2 ? (sqz_text){" \n ", 3} : (sqz_text){NULL, 0};
    }
    sqzt_assert_ok(sqzi_text_split_make(&sqzi_default_allocator, all, 3 * N, &split, &error),
                   &error);
    assert_int_equal(split.n_learn + split.n_held_out, 120);
    assert_int_equal(split.n_held_out, 60);
    for (size_t i = 0; i < 60; i++) assert_ptr_equal(split.held_out[i].bytes, all[2 * i + 1].bytes);
    sqzi_text_split_discard(&split);
    const sqz_text alike[] = {{"a b", 3}, {"ab", 2}, {" a  b ", 6}, {"a", 1}};
    assert_int_equal(sqzi_text_split_make(&sqzi_default_allocator, alike, 4, &split, &error),
                     SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "3 different texts"));
    sqzi_text_split_discard(&split);
}

static void too_few_texts_are_refused_with_the_number_that_would_do(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_text_split split;
    sqzt_assert_fails(sqzi_text_split_make(&sqzi_default_allocator, texts, 99, &split, &error),
                      SQZ_EFORMAT, &error, "99 different texts, at least 100 are needed");
    sqzi_text_split_discard(&split);
}

/* ---- comparing ---- */

enum { N = 40, D = 19 };

static sqzi_text_vectors vectors_of(float *numbers, uint64_t seed)
{
    sqzt_random random = sqzt_random_of(seed);
    for (size_t i = 0; i < N; i++) {
        double squares = 0;
        for (size_t d = 0; d < D; d++) {
            numbers[i * D + d] = (float)sqzt_normal(&random);
            squares += (double)numbers[i * D + d] * (double)numbers[i * D + d];
        }
        for (size_t d = 0; d < D; d++)
            numbers[i * D + d] = (float)((double)numbers[i * D + d] / sqrt(squares));
    }
    return (sqzi_text_vectors){.n = N, .dimensions = D, .vectors = numbers};
}

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (size_t d = 0; d < D; d++) sum += (double)a[d] * (double)b[d];
    return sum;
}

/* j is among the ten nearest to i: fewer than ten others are nearer, or as near and earlier. */
static bool is_near(const float *v, size_t i, size_t j)
{
    unsigned nearer = 0;
    for (size_t k = 0; k < N; k++) {
        if (k == i || k == j) continue;
        const double there = dot(v + i * D, v + k * D), here = dot(v + i * D, v + j * D);
        nearer += there > here || (memcmp(v + k * D, v + j * D, D * sizeof *v) == 0 && k < j);
    }
    return nearer < SQZI_FIDELITY_NEIGHBOURS;
}

static void cosine_and_neighbours_are_their_definitions(void **state)
{
    (void)state;
    sqz_error error = {0};
    static float a[N * D], b[N * D];
    const sqzi_text_vectors from = vectors_of(a, 1);
    sqzi_text_vectors to = vectors_of(b, 2);
    sqzi_fidelity fidelity;
    double cosine = 0, shared = 0;
    for (size_t i = 0; i < N * D; i++) b[i] = a[i] * 0.8f + b[i] * 0.6f;
    memcpy(a + 7 * D, a + 3 * D, D * sizeof *a); /* as near to all as each other */
    memcpy(b + 9 * D, b + 30 * D, D * sizeof *b);
    for (size_t i = 0; i < N; i++) {
        const double length = sqrt(dot(b + i * D, b + i * D));
        for (size_t d = 0; d < D; d++) b[i * D + d] = (float)((double)b[i * D + d] / length);
    }
    for (size_t i = 0; i < N; i++) {
        cosine += dot(a + i * D, b + i * D) / N;
        for (size_t j = 0; j < N; j++)
            if (j != i) shared += (is_near(a, i, j) && is_near(b, i, j)) / 10.0 / N;
    }
    sqzt_assert_ok(sqzi_fidelity_of(&from, &to, &fidelity, &error), &error);
    assert_int_equal(fidelity.n_texts, N);
    assert_true(fabs(fidelity.cosine - cosine) < 1e-6);
    assert_true(fabs(fidelity.neighbours - shared) < 1e-9);
    assert_true(shared > 0.3 && shared < 0.95);
    assert_true(isnan(fidelity.classes));
    sqzt_assert_ok(sqzi_fidelity_of(&from, &from, &fidelity, &error), &error);
    assert_true(fidelity.neighbours == 1 && fabs(fidelity.cosine - 1) < 1e-6);
    to.dimensions = D / 2; /* the same numbers as twice as many vectors */
    sqzt_assert_ok(sqzi_fidelity_of(&from, &to, &fidelity, &error), &error);
    assert_true(isnan(fidelity.cosine) && isnan(fidelity.cosine_error));
    assert_true(fidelity.neighbours > 0 && fidelity.neighbours_error > 0);
    to.dimensions = D;
    to.n = 10;
    sqzt_assert_fails(sqzi_fidelity_of(&from, &to, &fidelity, &error), SQZ_EINVAL, &error,
                      "cannot be compared");
    sqzt_assert_fails(sqzi_fidelity_of(&to, &to, &fidelity, &error), SQZ_EINVAL, &error,
                      "give at least 11");
}

static void agreement_of_classes_is_counted(void **state)
{
    (void)state;
    sqz_error error = {0};
    static float a[N * D];
    uint32_t ours[N] = {0}, theirs[N] = {0};
    sqzi_text_vectors from = vectors_of(a, 1), to = from;
    sqzi_fidelity fidelity;
    from.classes = ours;
    to.classes = theirs;
    theirs[3] = theirs[4] = 1;
    sqzt_assert_ok(sqzi_fidelity_of(&from, &to, &fidelity, &error), &error);
    assert_true(fabs(fidelity.classes - 38.0 / 40) < 1e-12);
}

/* ---- models ---- */

static sqz_context *context;

static sqz_model *open_model(const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static sqz_model *tiny(const char *file)
{
    const char *path = sqzt_temporary(file);
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, path);
    return open_model(path);
}

static double number_of(const sqz_model *model, const char *key)
{
    sqz_error error = {0};
    double value = NAN;
    sqzt_assert_ok(sqzi_gguf_get_f64(model->gguf, key, true, &value, &error), &error);
    return value;
}

/* A copy without block `without`, measured while it is written. */
static sqz_status write_without(const sqz_model *model, uint32_t without,
                                const sqzi_fidelity_run *run, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_weights weights;
    uint64_t bytes;
    uint32_t order[8], n = 0;
    for (uint32_t i = 0; i < model->encoder.n_blocks; i++)
        if (i != without) order[n++] = i;
    TRY(sqzi_weights_of(model, &weights, error));
    sqzi_weights_keep_blocks(&weights, order, n);
    TRY(sqzi_weights_write(
        &weights,
        &(sqzi_step){.history = "shorter", .suffix = "", .measured = run ? &run->measured : NULL},
        path, &bytes, error));
fail:
    sqzi_weights_discard(&weights);
    return status;
}

static void a_new_file_says_how_near_it_is(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model = tiny("0.gguf"), *shorter, *same;
    sqzi_fidelity_run run;
    sqzi_text_vectors now;
    sqzi_fidelity wanted;
    sqzi_fidelity_run_make(model, texts, 300, &run);
    const char *path = sqzt_temporary("1.gguf");
    sqzt_assert_ok(write_without(model, 1, &run, path, &error), &error);
    shorter = open_model(path);
    sqzt_assert_ok(sqzi_text_vectors_make(shorter, texts, 300, &now, &error), &error);
    sqzt_assert_ok(sqzi_fidelity_of(&run.of, &now, &wanted, &error), &error);
    assert_true(wanted.cosine < 0.999 && wanted.neighbours < 1 && wanted.classes <= 1);
    assert_true(number_of(shorter, "sqz.squeeze.fidelity.cosine") == wanted.cosine);
    assert_true(number_of(shorter, "sqz.squeeze.fidelity.neighbours") == wanted.neighbours);
    assert_true(number_of(shorter, "sqz.squeeze.fidelity.classes") == wanted.classes);
    assert_true(run.fidelity.cosine == wanted.cosine && run.fidelity.n_texts == 300);
    uint32_t n_texts = 0;
    sqzt_assert_ok(sqzi_gguf_get_u32(shorter->gguf, "sqz.squeeze.fidelity.texts", true, &n_texts,
                                     &error),
                   &error);
    assert_int_equal(n_texts, 300);
    sqzt_assert_ok(sqz_model_check(context, path, &(sqz_file_check){0}, &error), &error);
    /* what is made of it without measuring says nothing of a nearness that was another's */
    path = sqzt_temporary("2.gguf");
    sqzt_assert_ok(write_without(shorter, 9, NULL, path, &error), &error);
    same = open_model(path);
    assert_null(sqzi_gguf_find(same->gguf, "sqz.squeeze.fidelity.cosine"));
    sqzi_text_vectors_discard(&now);
    sqzi_fidelity_run_discard(&run);
    sqz_model_close(same);
    sqz_model_close(shorter);
    sqz_model_close(model);
}

static sqz_status fail_to_measure(void *user, const char *path, sqz_error *error)
{
    (void)user;
    return sqzi_fail(error, SQZ_ENUMERIC, 0, "%s: not measured", path);
}

static void where_measuring_fails_there_is_no_file(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model = tiny("0.gguf");
    sqzi_fidelity_run run;
    sqzi_fidelity_run_make(model, texts, 20, &run);
    run.measured.measure = fail_to_measure;
    const char *path = sqzt_temporary("none.gguf");
    sqzt_assert_fails(write_without(model, 0, &run, path, &error), SQZ_ENUMERIC, &error,
                      "none.gguf: not measured");
    assert_null(fopen(path, "rb"));
    sqzi_fidelity_run_discard(&run);
    sqz_model_close(model);
}

static int set_up(void **state)
{
    (void)state;
    sqz_error error = {0};
    make_texts();
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sqz_context_close(context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tenth_text_is_held_out),
        cmocka_unit_test(equal_texts_are_in_one_part_once),
        cmocka_unit_test(too_few_texts_are_refused_with_the_number_that_would_do),
        cmocka_unit_test(cosine_and_neighbours_are_their_definitions),
        cmocka_unit_test(agreement_of_classes_is_counted),
        cmocka_unit_test(a_new_file_says_how_near_it_is),
        cmocka_unit_test(where_measuring_fails_there_is_no_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
