/* SPDX-License-Identifier: Apache-2.0 */
/* Data of embedders: several texts an example, each read by itself; batches in which no text stands
 * twice; cosines and ranks of a model on them. */
#include <math.h>
#include <squeezebert/batches.h>
#include <squeezebert/measure.h>
#include <stdio.h>
#include <string.h>

#include "support/bytes_source.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context;
static sqz_model *model;

static int open_model(void **state)
{
    (void)state;
    const sqzt_tiny tiny = {.width = 24,
                            .blocks = 1,
                            .heads = 3,
                            .head_width = 8,
                            .ffn_width = 48,
                            .embedding_width = 24,
                            .positions = 40,
                            .exclude_prompt = true,
                            .seed = 5};
    const char *path = sqzt_temporary("embedding_data.gguf");
    sqzt_tiny_write(&tiny, path);
    const bool opened = sqz_context_open(NULL, &context, NULL) == SQZ_OK &&
                        sqz_model_open(context, path, &model, NULL) == SQZ_OK;
    return remove(path) != 0 || !opened;
}

static int close_model(void **state)
{
    (void)state;
    sqz_model_close(model);
    sqz_context_close(context);
    return 0;
}

static sqz_status open_text(const char *text, sqz_dataset_options o, sqz_dataset **dataset,
                            sqz_error *error)
{
    sqzt_bytes m = {text, strlen(text), 0};
    const sqz_rows_source source = {.name = "rows", .read = sqzt_read_bytes, .user = &m};
    if (!o.format) o.format = SQZ_DATA_CSV;
    return sqz_dataset_open_source(context, &source, &o, dataset, error);
}

static sqz_dataset *opened(const char *text, sqz_dataset_options o)
{
    sqz_error error = {0};
    sqz_dataset *dataset;
    sqzt_assert_ok(open_text(text, o, &dataset, &error), &error);
    return dataset;
}

static const char *const negatives[] = {"no", "never"};
static const sqz_dataset_options groups = {.kind = SQZ_LABELS_NONE,
                                           .text = "q",
                                           .text2 = "d",
                                           .negatives = negatives,
                                           .n_negatives = 2},
                                 pairs = {.kind = SQZ_LABELS_NONE, .text = "q", .text2 = "d"},
                                 scored = {.kind = SQZ_LABELS_VALUE, .text = "q", .text2 = "d"};

static void read_texts(sqz_dataset *d, const char *prompt, const char *second)
{
    sqz_error error = {0};
    sqzt_assert_ok(sqz_dataset_tokenize_texts(d, model, prompt, second, 20, &error), &error);
}

static void assert_text(sqz_text text, const char *expected)
{
    assert_int_equal(text.n_bytes, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.n_bytes);
}

static void negatives_stand_in_columns_or_in_an_array(void **state)
{
    (void)state;
    const char *const one[] = {"no"};
    sqz_dataset_options array = groups;
    array.format = SQZ_DATA_JSONL;
    array.negatives = one;
    array.n_negatives = 1;
    sqz_dataset *a = opened("never,q,d,no\nn2,a,b,n1\n", groups),
                *b = opened("{\"q\":\"a\",\"no\":[\"n1\",\"n2\"],\"d\":\"b\"}\n", array),
                *c = opened("never,q,d,no\nn3,a,b,n1\n", groups);
    const sqz_example *e = sqz_dataset_examples(a, &(size_t){0});
    assert_int_equal(e->n_negatives, 2);
    assert_text(e->negatives[0], "n1");
    assert_text(e->negatives[1], "n2");
    assert_string_equal(sqz_dataset_sha256(a), sqz_dataset_sha256(b));
    assert_string_not_equal(sqz_dataset_sha256(a), sqz_dataset_sha256(c));
    sqz_dataset_close(a);
    sqz_dataset_close(b);
    sqz_dataset_close(c);
}

static void refused(const char *text, sqz_dataset_options o, sqz_status status, const char *part)
{
    sqz_dataset *dataset;
    sqz_error error = {0};
    sqzt_assert_fails(open_text(text, o, &dataset, &error), status, &error, part);
}

