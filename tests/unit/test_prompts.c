/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts before texts, of each side its own, left out of the pooling or not; and how two texts are
 * compared. */
#include <math.h>
#include <squeezebert/task.h>
#include <string.h>

#include "support/test.h"
#include "support/tiny_model.h"

enum { WIDTH = 24 };

static const sqzt_tiny plain = {.width = WIDTH,
                                .blocks = 1,
                                .heads = 3,
                                .head_width = 8,
                                .ffn_width = 32,
                                .embedding_width = WIDTH,
                                .positions = 16,
                                .token_types = 2,
                                .seed = 61};

typedef struct work {
    sqz_context *context;
    sqz_model *model;
    sqz_task *task;
} work;

static work open_work(const sqzt_tiny *tiny, const sqz_task_options *options)
{
    work w;
    sqz_error error = {0};
    const char *path = sqzt_temporary("prompts.gguf");
    sqzt_tiny_write(tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &w.context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(w.context, path, &w.model, &error), &error);
    sqzt_assert_ok(sqz_task_open(w.model, options, &w.task, &error), &error);
    return w;
}

static void close_work(work *w)
{
    sqz_task_close(w->task);
    sqz_model_close(w->model);
    sqz_context_close(w->context);
}

static sqz_text text_of(const char *text)
{
    return (sqz_text){text, strlen(text)};
}

/* The vector of one text; options are the model's but for the prompt. */
static sqz_outcome embed(const work *w, const char *text, const char *prompt, float out[WIDTH])
{
    sqz_error error = {0};
    sqz_embedding result;
    const sqz_input input = {.text = text_of(text)};
    const sqz_embed_text_options options = {.prompt = prompt};
    sqzt_assert_ok(sqz_embed_texts(w->task, &input, 1, &options, &result, &error), &error);
    if (result.outcome.status == SQZ_OK) memcpy(out, result.vectors, WIDTH * sizeof *out);
    return result.outcome;
}

