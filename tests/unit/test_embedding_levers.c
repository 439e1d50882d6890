/* SPDX-License-Identifier: Apache-2.0 */
/* The levers of token embeddings: product quantisation, width, vocabulary. */
#define _POSIX_C_SOURCE 200809L
#include "squeeze/embedding_levers.h"

#include <math.h>
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>

#include "squeeze/dense_algebra.h"
#include "squeeze/product_quantise.h"
#include "squeeze/vocabulary_pruning.h"
#include "support/one_context.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

/* `head` NULL: the form's own. */
static sqz_model *open_with_head(const char *name, const char *head, const char *file)
{
    sqz_error error = {0};
    sqz_model *model;
    const char *path = sqzt_temporary(file);
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) {
            sqzt_tiny tiny = f->tiny;
            if (head) tiny.head = head;
            sqzt_tiny_write(&tiny, path);
        }
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static sqz_model *open_form(const char *name, const char *file)
{
    return open_with_head(name, NULL, file);
}

static sqzi_weights weights_of(const sqz_model *model)
{
    sqz_error error = {0};
    sqzi_weights weights;
    sqzt_assert_ok(sqzi_weights_of(model, &weights, &error), &error);
    return weights;
}

static sqz_model *write_and_open(const sqzi_weights *weights)
{
    static const sqzi_step step = {.history = "squeezed", .suffix = "-squeezed"};
    sqz_error error = {0};
    sqz_model *model;
    uint64_t bytes;
    const char *path = sqzt_temporary("squeezed.gguf");
    sqzt_assert_ok(sqzi_weights_write(weights, &step, path, &bytes, &error), &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

enum { TOKENS = 16 };

/* Hidden states of one sequence of these ids; of a masked LM its logits. */
static float *run(const sqz_model *model, const uint32_t *ids, size_t *n)
{
    sqz_error error = {0};
    sqz_session *session;
    const sqz_session_options room = {.max_tokens = TOKENS, .max_sequences = 1};
    const sqz_model_info *info = sqz_model_get_info(model);
    const uint32_t first[] = {0, TOKENS};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids};
    const bool masked = info->head == SQZ_HEAD_MASKED_LM;
    const uint32_t columns = masked ? info->n_labels : info->width;
    *n = (size_t)TOKENS * columns;
    float *out = malloc(*n * sizeof *out);
    assert_non_null(out);
    sqzt_assert_ok(sqz_session_open(model, &room, &session, &error), &error);
    if (masked) sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, out, columns, &error), &error);
    else sqzt_assert_ok(sqz_encode(session, &batch, out, columns, &error), &error);
    sqz_session_close(session);
    return out;
}

static void fill_ids(uint32_t *ids, uint32_t of)
{
    for (uint32_t t = 0; t < TOKENS; t++) ids[t] = t * 7 % of;
}

