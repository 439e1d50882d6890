/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and embeddings over more inputs than go through together, by several threads: each input's
 * bits are those it has alone. */
#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/head.h"
#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

enum {
    SEQUENCES = 2 * SQZI_HEAD_ROWS + 3,
    MOST = 4,
    TOKENS = SEQUENCES * MOST,
    WIDTH = 48,
    THREADS = 4
};

/* Sequences of 1 to MOST tokens. */
static uint32_t first[SEQUENCES + 1], ids[TOKENS];

static int begin(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(20);
    for (uint32_t b = 0; b < SEQUENCES; b++)
        first[b + 1] = first[b] + 1 + (uint32_t)sqzt_below(&random, MOST);
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = (uint32_t)sqzt_below(&random, SQZT_TINY_VOCABULARY);
    return 0;
}

static const sqz_session_options room = {.max_tokens = TOKENS, .max_sequences = SEQUENCES};

/* Room for n rows, full of what no result is. */
static float *rows_of(size_t n, size_t width)
{
    float *rows = malloc(n * width * sizeof *rows);
    assert_non_null(rows);
    memset(rows, 0xFF, n * width * sizeof *rows);
    return rows;
}

static sqz_batch sequence(uint32_t b, uint32_t own[2])
{
    own[0] = 0;
    own[1] = first[b + 1] - first[b];
    return (sqz_batch){.n_sequences = 1, .first = own, .ids = ids + first[b]};
}

static const sqz_batch all = {.n_sequences = SEQUENCES, .first = first, .ids = ids};

static const sqzt_tiny classifier = {.width = WIDTH,
                                     .blocks = 1,
                                     .heads = 3,
                                     .head_width = 16,
                                     .ffn_width = 96,
                                     .embedding_width = WIDTH,
                                     .positions = 8,
                                     .head = "sequence",
                                     .classes = 3,
                                     .seed = 21};
static const sqzt_tiny tagger = {.width = WIDTH,
                                 .blocks = 1,
                                 .heads = 3,
                                 .head_width = 16,
                                 .ffn_width = 96,
                                 .embedding_width = WIDTH,
                                 .positions = 8,
                                 .head = "token",
                                 .classes = 5,
                                 .seed = 22};
static const sqzt_tiny masked = {.width = WIDTH,
                                 .blocks = 1,
                                 .heads = 3,
                                 .head_width = 16,
                                 .ffn_width = 96,
                                 .embedding_width = WIDTH,
                                 .positions = 8,
                                 .factorised = 11,
                                 .head = "masked_lm",
                                 .seed = 23};

static void logits_are_those_of_each_input_alone(void **state)
{
    (void)state;
    const sqzt_tiny *const models[] = {&classifier, &tagger, &masked};
    sqz_error error = {0};
    for (size_t m = 0; m < 3; m++)
        for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++) {
            sqzt_opened one = sqzt_open_tiny(models[m], 1, &room),
                        many = sqzt_open_tiny(models[m], n_threads, &room);
            const bool tokens = m > 0;
            const size_t k = sqz_model_get_info(one.model)->n_labels,
                         n = tokens ? first[SEQUENCES] : SEQUENCES;
            float *expected = rows_of(n, k), *got = rows_of(n, k);
            uint32_t own[2];
            for (uint32_t b = 0; b < SEQUENCES; b++) {
                const sqz_batch batch = sequence(b, own);
                sqzt_assert_ok(sqz_logits(one.session, &batch, NULL, 0,
                                          expected + (tokens ? first[b] : b) * k, k, &error),
                               &error);
            }
            sqzt_assert_ok(sqz_logits(many.session, &all, NULL, 0, got, k, &error), &error);
            assert_memory_equal(got, expected, n * k * sizeof *got);
            free(expected);
            free(got);
            sqzt_close(&one);
            sqzt_close(&many);
        }
}

static void chosen_rows_are_rows_of_all(void **state)
{
    (void)state;
    sqz_error error = {0};
    for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++) {
        sqzt_opened w = sqzt_open_tiny(&masked, n_threads, &room);
        const uint32_t n_tokens = first[SEQUENCES];
        const size_t k = sqz_model_get_info(w.model)->n_labels;
        float *whole = rows_of(n_tokens, k), *got = rows_of(TOKENS, k);
        uint32_t rows[TOKENS];
        sqzt_assert_ok(sqz_logits(w.session, &all, NULL, 0, whole, k, &error), &error);
        for (uint32_t n = 0; n <= n_tokens; n = n < 3 ? n + 1 : 2 * n) {
            for (uint32_t i = 0; i < n; i++) rows[i] = (n_tokens - 1) - i * 7 % n_tokens;
            sqzt_assert_ok(sqz_logits(w.session, &all, rows, n, got, k, &error), &error);
            for (uint32_t i = 0; i < n; i++)
                assert_memory_equal(got + i * k, whole + rows[i] * k, k * sizeof *got);
        }
        char wanted[64];
        snprintf(wanted, sizeof wanted, "row 2 is token %u, the batch has %u", n_tokens, n_tokens);
        sqz_profile profile = {0};
        sqz_session_set_profile(w.session, &profile);
        rows[2] = n_tokens;
        sqzt_assert_fails(sqz_logits(w.session, &all, rows, 3, got, k, &error), SQZ_EINVAL, &error,
                          wanted);
        assert_int_equal(error.offset, 2);
        assert_int_equal(profile.runs, 0); /* nothing was encoded for it */
        free(whole);
        free(got);
        sqzt_close(&w);
    }
}