static void what_groups_of_texts_cannot_have_is_refused(void **state)
{
    (void)state;
    sqz_dataset_options o = groups;
    refused("q,d,no,never\na,b,c,\n", o, SQZ_EFORMAT, "line 2: there is no text in 'never'");
    o.format = SQZ_DATA_JSONL;
    o.n_negatives = 1;
    refused("{\"q\":\"a\",\"d\":\"b\",\"no\":[\"x\"]}\n{\"q\":\"a\",\"d\":\"b\",\"no\":[]}\n", o,
            SQZ_EFORMAT, "line 2: 0 negatives");
    refused("{\"q\":\"a\",\"d\":\"b\",\"no\":[3]}\n", o, SQZ_EFORMAT, "a string");
    refused("{\"q\":\"a\",\"d\":\"b\",\"no\":4}\n", o, SQZ_EFORMAT, "a string");
    o = groups;
    o.text2 = NULL;
    refused("", o, SQZ_EINVAL, "beside a text and a text2");
    o = groups;
    o.label = "q";
    refused("", o, SQZ_EINVAL, "texts without a label");
    o = groups;
    o.n_negatives = 63;
    refused("", o, SQZ_EINVAL, "62 are the most");
    o = groups;
    o.kind = SQZ_LABELS_VALUE;
    refused("", o, SQZ_EINVAL, "without a label");
}

static void scores_are_scaled_all_or_none(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_dataset *d = opened("q,d,label\na,b,0\na,c,2\na,d,5\n", scored);
    const sqz_example *e = sqz_dataset_examples(d, &(size_t){0});
    sqzt_assert_fails(sqz_dataset_scale(d, 0, 4, &error), SQZ_EFORMAT, &error,
                      "line 4: the score 5");
    assert_int_equal(error.offset, 4);
    assert_true(e[1].value == 2);
    sqzt_assert_fails(sqz_dataset_scale(d, 5, 0, &error), SQZ_EINVAL, &error, "from low to high");
    sqzt_assert_ok(sqz_dataset_scale(d, 0, 5, &error), &error);
    assert_true(e[0].value == 0 && e[1].value == 0.4 && e[2].value == 1);
    sqz_dataset_close(d);
}

/* [CLS] q [SEP]: pieces of the prompt with those before them are left out. */
static void texts_are_read_by_themselves_with_their_prompts(void **state)
{
    (void)state;
    sqz_dataset *d = opened("q,d,no,never\na,b c,d,e\n", groups),
                *plain = opened("q,d\na,b c\n", pairs);
    read_texts(d, "x y ", NULL);
    read_texts(plain, NULL, "z");
    assert_int_equal(sqz_dataset_texts(d), 4);
    assert_int_equal(sqz_dataset_texts(plain), 2);
    const uint32_t n[] = {5, 4, 3, 3}, skip[] = {3, 0, 0, 0};
    for (size_t t = 0; t < 4; t++) {
        const sqz_example_pieces p = sqz_dataset_pieces(d, t);
        assert_int_equal(p.n, n[t]);
        assert_int_equal(p.skip, skip[t]);
        assert_null(p.labels);
    }
    assert_int_equal(sqz_dataset_pieces(d, 4).n, 0);
    assert_int_equal(sqz_dataset_pieces(plain, 1).skip, 2);
    const sqz_example_pieces a = sqz_dataset_pieces(d, 0), b = sqz_dataset_pieces(plain, 0);
    assert_int_equal(a.ids[0], b.ids[0]);
    assert_int_equal(a.ids[3], b.ids[1]);
    sqz_error error = {0};
    sqzt_assert_fails(sqz_dataset_tokenize_texts(d, model, NULL, NULL, 1, &error), SQZ_EINVAL,
                      &error, "");
    sqzt_assert_fails(sqz_dataset_tokenize_texts(d, model, NULL, "x y x y ", 5, &error),
                      SQZ_ETOOLONG, &error, "the prompt 'x y x y ' alone fills the 5 pieces");
    assert_int_equal(sqz_dataset_texts(d), 0);
    sqz_dataset_close(d);
    sqz_dataset_close(plain);
}

/* ---- batches ---- */

enum { ROWS = 60, BATCH = 8, MOST_BATCHES = 40 };

/* The first word of a text is its query, of which there are `queries`; documents are all others. */
static sqz_dataset *rows_of(int queries)
{
    static char text[ROWS * 40];
    size_t used = (size_t)snprintf(text, sizeof text, "q,d\n");
    for (int i = 0; i < ROWS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%c%s,%c %c\n", 'a' + i % queries,
                                 i % 2 ? " ." : "", 'a' + i / 26, 'a' + i % 26);
    sqz_dataset *d = opened(text, pairs);
    read_texts(d, NULL, NULL);
    return d;
}

