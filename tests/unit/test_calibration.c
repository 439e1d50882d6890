/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration on texts: what every form of model gains, the same bits every time, what is
 * refused. */
#include <math.h>
#include <squeezebert/session.h>
#include <squeezebert/squeeze.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "squeeze/calibration.h"
#include "support/planned.h"
#include "support/random.h"

/* Letters and words of the tiny vocabulary. */
enum { TEXTS = 120, TEXT_BYTES = 24 };
static char bytes[TEXTS][TEXT_BYTES];
static sqz_text texts[TEXTS];

static void make_texts(uint64_t seed)
{
    sqzt_random random = sqzt_random_of(seed);
    for (size_t i = 0; i < TEXTS; i++) {
        for (size_t j = 0; j < TEXT_BYTES; j++)
            bytes[i][j] = j % 3 == 2 ? ' ' : (char)('a' + sqzt_below(&random, 26));
        texts[i] = (sqz_text){bytes[i], TEXT_BYTES};
    }
}

/* Norm of the difference between two models' hidden states over texts. */
static double distance(const sqz_model *a, const sqz_model *b)
{
    sqzi_sequences s;
    sqz_error error = {0};
    double squares = 0;
    const sqz_model *models[] = {a, b};
    float *hidden[2];
    sqzt_assert_ok(sqzi_sequences_of_texts(a, texts, TEXTS, &s, &error), &error);
    const uint32_t n = sqzi_sequences_tokens(&s),
                   *first = (const uint32_t *)(const void *)s.first.data,
                   *ids = (const uint32_t *)(const void *)s.ids.data;
    const size_t width = a->encoder.width;
    for (int m = 0; m < 2; m++) {
        sqz_session *session;
        hidden[m] = sqzt_take(n * width, sizeof(float));
        sqzt_assert_ok(sqz_session_open(models[m],
                                        &(sqz_session_options){.max_tokens = s.longest,
                                                               .max_sequences = 1,
                                                               .max_length = s.longest},
                                        &session, &error),
                       &error);
        for (uint32_t i = 0; i < s.n; i++) {
            const uint32_t bounds[] = {0, first[i + 1] - first[i]};
            sqzt_assert_ok(
                sqz_encode(session,
                           &(sqz_batch){.n_sequences = 1, .first = bounds, .ids = ids + first[i]},
                           hidden[m] + first[i] * width, width, &error),
                &error);
        }
        sqz_session_close(session);
    }
    for (size_t i = 0; i < n * width; i++)
        squares += pow((double)hidden[0][i] - (double)hidden[1][i], 2);
    for (int m = 0; m < 2; m++) sqzt_release(hidden[m], n * width, sizeof(float));
    sqzi_sequences_discard(&s);
    return sqrt(squares);
}

static bool is_float(const sqzt_tiny *tiny)
{
    return tiny->type == SQZI_F32 && !tiny->parts && !tiny->poison && !tiny->drop && !tiny->extra;
}

static sqz_status quantize(sqz_context *context, const char *path, const char *out, size_t n_texts,
                           sqz_error *error)
{
    return sqz_quantize(
        context, path, out,
        &(sqz_quantize_options){.texts = n_texts ? texts : NULL, .n_texts = n_texts}, error);
}

static size_t read_whole(const char *path, unsigned char **data)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    *data = malloc(1 << 22);
    assert_non_null(*data);
    const size_t n = fread(*data, 1, 1 << 22, file);
    assert_true(n > 0 && n < 1 << 22);
    fclose(file);
    return n;
}

/* Every form, other texts than those calibrated on: nearer to the float model, all forms together,
 * than rounding to nearest with biases from random ids is. */
static void texts_bring_every_form_nearer(void **state)
{
    (void)state;
    double plain = 0, calibrated = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        if (!is_float(&form->tiny)) continue;
        sqz_error error = {0};
        sqz_context *context;
        sqz_model *from, *to[2];
        char path[256];
        double off[2];
        snprintf(path, sizeof path, "%s", sqzt_temporary("float.gguf"));
        sqzt_tiny_write(&form->tiny, path);
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                       &error);
        sqzt_assert_ok(sqz_model_open(context, path, &from, &error), &error);
        const char *out = sqzt_temporary("quantized.gguf");
        for (int with = 0; with < 2; with++) {
            make_texts(1);
            sqzt_assert_ok(quantize(context, path, out, with ? TEXTS : 0, &error), &error);
            sqzt_assert_ok(sqz_model_open(context, out, &to[with], &error), &error);
            make_texts(2);
            off[with] = distance(from, to[with]);
            sqz_model_close(to[with]);
        }
        printf("%s: %.3g becomes %.3g\n", form->name, off[0], off[1]);
        plain += log(off[0]);
        calibrated += log(off[1]);
        sqz_model_close(from);
        sqz_context_close(context);
    }
    assert_true(calibrated < plain);
}

static void the_file_is_the_same_every_time(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context;
    unsigned char *data[2];
    size_t n[2];
    char path[256];
    snprintf(path, sizeof path, "%s", sqzt_temporary("float.gguf"));
    sqzt_tiny_write(&sqzt_tiny_forms[1].tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    make_texts(1);
    for (int i = 0; i < 2; i++) {
        const char *out = sqzt_temporary("quantized.gguf");
        sqzt_assert_ok(quantize(context, path, out, TEXTS, &error), &error);
        n[i] = read_whole(out, &data[i]);
    }
    assert_true(n[0] == n[1] && memcmp(data[0], data[1], n[0]) == 0);
    for (int i = 0; i < 2; i++) free(data[i]);
    sqz_context_close(context);
}

static int stop_at_once(void *user, size_t done, size_t total)
{
    assert_true(done == 1 && total == 1 + sqzt_tiny_forms[0].tiny.blocks);
    ++*(int *)user;
    return 1;
}

static void what_texts_cannot_do_is_said(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context;
    char path[256];
    int calls = 0;
    snprintf(path, sizeof path, "%s", sqzt_temporary("float.gguf"));
    const char *out = sqzt_temporary("never.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, path);
    make_texts(1);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    assert_int_equal(quantize(context, path, out, 10, &error), SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "10 texts"));
    for (size_t i = 0; i < TEXTS; i++) texts[i].n_bytes = i % 2; /* empty, or blank */
    for (size_t i = 0; i < TEXTS; i++) bytes[i][0] = ' ';
    assert_int_equal(quantize(context, path, out, TEXTS, &error), SQZ_EFORMAT);
    assert_non_null(strstr(error.text, "0 texts"));
    make_texts(1);
    const sqz_quantize_options wrong[] = {
        {.type = SQZ_QUANTIZE_BF16, .texts = texts, .n_texts = TEXTS},
        {.no_bias_correction = 1, .texts = texts, .n_texts = TEXTS}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(sqz_quantize(context, path, out, &wrong[i], &error), SQZ_EINVAL);
    const sqz_quantize_options stopped = {
        .texts = texts, .n_texts = TEXTS, .progress = stop_at_once, .user = &calls};
    assert_int_equal(sqz_quantize(context, path, out, &stopped, &error), SQZ_ECANCELLED);
    assert_int_equal(calls, 1);
    FILE *file = fopen(out, "rb");
    assert_null(file);
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_bring_every_form_nearer),
        cmocka_unit_test(the_file_is_the_same_every_time),
        cmocka_unit_test(what_texts_cannot_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