/* Against the hidden states themselves: the mean in double, the first row, every row. */
static void embeddings_are_what_their_pool_says(void **state)
{
    (void)state;
    static const sqz_pooling pools[] = {SQZ_POOLING_NONE, SQZ_POOLING_MEAN, SQZ_POOLING_CLS};
    enum { DIMENSIONS = WIDTH - 5, STRIDE = WIDTH + 3 };
    sqz_error error = {0};
    for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++) {
        sqzt_opened w = sqzt_open_tiny(&classifier, n_threads, &room);
        float *hidden = rows_of(TOKENS, WIDTH), *got = rows_of(TOKENS, STRIDE);
        sqzt_assert_ok(sqz_encode(w.session, &all, hidden, WIDTH, &error), &error);
        for (size_t p = 0; p < 3; p++) {
            sqzt_assert_ok(sqz_embed(w.session, &all,
                                     &(sqz_embed_options){.pooling = pools[p],
                                                          .normalize = SQZ_NORMALIZE_NO,
                                                          .dimensions = DIMENSIONS},
                                     got, STRIDE, &error),
                           &error);
            for (uint32_t i = 0; i < (p == 0 ? first[SEQUENCES] : SEQUENCES); i++)
                for (uint32_t j = 0; j < DIMENSIONS; j++) {
                    const uint32_t from = p == 0 ? i : first[i],
                                   to = p == 1 ? first[i + 1] : from + 1;
                    double sum = 0;
                    for (uint32_t t = from; t < to; t++) sum += (double)hidden[t * WIDTH + j];
                    assert_true(got[i * STRIDE + j] == (float)(sum / (to - from)));
                }
            /* nothing behind a row */
            assert_memory_equal(got + DIMENSIONS, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
        }
        free(hidden);
        free(got);
        sqzt_close(&w);
    }
}

static void pooled_vectors_are_those_of_each_sequence_alone(void **state)
{
    (void)state;
    sqz_error error = {0};
    for (uint32_t n_threads = 1; n_threads <= THREADS; n_threads++) {
        sqzt_opened w = sqzt_open_tiny(&classifier, n_threads, &room);
        const sqz_embed_options options = {.pooling = SQZ_POOLING_POOLER,
                                           .normalize = SQZ_NORMALIZE_YES};
        float *got = rows_of(SEQUENCES, WIDTH), alone[WIDTH];
        uint32_t own[2];
        sqzt_assert_ok(sqz_embed(w.session, &all, &options, got, WIDTH, &error), &error);
        for (uint32_t b = 0; b < SEQUENCES; b++) {
            const sqz_batch batch = sequence(b, own);
            sqzt_assert_ok(sqz_embed(w.session, &batch, &options, alone, WIDTH, &error), &error);
            assert_memory_equal(got + b * WIDTH, alone, sizeof alone);
        }
        free(got);
        sqzt_close(&w);
    }
}

/* The length is summed in double, so each number is rounded once; a vector of zeros stays one, and
 * nothing behind a row is touched. */
static void vectors_are_divided_by_their_length(void **state)
{
    (void)state;
    enum { ROWS = 3, COLUMNS = 9, KEPT = 7, LDO = 10 };
    sqzt_random random = sqzt_random_of(24);
    sqzi_real hidden[ROWS * COLUMNS], out[ROWS * LDO], untouched;
    memset(out, 0xFF, sizeof out);
    memset(&untouched, 0xFF, sizeof untouched);
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        hidden[i] = i / COLUMNS == 1 ? 0 : (sqzi_real)(3 * sqzt_normal(&random));
    const sqzi_head head = {.width = COLUMNS};
    sqzi_head_embed(&(sqzi_head_args){.head = &head,
                                      .hidden = hidden,
                                      .pooling = SQZ_POOLING_NONE,
                                      .n = ROWS,
                                      .out = out,
                                      .ldo = LDO,
                                      .dimensions = KEPT,
                                      .normalize = true},
                    &(sqzi_team){0, 1, NULL});
    for (size_t i = 0; i < ROWS; i++) {
        double squares = 0;
        for (size_t j = 0; j < KEPT; j++)
            squares += (double)hidden[i * COLUMNS + j] * (double)hidden[i * COLUMNS + j];
        for (size_t j = 0; j < KEPT; j++)
            assert_true(
                out[i * LDO + j] ==
                (i == 1 ? 0 : (sqzi_real)((double)hidden[i * COLUMNS + j] / sqrt(squares))));
        for (size_t j = KEPT; j < LDO; j++)
            assert_memory_equal(&out[i * LDO + j], &untouched, sizeof untouched);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_those_of_each_input_alone),
                                       cmocka_unit_test(chosen_rows_are_rows_of_all),
                                       cmocka_unit_test(embeddings_are_what_their_pool_says),
                                       cmocka_unit_test(
                                           pooled_vectors_are_those_of_each_sequence_alone),
                                       cmocka_unit_test(vectors_are_divided_by_their_length)};
    return cmocka_run_group_tests(tests, begin, NULL);
}