static void no_text_stands_twice_in_a_batch(void **state)
{
    (void)state;
    for (int queries = 3; queries <= 13; queries += 10) {
        sqz_error error = {0};
        sqz_batches *b;
        sqz_dataset *d = rows_of(queries);
        const sqz_batches_options o = {.batch = BATCH, .seed = 2, .distinct = 1};
        sqzt_assert_ok(sqz_batches_open(d, &o, &b, &error), &error);
        const sqz_train_data *data = sqz_batches_data(b);
        assert_int_equal(data->texts, 2);
        assert_int_equal(data->n_labels, 0);
        assert_int_equal(data->n_batches, queries == 3 ? 20 : 8);
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            unsigned char seen[ROWS] = {0};
            uint32_t n_seen = 0;
            for (uint32_t i = 0; i < data->n_batches; i++) {
                const uint32_t *rows;
                uint32_t n, query[26] = {0};
                assert_int_equal(data->batch(data->user, epoch, i, &rows, &n, NULL), SQZ_OK);
                assert_in_range(n, 1, BATCH);
                for (uint32_t r = 0; r < n; r++, n_seen++) {
                    assert_int_equal(seen[rows[r]]++, 0);
                    assert_int_equal(query[rows[r] % (uint32_t)queries]++, 0);
                }
            }
            assert_int_equal(n_seen + sqz_batches_left_out(b, epoch), ROWS);
            assert_true(n_seen > ROWS * 9 / 10);
        }
        sqz_batches_close(b);
        sqz_dataset_close(d);
    }
}

static void texts_that_would_be_their_own_negatives_are_refused(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_batches *b = NULL;
    const sqz_batches_options o = {.batch = 2, .distinct = 1};
    sqz_dataset *d = opened("q,d,no,never\na,b,c,d\na,b,c,B .\n", groups);
    sqzt_assert_fails(sqz_batches_open(d, &o, &b, &error), SQZ_EINVAL, &error, "not tokenised");
    read_texts(d, NULL, NULL);
    sqzt_assert_fails(sqz_batches_open(d, &o, &b, &error), SQZ_EFORMAT, &error,
                      "line 3: negative 2 is the same text as the text2");
    const uint32_t first[] = {0}, falls[] = {1, 0};
    sqz_batches_options some = {.batch = 2, .distinct = 1, .rows = first, .n_rows = 1};
    sqzt_assert_ok(sqz_batches_open(d, &some, &b, &error), &error);
    assert_int_equal(sqz_batches_data(b)->examples[3].n_tokens, 3);
    sqz_batches_close(b);
    some.rows = falls;
    some.n_rows = 2;
    sqzt_assert_fails(sqz_batches_open(d, &some, &b, &error), SQZ_EINVAL, &error, "rows rise");
    sqz_dataset_close(d);
}

/* ---- a model on them ---- */

