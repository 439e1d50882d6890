/* SPDX-License-Identifier: Apache-2.0 */
/* A model of embeddings with prompts is compressed as it is asked: scores and what is learned are
 * of texts behind the prompts of a search, or behind the default one, and pooling leaves the
 * prompt's pieces out in teacher and student alike where the model says so. */
#include <squeezebert/compress.h>
#include <stdio.h>

#include "compress/compressor.h"
#include "squeeze/dense_algebra.h"
#include "support/bytes_source.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { ROWS = 150, ROW_BYTES = 64, LENGTH = 40, TEXTS = 120, TEXT_BYTES = 20, LOSS = 2 };

static char counting[400], excluding[400]; /* models whose pooling reads a prompt, or does not */

static sqz_context *open_context(void)
{
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    return context;
}

static sqz_model *open_model(sqz_context *context, const char *path)
{
    sqz_error error = {0};
    sqz_model *model = NULL;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static size_t put_words(char *to, sqzt_random *random, uint32_t n)
{
    for (uint32_t j = 0; j < n; j++)
        to[j] = j % 5 == 4 ? ' ' : (char)('a' + sqzt_below(random, 26));
    return n;
}

/* Pairs of texts that belong together. */
static sqz_dataset *open_pairs(const sqz_context *context, uint64_t seed)
{
    static char table[ROWS * ROW_BYTES];
    sqz_error error = {0};
    sqz_dataset *rows = NULL;
    sqzt_random random = sqzt_random_of(seed);
    size_t used = (size_t)snprintf(table, sizeof table, "text,text2\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        used += put_words(table + used, &random, 19);
        table[used++] = ',';
        used += put_words(table + used, &random, 19);
        table[used++] = '\n';
    }
    sqzt_bytes bytes = {table, used, 0};
    const sqz_rows_source from = {.name = "pairs", .read = sqzt_read_bytes, .user = &bytes};
    const sqz_dataset_options o = {.format = SQZ_DATA_CSV,
                                   .kind = SQZ_LABELS_NONE,
                                   .text2 = "text2"};
    sqzt_assert_ok(sqz_dataset_open_source(context, &from, &o, &rows, &error), &error);
    return rows;
}

static sqz_measures measure(const sqz_model *model, const sqz_dataset *rows, bool prompts)
{
    sqz_error error = {0};
    sqz_predictions *answers = NULL;
    sqz_measures measures;
    sqz_predict_options o = {.prompt = "", .second_prompt = ""};
    if (prompts) {
        o.prompt = sqz_model_role_prompt(model, SQZ_ROLE_QUERY);
        o.second_prompt = sqz_model_role_prompt(model, SQZ_ROLE_PASSAGE);
    }
    sqzt_assert_ok(sqz_predict(model, rows, &o, &answers, &error), &error);
    sqzt_assert_ok(sqz_measure(answers, NULL, &measures, &error), &error);
    sqz_predictions_close(answers);
    return measures;
}

static void check_figures(const sqz_compress_score *score, const sqz_model *model,
                          const sqz_dataset *rows)
{
    const sqz_measures with = measure(model, rows, true), without = measure(model, rows, false);
    for (uint32_t f = 0; f < score->n_figures; f++)
        assert_true(score->figures[f].metric.value == with.figures[f].metric.value);
    assert_true(with.figures[LOSS].metric.value != without.figures[LOSS].metric.value);
}

static void pairs_are_judged_behind_the_prompts_of_a_search(void **state)
{
    (void)state;
    if (!sqzi_dense_algebra_built()) skip();
    char out[400], folder[400];
    sqz_error error = {0};
    sqz_compress_result r;
    sqz_context *context = open_context();
    sqz_dataset *rows = open_pairs(context, 5), *report = open_pairs(context, 6);
    sqz_model *model = open_model(context, counting);
    snprintf(out, sizeof out, "%s", sqzt_temporary("out.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("work"));
    const sqz_compress_options o = {
        .levers = {.bits = 8}, .dataset = rows, .report = report, .minutes = -1, .folder = folder};
    sqzt_assert_ok(sqz_compress(context, counting, out, &o, &r, &error), &error);
    assert_string_equal(r.name, "mrr");
    check_figures(&r.base, model, report);
    sqz_model_close(model);
    model = open_model(context, out);
    check_figures(&r.after, model, report);
    sqz_model_close(model);
    sqz_dataset_close(report);
    sqz_dataset_close(rows);
    sqz_context_close(context);
}

static void check_same(sqz_example_pieces a, sqz_example_pieces b)
{
    assert_int_equal(a.n, b.n);
    assert_int_equal(a.skip, b.skip);
    assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
}

/* The data of a compression of this model. */
static void open_data(sqzi_compressor *c, sqz_compress_result *r, const char *path,
                      sqz_dataset *rows, const sqz_text *texts, size_t n)
{
    sqz_error error = {0};
    sqz_context *context = open_context();
    *r = (sqz_compress_result){0};
    *c = (sqzi_compressor){
        .context = context,
        .allocator = &context->allocator,
        .path = path,
        .options = {.levers = {.texts = texts, .n_texts = n}, .dataset = rows, .holdout = 0.1},
        .result = r,
        .base = open_model(context, path),
        .max_length = LENGTH};
    sqzt_assert_ok(sqzi_compress_open_data(c, &error), &error);
}

static void close_data(sqzi_compressor *c)
{
    sqzi_compress_close_data(c);
    sqz_model_close(c->base);
    sqz_context_close(c->context);
}

static void both_sides_are_learned_behind_their_prompts(void **state)
{
    (void)state;
    const char *const paths[] = {counting, excluding};
    sqz_context *context = open_context();
    for (int p = 0; p < 2; p++) {
        sqz_error error = {0};
        sqzi_compressor c;
        sqz_compress_result r;
        size_t n, n_read;
        sqz_dataset *rows = open_pairs(context, 5);
        open_data(&c, &r, paths[p], rows, NULL, 0);
        const char *query = sqz_model_role_prompt(c.base, SQZ_ROLE_QUERY),
                   *passage = sqz_model_role_prompt(c.base, SQZ_ROLE_PASSAGE);
        sqzt_assert_ok(sqz_dataset_tokenize_texts(c.data.learn, c.base, query, passage, LENGTH,
                                                  &error),
                       &error);
        (void)sqz_dataset_examples(c.data.learn, &n);
        (void)sqz_dataset_examples(c.data.sentences, &n_read);
        assert_int_equal(n_read, 2 * n);
        for (size_t i = 0; i < n_read; i++)
            check_same(sqz_dataset_pieces(c.data.sentences, i),
                       sqz_dataset_pieces(c.data.learn, i < n ? 2 * i : 2 * (i - n) + 1));
        assert_int_equal(sqz_dataset_pieces(c.data.sentences, 0).skip > 0, p == 1);
        close_data(&c);
        sqz_dataset_close(rows);
    }
    sqz_context_close(context);
}

/* Texts alone, and the default prompt; what the first step of learning finds to learn. */
static int first_loss(void *user, const sqz_train_progress *p)
{
    *(double *)user = p->loss;
    return 1;
}

static sqz_text *make_texts(void)
{
    static char bytes[2 * TEXTS][TEXT_BYTES];
    static sqz_text texts[2 * TEXTS];
    sqzt_random random = sqzt_random_of(31);
    for (uint32_t i = 0; i < 2 * TEXTS; i++)
        texts[i] = (sqz_text){bytes[i], put_words(bytes[i], &random, TEXT_BYTES - 1)};
    return texts;
}

static void texts_are_learned_behind_the_default_prompt_as_the_teacher_pools_them(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_compressor c;
    sqz_compress_result r;
    sqz_batches *batches = NULL;
    sqz_trainer *trainer = NULL;
    sqz_train_result trained;
    double loss = -1;
    open_data(&c, &r, excluding, NULL, make_texts(), 2 * TEXTS);
    const sqz_example_pieces first = sqz_dataset_pieces(c.data.sentences, 0);
    assert_true(first.skip > 1 && first.n > first.skip);
    const sqz_distil_recipe distil = {.teacher = excluding, .weights = {[SQZ_DISTIL_POOLED] = 1}};
    const sqz_train_recipe recipe = {
        .keep_head = 1, .epochs = 1, .lr = 1e-6, .dropout = -1, .distil = &distil};
    const sqz_train_run run = {.progress = first_loss, .user = &loss};
    const sqz_batches_options o = {.batch = 32};
    sqzt_assert_ok(sqz_batches_open(c.data.sentences, &o, &batches, &error), &error);
    sqzt_assert_ok(sqz_trainer_open(c.context, excluding, &recipe, sqz_batches_data(batches),
                                    &trainer, &error),
                   &error);
    assert_int_equal(sqz_trainer_run(trainer, &run, &trained, &error), SQZ_ECANCELLED);
    assert_true(loss >= 0 && loss < 1e-5); /* the teacher itself: nothing */
    sqz_trainer_close(trainer);
    sqz_batches_close(batches);
    close_data(&c);
}

int main(void)
{
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    static const char *const prompts[] = {"query", "ask of x ", "passage",
                                          "z ",    "text",      "say u v "};
    tiny.head = NULL;
    memcpy(tiny.prompts, prompts, sizeof prompts);
    tiny.default_prompt = "text";
    snprintf(counting, sizeof counting, "%s", sqzt_temporary("counting.gguf"));
    sqzt_tiny_write(&tiny, counting);
    tiny.exclude_prompt = true;
    snprintf(excluding, sizeof excluding, "%s", sqzt_temporary("excluding.gguf"));
    sqzt_tiny_write(&tiny, excluding);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_judged_behind_the_prompts_of_a_search),
        cmocka_unit_test(both_sides_are_learned_behind_their_prompts),
        cmocka_unit_test(texts_are_learned_behind_the_default_prompt_as_the_teacher_pools_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
