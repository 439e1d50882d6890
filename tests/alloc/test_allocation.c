/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, models, tokenizers, sessions, tasks, search and evaluation while memory fails. */
#include <stdio.h>

#include "support/allocation_sweep.h"
#include "support/test.h"
#include "support/tiny_model.h"
#include "text/tokenizer_spec.h"

static sqz_status open_context(const sqzt_subject *s, sqz_error *error)
{
    sqz_context *context = NULL;
    const sqz_status status = sqz_context_open(
        &(sqz_context_options){.allocator = &s->allocator, .n_threads = 3}, &context, error);
    if (status == SQZ_OK) sqz_context_close(context);
    return status;
}

static void a_context_opens_or_leaves_nothing(void **state)
{
    (void)state;
    sqzt_swept = (sqzt_memory){0};
    const sqzt_subject s = {.allocator = sqzt_allocator(&sqzt_swept)};
    assert_true(sqzt_sweep("context", open_context, &s) >= 2);
}

static sqz_status open_model(const sqzt_subject *s, sqz_error *error)
{
    sqz_model *model = NULL;
    const sqz_status status = sqz_model_open(s->context, s->path, &model, error);
    sqz_model_close(model);
    return status;
}

static sqz_status check_file(const sqzt_subject *s, sqz_error *error)
{
    sqz_file_check check;
    return sqz_model_check(s->context, s->path, &check, error);
}

static void checking_a_file_leaves_nothing(void **state)
{
    (void)state;
    sqzt_subject s = sqzt_sweep_begin();
    s.path = sqzt_temporary("form.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, s.path);
    assert_true(sqzt_sweep("checksums", check_file, &s) >= 5);
    sqzt_sweep_end(&s);
}

static void models_of_every_form_open_or_leave_nothing(void **state)
{
    (void)state;
    sqzt_subject s = sqzt_sweep_begin();
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++) {
        s.path = sqzt_temporary("form.gguf");
        sqzt_tiny_write(&f->tiny, s.path);
        assert_true(sqzt_sweep(f->name, open_model, &s) > 10);
    }
    sqzt_sweep_end(&s);
}

/* Added tokens of both kinds, so that their lists and the normalised text are needed. */
static sqz_status tokenize(const sqzt_subject *s, sqz_error *error)
{
    static const char *const words[] = {"[UNK]", "[CLS]", "[SEP]", "a",
                                        "good",  "film",  "##s",   "\xcc\x81"};
    enum { N = sizeof words / sizeof *words };
    static const char text[] =
        "A good \xc3\xa9 films [X] \xe0\xbd\xb1\xe0\xbd\xb2 \xcc\x81\xcc\xa3 <Y> a good film a "
        "good film a good film a good film a good film a good film a good film a good film";
    sqzi_span pieces[N];
    for (int i = 0; i < N; i++) pieces[i] = sqzi_span_of(words[i]);
    const sqzi_added_token added[] = {{0, {"[X]", 3}, SQZI_ADDED_SPECIAL},
                                      {3, {"<Y>", 3}, SQZI_ADDED_NORMALIZED}};
    const sqzi_template_item single[] = {{1, 255, 0}, {0, 0, 0}, {2, 255, 0}},
                             pair[] = {{1, 255, 0}, {0, 0, 0}, {2, 255, 0}, {0, 1, 1}, {2, 255, 1}};
    const sqzi_tokenizer_spec spec = {.pieces = pieces,
                                      .n_pieces = N,
                                      .clean_text = true,
                                      .handle_chinese_chars = true,
                                      .strip_accents = true,
                                      .lowercase = true,
                                      .prefix = sqzi_span_of("##"),
                                      .max_word_chars = 100,
                                      .special = {0, 1, 2, 0, 0},
                                      .added = added,
                                      .n_added = 2,
                                      .single = single,
                                      .n_single = 3,
                                      .pair = pair,
                                      .n_pair = 5};
    sqz_tokenizer *tokenizer = NULL;
    sqz_encoding *encoding = NULL;
    const sqz_text first = {text, sizeof text - 1}, second = {text, 20};
    sqz_status status = sqzi_tokenizer_open(&s->allocator, &spec, &tokenizer, error);
    if (status == SQZ_OK) status = sqz_encoding_open(s->context, &encoding, error);
    if (status == SQZ_OK)
        status = sqz_tokenize(tokenizer, first, &second,
                              &(sqz_tokenize_options){.max_length = 24,
                                                      .windows = 1,
                                                      .stride = 1,
                                                      .truncation = SQZ_TRUNCATE_ONLY_FIRST},
                              encoding, error);
    if (status == SQZ_OK) status = sqz_tokenize(tokenizer, second, NULL, NULL, encoding, error);
    sqz_encoding_close(encoding);
    sqzi_tokenizer_close(tokenizer);
    return status;
}