static double largest_difference(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* ---- product quantisation ---- */

/* A table of fewer rows than centroids: only the integers' rounding is left. */
static void fewer_rows_than_centroids_lose_their_rounding_alone(void **state)
{
    (void)state;
    sqz_error error = {0};
    double lost = -1;
    size_t n;
    uint32_t ids[TOKENS];
    sqz_model *model = open_form("dense", "product.gguf");
    sqzi_weights w = weights_of(model);
    float *before = malloc(sizeof(float) * w.word.rows * w.word.columns);
    memcpy(before, w.word.values, sizeof(float) * w.word.rows * w.word.columns);
    sqzt_assert_ok(sqzi_squeeze_product(&w, NULL, 6, &lost, &error), &error);
    assert_true(lost > 0 && lost < 1e-4 && w.word.values == NULL && w.product.parts == 6);
    sqz_model *small = write_and_open(&w);
    double errors = 0, squares = 0;
    float *row = malloc(w.word.columns * sizeof *row);
    for (uint32_t r = 0; r < w.word.rows; r++) {
        const sqzi_stored stored = sqzi_stored_of(small->gguf, "token_embd.weight", w.word.columns);
        sqzi_stored_row_f32(&stored, r, row);
        float read[64];
        sqzi_table_row(&small->encoder.embedding.word, &context->kernels, r, 0, read);
        assert_memory_equal(row, read, w.word.columns * sizeof *row);
        for (uint32_t j = 0; j < w.word.columns; j++) {
            const double x = (double)before[r * w.word.columns + j], off = x - (double)row[j];
            errors += off * off;
            squares += x * x;
        }
    }
    assert_true(errors / squares < 1e-4);
    fill_ids(ids, w.word.rows);
    float *a = run(model, ids, &n), *b = run(small, ids, &n);
    assert_true(largest_difference(a, b, n) < 0.05);
    free(a);
    free(b);
    free(row);
    free(before);
    sqzi_weights_discard(&w);
    sqz_model_close(small);
    sqz_model_close(model);
}

static void parts_that_do_not_divide_the_width_are_refused(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model = open_form("dense", "product.gguf");
    sqzi_weights w = weights_of(model);
    sqzt_assert_fails(sqzi_squeeze_product(&w, NULL, 7, NULL, &error), SQZ_EINVAL, &error,
                      "width 24 cannot be cut into 7 parts; the nearest that can: 6 and 8");
    sqzt_assert_fails(sqzi_squeeze_product(&w, NULL, 0, NULL, &error), SQZ_EINVAL, &error, "1");
    assert_int_equal(sqzi_squeeze_product_parts(&w, 11), 8);
    sqzt_assert_ok(sqzi_squeeze_product(&w, NULL, 24, NULL, &error), &error);
    sqzt_assert_fails(sqzi_squeeze_product(&w, NULL, 24, NULL, &error), SQZ_EINVAL, &error,
                      "already");
    sqzi_weights_discard(&w);
    sqz_model_close(model);
}

/* Rows of a mixture, more than centroids. */
enum { ROWS = 700, WIDTH = 12, PARTS = 3 };

typedef struct fitted {
    uint8_t codes[ROWS * PARTS];
    int8_t centroids[SQZI_CENTROIDS * WIDTH];
    float scale[SQZI_CENTROIDS * PARTS];
} fitted;

static void fit(uint32_t n_threads, const float *rows, const float *weight, uint32_t rounds,
                fitted *f)
{
    sqz_error error = {0};
    sqz_context *own;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = n_threads}, &own, &error),
                   &error);
    const sqzi_product_options o = {.rows = rows,
                                    .weight = weight,
                                    .n = ROWS,
                                    .width = WIDTH,
                                    .parts = PARTS,
                                    .rounds = rounds};
    sqzt_assert_ok(sqzi_product_quantise(own, &o, f->codes, f->centroids, f->scale, &error),
                   &error);
    sqz_context_close(own);
}

static double error_of(const fitted *f, const float *rows, const float *weight)
{
    double sum = 0;
    for (uint32_t i = 0; i < ROWS; i++)
        for (uint32_t j = 0; j < WIDTH; j++) {
            const uint32_t p = j / (WIDTH / PARTS),
                           c = p * SQZI_CENTROIDS + f->codes[i * PARTS + p];
            const double is = (double)f->scale[c] *
                              f->centroids[c * (WIDTH / PARTS) + j % (WIDTH / PARTS)],
                         off = (double)rows[i * WIDTH + j] - is;
            sum += (double)weight[i] * off * off;
        }
    return sum;
}

static void centroids_do_not_depend_on_threads_and_rounds_bring_them_nearer(void **state)
{
    (void)state;
    static float rows[ROWS * WIDTH], weight[ROWS];
    static fitted one, three, early;
    sqzt_random random = sqzt_random_of(11);
    for (uint32_t i = 0; i < ROWS; i++) weight[i] = i % 50 == 0 ? 40 : 1;
    for (uint32_t i = 0; i < ROWS * WIDTH; i++) rows[i] = (float)sqzt_normal(&random);
    fit(1, rows, weight, 0, &one);
    fit(3, rows, weight, 0, &three);
    fit(1, rows, weight, 1, &early);
    assert_memory_equal(&one, &three, sizeof one);
    assert_true(error_of(&one, rows, weight) < error_of(&early, rows, weight));
    /* each row has the nearest of its part's centroids */
    for (uint32_t i = 0; i < ROWS; i += 13) {
        fitted other = one;
        for (uint32_t c = 0; c < SQZI_CENTROIDS; c += 5) {
            other.codes[i * PARTS] = (uint8_t)c;
            assert_true(error_of(&other, rows, weight) > error_of(&one, rows, weight) - 1e-3);
        }
    }
}