static void a_side_has_the_first_prompt_that_is_not_empty(void **state)
{
    (void)state;
    static const struct {
        const char *prompts[8], *query, *passage;
    } cases[] = {{{"query", "good ", "passage", "the "}, "good ", "the "},
                 {{"passage", "the ", "document", ""}, "", "the "},
                 {{"passage", "the ", "document", "film "}, "", "film "},
                 {{"corpus", "a ", "retrieval.query", "b "}, "b ", "a "},
                 {{"search_document", "d ", "search_query", "q "}, "q ", "d "},
                 {{"retrieval.passage", "p ", "other", "o "}, "", "p "},
                 {{NULL}, "", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sqzt_tiny tiny = plain;
        memcpy(tiny.prompts, cases[i].prompts, sizeof tiny.prompts);
        work w = open_work(&tiny, NULL);
        assert_string_equal(sqz_model_role_prompt(w.model, SQZ_ROLE_QUERY), cases[i].query);
        assert_string_equal(sqz_model_role_prompt(w.model, SQZ_ROLE_PASSAGE), cases[i].passage);
        close_work(&w);
    }
}

static void a_prompt_is_text_before_the_text(void **state)
{
    (void)state;
    sqzt_tiny tiny = plain;
    const char *const prompts[] = {"query", "the good ", "passage", "bad "};
    float got[WIDTH], expected[WIDTH];
    memcpy(tiny.prompts, prompts, sizeof prompts);
    tiny.default_prompt = "passage";
    work w = open_work(&tiny, NULL);
    (void)embed(&w, "bad film", "", expected);
    (void)embed(&w, "film", NULL, got);
    assert_memory_equal(got, expected, sizeof got);
    (void)embed(&w, "the good film", "", expected);
    (void)embed(&w, "film", sqz_model_prompt(w.model, "query"), got);
    assert_memory_equal(got, expected, sizeof got);
    close_work(&w);
}

/* "the good " is [CLS], the, good: three pieces of the text's five, in the mean of which the other
 * two are. */
static void a_prompt_left_out_leaves_the_pieces_behind_it(void **state)
{
    (void)state;
    sqzt_tiny tiny = plain;
    float got[WIDTH];
    sqz_error error = {0};
    tiny.exclude_prompt = true;
    work w = open_work(&tiny, NULL);
    assert_int_equal(sqz_model_get_info(w.model)->include_prompt, 0);
    assert_int_equal(embed(&w, "film", "the good ", got).n_pieces, 5);
    sqz_embedding rows;
    const sqz_input input = {.text = text_of("the good film")};
    const sqz_embed_text_options options = {
        .embed = {.pooling = SQZ_POOLING_NONE, .normalize = SQZ_NORMALIZE_NO}, .prompt = ""};
    sqzt_assert_ok(sqz_embed_texts(w.task, &input, 1, &options, &rows, &error), &error);
    assert_int_equal(rows.n_vectors, 5);
    for (int j = 0; j < WIDTH; j++)
        assert_true(got[j] == (float)(((double)rows.vectors[3 * WIDTH + j] +
                                       (double)rows.vectors[4 * WIDTH + j]) /
                                      2));
    close_work(&w);
}

/* Cut to four pieces, text and prompt both end in [SEP] as their fourth: that one is pooled. */
static void a_prompt_that_fills_the_text_leaves_its_end(void **state)
{
    (void)state;
    sqzt_tiny tiny = plain;
    float got[WIDTH];
    tiny.exclude_prompt = true;
    work w = open_work(&tiny, &(sqz_task_options){.max_length = 4});
    const sqz_outcome outcome = embed(&w, "film was bad", "the good film ", got);
    assert_int_equal(outcome.status, SQZ_OK);
    assert_int_equal(outcome.n_pieces, 4);
    close_work(&w);
}

static void each_side_of_a_pair_has_its_prompt(void **state)
{
    (void)state;
    work w = open_work(&plain, NULL);
    sqz_error error = {0};
    sqz_similarity with, without;
    const sqz_input given = {.text = text_of("film"), .second = text_of("was")},
                    whole = {.text = text_of("good film"), .second = text_of("the was")};
    sqz_embed_text_options options = {.prompt = "good ", .second_prompt = "the "};
    sqzt_assert_ok(sqz_compare(w.task, &given, 1, &options, &with, &error), &error);
    sqzt_assert_ok(sqz_compare(w.task, &whole, 1, NULL, &without, &error), &error);
    assert_true(with.cosine == without.cosine && with.score == with.cosine);
    options.second_prompt = NULL; /* as the first */
    sqzt_assert_ok(sqz_compare(w.task, &given, 1, &options, &with, &error), &error);
    assert_true(with.cosine != without.cosine);
    close_work(&w);
}

static void a_score_is_the_similarity_that_was_asked_for(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "cosine", "dot", "euclidean", "manhattan"};
    const sqz_input pair = {.text = text_of("the good film"), .second = text_of("bad")};
    for (sqz_similarity_kind kind = SQZ_SIMILARITY_DEFAULT; kind <= SQZ_SIMILARITY_MANHATTAN;
         kind++)
        for (int named = 0; named < 2; named++) {
            sqzt_tiny tiny = plain;
            float a[WIDTH], b[WIDTH];
            double ab = 0, aa = 0, bb = 0, squares = 0, sum = 0;
            sqz_error error = {0};
            sqz_similarity result;
            tiny.similarity = named ? names[kind] : NULL;
            work w = open_work(&tiny, NULL);
            (void)embed(&w, "the good film", NULL, a);
            (void)embed(&w, "bad", NULL, b);
            for (int j = 0; j < WIDTH; j++) {
                const double d = (double)a[j] - (double)b[j];
                ab += (double)a[j] * (double)b[j], aa += (double)a[j] * (double)a[j];
                bb += (double)b[j] * (double)b[j], squares += d * d, sum += fabs(d);
            }
            const double expected[] = {ab / sqrt(aa * bb), ab / sqrt(aa * bb), ab, -sqrt(squares),
                                       -sum};
            const sqz_embed_text_options options = {.similarity = named ? SQZ_SIMILARITY_DEFAULT
                                                                        : kind};
            sqzt_assert_ok(sqz_compare(w.task, &pair, 1, &options, &result, &error), &error);
            assert_true(fabs((double)result.score - expected[kind]) <= 1e-6 * fabs(expected[kind]));
            assert_true(fabs((double)result.cosine - expected[0]) <= 1e-6);
            close_work(&w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_side_has_the_first_prompt_that_is_not_empty),
        cmocka_unit_test(a_prompt_is_text_before_the_text),
        cmocka_unit_test(a_prompt_left_out_leaves_the_pieces_behind_it),
        cmocka_unit_test(a_prompt_that_fills_the_text_leaves_its_end),
        cmocka_unit_test(each_side_of_a_pair_has_its_prompt),
        cmocka_unit_test(a_score_is_the_similarity_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