static void tokenizing_leaves_nothing(void **state)
{
    (void)state;
    const sqzt_subject s = sqzt_sweep_begin();
    assert_true(sqzt_sweep("tokenizer", tokenize, &s) > 15);
    sqzt_sweep_end(&s);
}

static sqz_status open_session(const sqzt_subject *s, sqz_error *error)
{
    sqz_session *session = NULL;
    sqz_verification verification;
    const uint32_t first[] = {0, 3}, ids[] = {2, 5, 3};
    float hidden[3 * 64];
    sqz_status status = sqz_session_open(
        s->model, &(sqz_session_options){.max_tokens = 8, .max_sequences = 2, .max_length = 8},
        &session, error);
    if (status == SQZ_OK)
        status = sqz_encode(session, &(sqz_batch){.n_sequences = 1, .first = first, .ids = ids},
                            hidden, 64, error);
    sqz_session_close(session);
    return status == SQZ_OK ? sqz_model_verify(s->model, &verification, error) : status;
}

static const sqz_input inputs[] = {
    {.text = {"the good film was bad", 21}, .second = {"a film", 6}, .pair = 1},
    {.text = {"un [MASK] ing the bad film, the good film; the bad film, the good film; the bad "
              "film, the good film; the bad film, the good film and so on",
              137}},
    {.text = {"[MASK]", 6},
     .second = {"the bad film, the good film; the bad film, the good film; the bad film, the good "
                "film; the bad film, the good film and so on",
                121},
     .pair = 1},
    {.text = {"", 0}},
};
enum { N_INPUTS = sizeof inputs / sizeof *inputs };

static sqz_status run_classify(const sqzt_subject *s, sqz_error *error)
{
    sqz_classification results[N_INPUTS];
    return sqz_classify(s->task, inputs, N_INPUTS, 0.5f, results, error);
}

static sqz_status run_embed(const sqzt_subject *s, sqz_error *error)
{
    sqz_embedding results[N_INPUTS];
    const sqz_status status = sqz_embed_texts(
        s->task, inputs, N_INPUTS,
        &(sqz_embed_text_options){.embed = {.normalize = SQZ_NORMALIZE_YES}, .prompt = "the "},
        results, error);
    return status == SQZ_OK ? sqz_embed_texts(s->task, inputs, N_INPUTS,
                                              &(sqz_embed_text_options){
                                                  .embed = {.pooling = SQZ_POOLING_NONE,
                                                            .normalize = SQZ_NORMALIZE_NO}},
                                              results, error)
                            : status;
}

static sqz_status run_compare(const sqzt_subject *s, sqz_error *error)
{
    sqz_similarity results[N_INPUTS];
    return sqz_compare(s->task, inputs, N_INPUTS, NULL, results, error);
}

static sqz_status run_entities(const sqzt_subject *s, sqz_error *error)
{
    sqz_entities results[N_INPUTS];
    const sqz_status status = sqz_find_entities(s->task, inputs, N_INPUTS, SQZ_AGGREGATE_NONE,
                                                results, error);
    return status == SQZ_OK
               ? sqz_find_entities(s->task, inputs, N_INPUTS, SQZ_AGGREGATE_AVERAGE, results, error)
               : status;
}

static sqz_status run_answers(const sqzt_subject *s, sqz_error *error)
{
    sqz_answers results[N_INPUTS];
    return sqz_answer_questions(s->task, inputs, N_INPUTS,
                                &(sqz_answer_options){.n_best = 5, .no_answer = 1}, results, error);
}

static sqz_status run_fill(const sqzt_subject *s, sqz_error *error)
{
    sqz_filled results[N_INPUTS];
    return sqz_fill_masks(s->task, inputs, N_INPUTS, &(sqz_fill_options){.top_k = 3}, results,
                          error);
}

static sqz_status run_zero_shot(const sqzt_subject *s, sqz_error *error)
{
    sqz_zero_shot_result results[N_INPUTS];
    const sqz_text labels[] = {{"good", 4}, {"bad", 3}};
    return sqz_zero_shot(s->task, inputs, N_INPUTS,
                         &(sqz_zero_shot_options){.labels = labels, .n_labels = 2}, results, error);
}

typedef struct kind {
    const char *name, *form;
    sqzt_scenario *run;
    sqz_long_text long_text;
} kind;

static const kind kinds[] = {
    {"classify", "dense", run_classify, SQZ_LONG_STRIDE},
    {"classify, cut", "low rank", run_classify, SQZ_LONG_CUT},
    {"classify, too long", "dense", run_classify, SQZ_LONG_ERROR},
    {"embed", "projected embedding", run_embed, SQZ_LONG_STRIDE},
    {"compare", "attention narrower than the width", run_compare, SQZ_LONG_CUT},
    {"entities", "groups of squeezebert", run_entities, SQZ_LONG_STRIDE},
    {"answers", "odd groups", run_answers, SQZ_LONG_STRIDE},
    {"fill", "sum of groups and low rank, permuted, factorised", run_fill, SQZ_LONG_CUT},
    {"zero shot", "entailment", run_zero_shot, SQZ_LONG_CUT},
};