/* ---- width ---- */

/* With types for the mean to go to, without, and with a decoder that is the table. */
static void the_whole_width_changes_nothing(void **state)
{
    (void)state;
    static const char *const forms[] = {"dense", "attention narrower than the width", "dense"},
                             *const heads[] = {NULL, NULL, "masked_lm"};
    if (!sqzi_dense_algebra_built()) skip();
    for (int i = 0; i < 3; i++) {
        sqz_error error = {0};
        double lost = -1;
        size_t n;
        uint32_t ids[TOKENS];
        sqz_model *model = open_with_head(forms[i], heads[i], "width.gguf");
        sqzi_weights w = weights_of(model);
        sqzt_assert_ok(sqzi_squeeze_width(&w, NULL, w.word.columns, &lost, &error), &error);
        assert_true(fabs(lost) < 1e-12);
        sqz_model *small = write_and_open(&w);
        assert_true(small->encoder.embedding.factorised);
        fill_ids(ids, w.word.rows);
        float *a = run(model, ids, &n), *b = run(small, ids, &n);
        assert_true(largest_difference(a, b, n) < 1e-4);
        free(a);
        free(b);
        sqzi_weights_discard(&w);
        sqz_model_close(small);
        sqz_model_close(model);
    }
}

static void wider_tables_lose_less_and_whole_ones_nothing(void **state)
{
    (void)state;
    enum { V = SQZT_TINY_VOCABULARY, E = 24 };
    if (!sqzi_dense_algebra_built()) skip();
    sqz_error error = {0};
    static const uint64_t counts[V];
    double before = 1, lost = 1;
    sqz_model *model = open_form("dense", "widths.gguf");
    for (uint32_t k = 1; k <= E; k++, before = lost) {
        sqzi_weights w = weights_of(model);
        sqzt_assert_ok(sqzi_squeeze_width(&w, counts, k, &lost, &error), &error);
        assert_true(lost < before);
        sqzi_weights_discard(&w);
    }
    assert_true(fabs(lost) < 1e-12);
    sqz_model_close(model);
}

static void the_error_of_a_width_is_that_of_its_rows(void **state)
{
    (void)state;
    enum { K = 9, V = SQZT_TINY_VOCABULARY, E = 24 };
    if (!sqzi_dense_algebra_built()) skip();
    sqz_error error = {0};
    uint64_t counts[V];
    double lost = -1, off = 0, about = 0, total = 0, mean[E] = {0};
    sqz_model *model = open_form("dense", "width.gguf");
    sqzi_weights whole = weights_of(model), w = weights_of(model);
    for (uint32_t r = 0; r < V; r++) total += (double)(1 + (counts[r] = r % 5 * 3));
    for (uint32_t r = 0; r < V; r++)
        for (uint32_t j = 0; j < E; j++)
            mean[j] += (double)(1 + counts[r]) * (double)whole.word.values[r * E + j] / total;
    sqzt_assert_ok(sqzi_squeeze_width(&w, counts, K, &lost, &error), &error);
    for (uint32_t r = 0; r < V; r++)
        for (uint32_t j = 0; j < E; j++) {
            const double x = (double)whole.word.values[r * E + j], f = (double)(1 + counts[r]);
            /* what the type's table has taken is the mean */
            double is = (double)w.type.values[j] - (double)whole.type.values[j];
            for (uint32_t i = 0; i < K; i++)
                is += (double)w.factor.values[j * K + i] * (double)w.word.values[r * K + i];
            off += f * (x - is) * (x - is);
            about += f * (x - mean[j]) * (x - mean[j]);
        }
    assert_true(fabs(off / about - lost) < 1e-5 && lost > 0.1 && lost < 1);
    sqzt_assert_fails(sqzi_squeeze_width(&w, counts, 4, &lost, &error), SQZ_EINVAL, &error,
                      "factorised already");
    sqzi_weights_discard(&whole);
    sqzi_weights_discard(&w);
    sqz_model_close(model);
}