static double cosine(const float *a, const float *b, uint32_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

enum { N = 5, WIDTH = 24 };
static const char *const asked[N] = {"a b", "c", "d e f", "g", "h i"}, *const answers[N] = {
                                                                           "x a", "c d", "y",
                                                                           "C d.", "b h"};

/* Of a question or an answer. */
static void embed(const char *text, const char *prompt, float vector[WIDTH])
{
    sqz_error error = {0};
    sqz_task *task;
    sqz_embedding e;
    const sqz_input input = {.text = {text, strlen(text)}};
    sqzt_assert_ok(sqz_task_open(model, NULL, &task, &error), &error);
    sqzt_assert_ok(sqz_embed_texts(task, &input, 1, &(sqz_embed_text_options){.prompt = prompt}, &e,
                                   &error),
                   &error);
    memcpy(vector, e.vectors, WIDTH * sizeof *vector);
    sqz_task_close(task);
}

static void ranks_are_those_of_cosines_in_the_batch(void **state)
{
    (void)state;
    char text[200] = "q,d\n";
    float q[N][WIDTH], d[N][WIDTH];
    double accuracy = 0, mrr = 0, loss = 0;
    for (int i = 0; i < N; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s,%s\n", asked[i], answers[i]);
        embed(asked[i], "x ", q[i]);
        embed(answers[i], "", d[i]);
    }
    for (int i = 0; i < N; i++) { /* batches of three; 1 and 3 have one answer, 3 in the other */
        const int begin = i / 3 * 3;
        const double own = cosine(q[i], d[i], WIDTH);
        double sum = 0;
        int rank = 1;
        for (int j = begin; j < begin + 3 && j < N; j++) {
            const double c = cosine(q[i], d[j], WIDTH);
            rank += j != i && c >= own;
            sum += exp(20 * (c - own));
        }
        accuracy += rank == 1;
        mrr += 1.0 / rank;
        loss += log(sum);
    }
    sqz_error error = {0};
    sqz_predictions *p;
    sqz_measures m;
    sqz_dataset *data = opened(text, pairs);
    const sqz_predict_options o = {.prompt = "x ", .second_prompt = "", .batch = 3};
    sqzt_assert_ok(sqz_predict(model, data, &o, &p, &error), &error);
    sqzt_assert_ok(sqz_measure(p, NULL, &m, &error), &error);
    assert_int_equal(m.n_figures, 3);
    assert_true(fabs(m.figures[0].metric.value - accuracy / N) < 1e-12);
    assert_true(fabs(m.figures[1].metric.value - mrr / N) < 1e-12);
    assert_true(fabs(m.figures[2].metric.value - loss / N) < 1e-5);
    assert_true(m.figures[1].has_interval && m.figures[1].low < m.figures[1].high);
    assert_null(sqz_figure_name(SQZ_LABELS_NONE, 3));
    assert_int_equal(sqz_figure_less_is_better(SQZ_LABELS_NONE, 1), 0);
    assert_int_equal(sqz_figure_less_is_better(SQZ_LABELS_NONE, 2), 1);
    assert_int_equal(sqz_figure_less_is_better(SQZ_LABELS_NONE, 3), 0);
    sqz_predictions_close(p);
    sqz_dataset_close(data);
}

/* Answers that are the same text are no rivals: each of two rows would be a tie. */
static void the_same_text_is_no_rival(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_predictions *p;
    sqz_dataset *data = opened("q,d\nx,c d\ny,C  d.\n", pairs);
    sqzt_assert_ok(sqz_predict(model, data, NULL, &p, &error), &error);
    for (size_t i = 0; i < 2; i++) {
        assert_true(sqz_predictions_answer(p, i).value == 1);
        assert_int_equal(sqz_predictions_answer(p, i).right, 1);
    }
    sqz_predictions_close(p);
    sqz_dataset_close(data);
    data = opened("q\na\n", (sqz_dataset_options){.kind = SQZ_LABELS_NONE, .text = "q"});
    sqzt_assert_fails(sqz_predict(model, data, NULL, &p, &error), SQZ_EINVAL, &error, "one text");
    sqz_dataset_close(data);
}

static void cosines_of_pairs_are_compared_with_scores(void **state)
{
    (void)state;
    float q[WIDTH], d[WIDTH];
    sqz_error error = {0};
    sqz_predictions *p;
    sqz_measures m;
    sqz_dataset *data = opened("q,d,label\na b,c,1\nc,d e,3\nx,y,2\n", scored);
    sqzt_assert_ok(sqz_predict(model, data, NULL, &p, &error), &error);
    sqzt_assert_ok(sqz_measure(p, NULL, &m, &error), &error);
    embed("c", "", q);
    embed("d e", "", d);
    assert_true(fabs(sqz_predictions_answer(p, 1).value - cosine(q, d, WIDTH)) < 1e-6);
    assert_null(m.figures[1].metric.reason);
    assert_string_equal(m.figures[3].metric.reason, "a cosine is no estimate of a score");
    sqz_predictions_close(p);
    sqz_dataset_close(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negatives_stand_in_columns_or_in_an_array),
        cmocka_unit_test(what_groups_of_texts_cannot_have_is_refused),
        cmocka_unit_test(scores_are_scaled_all_or_none),
        cmocka_unit_test(texts_are_read_by_themselves_with_their_prompts),
        cmocka_unit_test(no_text_stands_twice_in_a_batch),
        cmocka_unit_test(texts_that_would_be_their_own_negatives_are_refused),
        cmocka_unit_test(ranks_are_those_of_cosines_in_the_batch),
        cmocka_unit_test(the_same_text_is_no_rival),
        cmocka_unit_test(cosines_of_pairs_are_compared_with_scores),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