static const sqzt_tiny *form(const char *name)
{
    static const char *const labels[] = {"contradiction", "neutral", "entailment"};
    static const sqzt_tiny entailment = {.width = 24,
                                         .blocks = 1,
                                         .heads = 3,
                                         .head_width = 8,
                                         .ffn_width = 40,
                                         .embedding_width = 24,
                                         .positions = 40,
                                         .token_types = 2,
                                         .head = "sequence",
                                         .classes = 3,
                                         .labels = labels,
                                         .seed = 9};
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return &f->tiny;
    return &entailment;
}

static const kind *running;

/* A task of its own: opened, run, closed. */
static sqz_status run_fresh(const sqzt_subject *given, sqz_error *error)
{
    sqzt_subject s = *given;
    sqz_status status = sqz_task_open(
        s.model,
        &(sqz_task_options){.max_length = 32, .batch_tokens = 40, .long_text = running->long_text},
        &s.task, error);
    if (status == SQZ_OK) status = running->run(&s, error);
    sqz_task_close(s.task);
    return status;
}

/* The first run of a task grows what later ones use: a task that failed at any point of it must run
 * when there is memory again. */
static void check_recovery(const sqzt_subject *given, const kind *k, uint64_t n_allocations)
{
    sqzt_subject s = *given;
    for (uint64_t n = 1; n <= n_allocations; n++) {
        sqz_error error = {0};
        sqzt_assert_ok(sqz_task_open(s.model,
                                     &(sqz_task_options){.max_length = 32,
                                                         .batch_tokens = 40,
                                                         .long_text = k->long_text},
                                     &s.task, &error),
                       &error);
        sqzt_swept.fail_at = sqzt_swept.calls + n;
        const sqz_status status = k->run(&s, &error);
        sqzt_swept.fail_at = 0;
        if (status != SQZ_OK && status != SQZ_ENOMEM) fail_msg("%s: %s", k->name, error.text);
        sqzt_assert_ok(k->run(&s, &error), &error);
        sqz_task_close(s.task);
    }
}

static void every_task_says_so_and_can_go_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        sqz_error error = {0};
        sqzt_subject s = sqzt_sweep_begin();
        sqz_model *model;
        running = &kinds[i];
        const char *path = sqzt_temporary("task.gguf");
        sqzt_tiny_write(form(kinds[i].form), path);
        sqzt_assert_ok(sqz_model_open(s.context, path, &model, &error), &error);
        s.model = model;
        const uint64_t n = sqzt_sweep(kinds[i].name, run_fresh, &s);
        assert_true(n > 5);
        check_recovery(&s, running, n);
        (void)sqzt_sweep("session", open_session, &s);
        sqz_model_close(model);
        sqzt_sweep_end(&s);
    }
}

static sqz_status index_vectors(const sqzt_subject *s, sqz_error *error)
{
    sqz_index *index = NULL;
    static const float vectors[300][4] = {{1, 2, 3, 4}};
    sqz_status status = sqz_index_open(s->context, 4, SQZ_SIMILARITY_COSINE, &index, error);
    for (int i = 0; i < 3 && status == SQZ_OK; i++)
        status = sqz_index_add(index, vectors[0], 100, error);
    sqz_index_close(index);
    return status;
}

static sqz_status evaluate(const sqzt_subject *s, sqz_error *error)
{
    sqz_eval_report report;
    return sqz_evaluate(s->model, SQZ_GLUE_STSB, s->path, &(sqz_eval_options){.cosine = 1}, &report,
                        error);
}

static void put_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void index_and_evaluation_leave_nothing(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *model;
    sqzt_subject s = sqzt_sweep_begin();
    assert_true(sqzt_sweep("index", index_vectors, &s) > 2);
    const char *path = sqzt_temporary("eval.gguf");
    sqzt_tiny_write(form("dense"), path);
    sqzt_assert_ok(sqz_model_open(s.context, path, &model, &error), &error);
    put_text(sqzt_temporary("dev.tsv"),
             "sentence1\tsentence2\tlabel\nthe film\ta film\t1\ngood\tbad\t2.5\nun\tthe bad\t3\n");
    char folder[256];
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("."));
    s.path = folder;
    s.model = model;
    assert_true(sqzt_sweep("evaluation", evaluate, &s) > 10);
    sqz_model_close(model);
    sqzt_sweep_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_opens_or_leaves_nothing),
        cmocka_unit_test(checking_a_file_leaves_nothing),
        cmocka_unit_test(models_of_every_form_open_or_leave_nothing),
        cmocka_unit_test(tokenizing_leaves_nothing),
        cmocka_unit_test(every_task_says_so_and_can_go_on),
        cmocka_unit_test(index_and_evaluation_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