/* ---- vocabulary ---- */

static uint32_t tokenize(const sqz_model *model, const char *text, uint32_t *ids, char *spelt)
{
    sqz_error error = {0};
    sqz_encoding *encoding;
    sqzt_assert_ok(sqz_encoding_open(context, &encoding, &error), &error);
    sqzt_assert_ok(sqz_tokenize(sqz_model_tokenizer(model), (sqz_text){text, strlen(text)}, NULL,
                                NULL, encoding, &error),
                   &error);
    const uint32_t n = sqz_encoding_first(encoding, sqz_encoding_windows(encoding));
    spelt[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = sqz_encoding_ids(encoding)[i];
        strcat(strcat(spelt, sqz_tokenizer_piece(sqz_model_tokenizer(model), ids[i])), " ");
    }
    sqz_encoding_close(encoding);
    return n;
}

/* Of the corpus the same pieces and, masked LM or not, the same results; of other words more. */
static void a_corpus_keeps_its_pieces_and_results(void **state)
{
    (void)state;
    static const char *const forms[] = {"dense",
                                        "sum of groups and low rank, permuted, factorised"};
    for (int i = 0; i < 2; i++) {
        sqz_error error = {0};
        sqz_verification verification;
        sqzi_vocabulary_report report;
        char whole[512], pruned[512];
        uint32_t ids[64], new_ids[64];
        size_t n, m;
        sqz_model *model = open_form(forms[i], "vocabulary.gguf");
        sqzi_weights w = weights_of(model);
        sqz_text texts[] = {{"zebra", 5}, {"q x", 3}};
        sqzt_assert_ok(sqzi_squeeze_vocabulary(&w, texts, 2, &report, &error), &error);
        assert_int_equal(report.before, SQZT_TINY_VOCABULARY);
        assert_true(report.after == w.word.rows && report.after < report.before &&
                    report.tokens_after >= report.tokens_before && report.tokens_before == 2);
        sqz_model *small = write_and_open(&w);
        assert_int_equal(small->info.vocabulary, report.after);
        for (int t = 0; t < 2; t++) {
            (void)tokenize(model, texts[t].bytes, ids, whole);
            (void)tokenize(small, texts[t].bytes, new_ids, pruned);
            assert_string_equal(whole, pruned);
        }
        for (uint32_t t = 0; t < TOKENS; t++) {
            new_ids[t] = t * 7 % report.after;
            ids[t] = w.kept_words[new_ids[t]];
        }
        float *a = run(model, ids, &n), *b = run(small, new_ids, &m);
        const bool masked = model->info.head == SQZ_HEAD_MASKED_LM;
        const size_t columns = m / TOKENS;
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t j = 0; j < columns; j++) {
                const size_t was = masked ? w.kept_words[j] : j;
                assert_true(a[t * (n / TOKENS) + was] == b[t * columns + j]);
            }
        sqzt_assert_ok(sqz_model_verify(small, &verification, &error), &error);
        free(a);
        free(b);
        sqz_model_close(small);
        sqzi_weights_discard(&w);
        sqz_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_rows_than_centroids_lose_their_rounding_alone),
        cmocka_unit_test(parts_that_do_not_divide_the_width_are_refused),
        cmocka_unit_test(centroids_do_not_depend_on_threads_and_rounds_bring_them_nearer),
        cmocka_unit_test(the_whole_width_changes_nothing),
        cmocka_unit_test(wider_tables_lose_less_and_whole_ones_nothing),
        cmocka_unit_test(the_error_of_a_width_is_that_of_its_rows),
        cmocka_unit_test(a_corpus_keeps_its_pieces_and_results)};
    return cmocka_run_group_tests(tests, sqzt_open_context, sqzt_close_context);
}
