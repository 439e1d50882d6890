/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments that are NULL and must not be: every public function that returns a status says
 * SQZ_EINVAL, with a text, and every close function takes NULL; as it does to fields of structs
 * that are newer than the library (status.h "Structs grow"). */
#include <squeezebert/dataset.h>
#include <squeezebert/eval.h>
#include <squeezebert/export.h>
#include <squeezebert/glue.h>
#include <squeezebert/import.h>
#include <squeezebert/squeeze.h>
#include <squeezebert/squeezebert.h>
#include <squeezebert/student.h>
#include <squeezebert/train.h>
#include <squeezebert/vectors.h>

#include "base/memory.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context;
static sqz_model *model;
static sqz_session *session;
static sqz_task *task;
static sqz_error error;

static int open_all(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("arguments.gguf");
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, path); /* a sequence head */
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = 8, .max_sequences = 2},
                                    &session, &error),
                   &error);
    sqzt_assert_ok(sqz_task_open(model, NULL, &task, &error), &error);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    sqz_task_close(task);
    sqz_session_close(session);
    sqz_model_close(model);
    sqz_context_close(context);
    return 0;
}

static void refused(sqz_status status, const char *call)
{
    if (status != SQZ_EINVAL || error.code != SQZ_EINVAL || !error.text[0])
        fail_msg("%s: status %d, code %d, '%s'", call, (int)status, (int)error.code, error.text);
}

#define REFUSED(call) (error = (sqz_error){0}, refused((call), #call))

static void opening_refuses_null(void **state)
{
    (void)state;
    sqz_model *m = NULL;
    sqz_session *s = NULL;
    sqz_task *t = NULL;
    sqz_encoding *e = NULL;
    sqz_index *i = NULL;
    sqz_glue *g = NULL;
    const sqz_session_options options = {.max_tokens = 8, .max_sequences = 2};
    REFUSED(sqz_context_open(NULL, NULL, &error));
    REFUSED(sqz_model_open(NULL, "x", &m, &error));
    REFUSED(sqz_model_open(context, NULL, &m, &error));
    REFUSED(sqz_model_open(context, "x", NULL, &error));
    assert_true(sqz_session_plan(NULL, &options) == 0 && sqz_session_plan(model, NULL) == 0 &&
                sqz_session_plan(model, &options) > 0);
    REFUSED(sqz_session_open(NULL, &options, &s, &error));
    REFUSED(sqz_session_open(model, NULL, &s, &error));
    REFUSED(sqz_session_open(model, &options, NULL, &error));
    REFUSED(sqz_task_open(NULL, NULL, &t, &error));
    REFUSED(sqz_task_open(model, NULL, NULL, &error));
    REFUSED(sqz_encoding_open(NULL, &e, &error));
    REFUSED(sqz_encoding_open(context, NULL, &error));
    REFUSED(sqz_index_open(NULL, 3, SQZ_SIMILARITY_COSINE, &i, &error));
    REFUSED(sqz_index_open(context, 3, SQZ_SIMILARITY_COSINE, NULL, &error));
    REFUSED(sqz_glue_open(NULL, SQZ_GLUE_RTE, "x", "dev", NULL, &g, &error));
    REFUSED(sqz_glue_open(context, SQZ_GLUE_RTE, NULL, "dev", NULL, &g, &error));
    REFUSED(sqz_glue_open(context, SQZ_GLUE_RTE, "x", NULL, NULL, &g, &error));
    REFUSED(sqz_glue_open(context, SQZ_GLUE_RTE, "x", "dev", NULL, NULL, &error));
    sqz_rows *r = NULL;
    REFUSED(sqz_rows_open(NULL, NULL, &r, &error));
    REFUSED(sqz_rows_open(&(sqz_rows_source){.name = "x"}, NULL, &r, &error));
    REFUSED(sqz_rows_open_file(NULL, NULL, &r, &error));
    REFUSED(sqz_rows_open_file("x", NULL, NULL, &error));
    REFUSED(sqz_rows_next(NULL, NULL, NULL, &error));
    assert_true(!m && !s && !t && !e && !i && !g && !r);
}

static void running_refuses_null(void **state)
{
    (void)state;
    static const uint32_t first[] = {0, 2}, ids[] = {1, 2};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids},
                    no_first = {.n_sequences = 1, .ids = ids},
                    no_ids = {.n_sequences = 1, .first = first};
    const sqz_embed_options options = {0};
    float out[8 * 24];
    sqz_verification verification;
    REFUSED(sqz_encode(NULL, &batch, out, 24, &error));
    REFUSED(sqz_encode(session, NULL, out, 24, &error));
    REFUSED(sqz_encode(session, &no_first, out, 24, &error));
    REFUSED(sqz_encode(session, &no_ids, out, 24, &error));
    REFUSED(sqz_encode(session, &batch, NULL, 24, &error));
    REFUSED(sqz_logits(NULL, &batch, NULL, 0, out, 24, &error));
    REFUSED(sqz_logits(session, NULL, NULL, 0, out, 24, &error));
    REFUSED(sqz_logits(session, &batch, NULL, 0, NULL, 24, &error));
    REFUSED(sqz_embed(NULL, &batch, &options, out, 24, &error));
    REFUSED(sqz_embed(session, NULL, &options, out, 24, &error));
    REFUSED(sqz_embed(session, &batch, &options, NULL, 24, &error));
    REFUSED(sqz_model_verify(NULL, &verification, &error));
    REFUSED(sqz_model_verify(model, NULL, &error));
    sqzt_assert_ok(sqz_encode(session, &batch, out, 24, &error), &error);
    sqzt_assert_ok(sqz_embed(session, &batch, NULL, out, 24, &error), &error);
}

static void texts_refuse_null(void **state)
{
    (void)state;
    const sqz_input input = {.text = {"a", 1}};
    const sqz_text text = {"a", 1};
    const sqz_zero_shot_options no_labels = {.n_labels = 1},
                                labels = {.labels = &text, .n_labels = 1};
    sqz_classification classified;
    sqz_embedding embedded;
    sqz_similarity similar;
    sqz_entities entities;
    sqz_answers answers;
    sqz_filled filled;
    sqz_zero_shot_result zero_shot;
    sqz_encoding *encoding = NULL;
    sqzt_assert_ok(sqz_encoding_open(context, &encoding, &error), &error);
    REFUSED(sqz_tokenize(NULL, text, NULL, NULL, encoding, &error));
    REFUSED(sqz_tokenize(sqz_model_tokenizer(model), text, NULL, NULL, NULL, &error));
    sqz_encoding_close(encoding);
#define EACH(function, ...)                                                                        \
    REFUSED(function(NULL, &input, 1, __VA_ARGS__, &error));                                       \
    REFUSED(function(task, NULL, 1, __VA_ARGS__, &error));
    EACH(sqz_classify, 0, &classified)
    EACH(sqz_embed_texts, NULL, &embedded)
    EACH(sqz_compare, NULL, &similar)
    EACH(sqz_find_entities, SQZ_AGGREGATE_NONE, &entities)
    EACH(sqz_answer_questions, NULL, &answers)
    EACH(sqz_fill_masks, NULL, &filled)
    EACH(sqz_zero_shot, &labels, &zero_shot)
#undef EACH
    REFUSED(sqz_classify(task, &input, 1, 0, NULL, &error));
    REFUSED(sqz_embed_texts(task, &input, 1, NULL, NULL, &error));
    REFUSED(sqz_compare(task, &input, 1, NULL, NULL, &error));
    REFUSED(sqz_find_entities(task, &input, 1, SQZ_AGGREGATE_NONE, NULL, &error));
    REFUSED(sqz_answer_questions(task, &input, 1, NULL, NULL, &error));
    REFUSED(sqz_fill_masks(task, &input, 1, NULL, NULL, &error));
    REFUSED(sqz_zero_shot(task, &input, 1, &labels, NULL, &error));
    REFUSED(sqz_zero_shot(task, &input, 1, NULL, &zero_shot, &error));
    REFUSED(sqz_zero_shot(task, &input, 1, &no_labels, &zero_shot, &error));
}

static void the_rest_refuses_null(void **state)
{
    (void)state;
    const double x[] = {1, 2};
    const float vector[] = {1, 2, 3};
    sqz_metric metric;
    sqz_eval_report report;
    sqz_verification verification;
    sqz_index *index = NULL;
    sqzt_assert_ok(sqz_index_open(context, 3, SQZ_SIMILARITY_COSINE, &index, &error), &error);
    REFUSED(sqz_index_add(NULL, vector, 1, &error));
    REFUSED(sqz_index_add(index, NULL, 1, &error));
    sqz_index_close(index);
    REFUSED(sqz_spearman(NULL, x, x, 2, &metric, &error));
    REFUSED(sqz_spearman(context, NULL, x, 2, &metric, &error));
    REFUSED(sqz_spearman(context, x, NULL, 2, &metric, &error));
    REFUSED(sqz_spearman(context, x, x, 2, NULL, &error));
    REFUSED(sqz_evaluate(NULL, SQZ_GLUE_RTE, "x", NULL, &report, &error));
    REFUSED(sqz_evaluate(model, SQZ_GLUE_RTE, NULL, NULL, &report, &error));
    REFUSED(sqz_evaluate(model, SQZ_GLUE_RTE, "x", NULL, NULL, &error));
    const sqz_glue_part *part = sqz_glue_part_at(0);
    sqz_glue_result result;
    REFUSED(sqz_glue_fits(NULL, SQZ_GLUE_RTE, NULL, &error));
    REFUSED(sqz_glue_measure(NULL, part, "x", NULL, NULL, &result, &error));
    REFUSED(sqz_glue_measure(model, NULL, "x", NULL, NULL, &result, &error));
    REFUSED(sqz_glue_measure(model, part, NULL, NULL, NULL, &result, &error));
    REFUSED(sqz_glue_measure(model, part, "x", NULL, NULL, NULL, &error));
    REFUSED(sqz_glue_measure(model, part, "x", &(sqz_eval_options){.unlabelled = 1}, NULL, &result,
                             &error));
    REFUSED(sqz_import(NULL, "x", "y", NULL, &error));
    REFUSED(sqz_import(context, NULL, "y", NULL, &error));
    REFUSED(sqz_import(context, "x", NULL, NULL, &error));
    REFUSED(sqz_export(NULL, "x", NULL, &error));
    REFUSED(sqz_export(model, NULL, NULL, &error));
    REFUSED(sqz_quantize(NULL, "x", NULL, NULL, &error));
    REFUSED(sqz_quantize(context, NULL, NULL, NULL, &error));
    REFUSED(sqz_vectors_compare(NULL, "x", NULL, &verification, &error));
    REFUSED(sqz_vectors_compare(model, NULL, NULL, &verification, &error));
    REFUSED(sqz_vectors_compare(model, "x", NULL, NULL, &error));
}

/* The text names the struct and the place, so that a caller finds what is not zeroed. */
static void refused_for(sqz_status status, const char *name, size_t i)
{
    char wanted[96];
    snprintf(wanted, sizeof wanted, "%s.reserved[%zu] is not 0", name, i);
    if (status != SQZ_EINVAL || error.code != SQZ_EINVAL || error.offset != i ||
        !strstr(error.text, wanted) || !strstr(error.text, sqz_version_text()))
        fail_msg("status %d, code %d, '%s', without '%s'", (int)status, (int)error.code, error.text,
                 wanted);
}

/* Each reserved number of `given` set in turn, and `call` made with it. */
#define RESERVED(type, given, call)                                                                \
    for (size_t i_ = 0; i_ < sizeof given.reserved / sizeof *given.reserved; i_++) {               \
        given.reserved[i_] = UINT64_C(1) << (63 - i_);                                             \
        error = (sqz_error){0};                                                                    \
        refused_for((call), #type, i_);                                                            \
        given.reserved[i_] = 0;                                                                    \
    }

static void fields_of_a_newer_header_are_refused_by_context_and_session(void **state)
{
    (void)state;
    sqz_context *c = NULL;
    sqz_session *s = NULL;
    sqz_output *output = NULL;
    sqz_context_options options = {.n_threads = 1};
    sqz_allocator allocator = sqzi_default_allocator;
    RESERVED(sqz_context_options, options, sqz_context_open(&options, &c, &error))
    options.allocator = &allocator;
    RESERVED(sqz_allocator, allocator, sqz_context_open(&options, &c, &error))
    RESERVED(sqz_allocator, allocator,
             sqz_output_open(&allocator, sqzt_temporary("arguments.out"), SQZ_OUTPUT_FILE, &output,
                             &error))
    sqz_session_options room = {.max_tokens = 8, .max_sequences = 2};
    RESERVED(sqz_session_options, room, sqz_session_open(model, &room, &s, &error))
    room.reserved[3] = 1;
    assert_int_equal(sqz_session_plan(model, &room), 0);
    static const uint32_t first[] = {0, 2}, ids[] = {1, 2};
    sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids};
    sqz_embed_options embed = {0};
    float out[8 * 24];
    RESERVED(sqz_batch, batch, sqz_encode(session, &batch, out, 24, &error))
    RESERVED(sqz_batch, batch, sqz_logits(session, &batch, NULL, 0, out, 24, &error))
    RESERVED(sqz_batch, batch, sqz_embed(session, &batch, NULL, out, 24, &error))
    RESERVED(sqz_embed_options, embed, sqz_embed(session, &batch, &embed, out, 24, &error))
    assert_true(!c && !s && !output);
}

static void fields_of_a_newer_header_are_refused_by_tasks(void **state)
{
    (void)state;
    sqz_task *t = NULL;
    sqz_encoding *encoding = NULL;
    const sqz_text text = {"a", 1};
    sqz_task_options options = {0};
    sqz_tokenize_options tokenize = {0};
    sqz_input inputs[2] = {{.text = text}, {.text = text}};
    sqz_embed_text_options embed = {0};
    sqz_answer_options answer = {0};
    sqz_fill_options fill = {0};
    sqz_zero_shot_options zero_shot = {.labels = &text, .n_labels = 1};
    sqz_classification classified[2];
    sqz_embedding embedded;
    sqz_similarity similar;
    sqz_answers answers;
    sqz_filled filled;
    sqz_zero_shot_result result;
    RESERVED(sqz_task_options, options, sqz_task_open(model, &options, &t, &error))
    sqzt_assert_ok(sqz_encoding_open(context, &encoding, &error), &error);
    RESERVED(sqz_tokenize_options, tokenize,
             sqz_tokenize(sqz_model_tokenizer(model), text, NULL, &tokenize, encoding, &error))
    sqz_encoding_close(encoding);
    RESERVED(sqz_input, inputs[1], sqz_classify(task, inputs, 2, 0, classified, &error))
    RESERVED(sqz_embed_text_options, embed,
             sqz_embed_texts(task, inputs, 1, &embed, &embedded, &error))
    RESERVED(sqz_embed_options, embed.embed,
             sqz_embed_texts(task, inputs, 1, &embed, &embedded, &error))
    RESERVED(sqz_embed_text_options, embed, sqz_compare(task, inputs, 1, &embed, &similar, &error))
    RESERVED(sqz_answer_options, answer,
             sqz_answer_questions(task, inputs, 1, &answer, &answers, &error))
    RESERVED(sqz_fill_options, fill, sqz_fill_masks(task, inputs, 1, &fill, &filled, &error))
    RESERVED(sqz_zero_shot_options, zero_shot,
             sqz_zero_shot(task, inputs, 1, &zero_shot, &result, &error))
    assert_null(t);
}

static ptrdiff_t read_nothing(void *user, void *bytes, size_t n)
{
    (void)user, (void)bytes, (void)n;
    return 0;
}

static void fields_of_a_newer_header_are_refused_by_the_rest(void **state)
{
    (void)state;
    sqz_rows *r = NULL;
    sqz_glue *g = NULL;
    sqz_rows_source source = {.name = "x", .read = read_nothing};
    sqz_rows_options rows = {0};
    sqz_glue_options glue = {0};
    sqz_eval_options eval = {0};
    sqz_import_options import = {0};
    sqz_export_options export = {0};
    sqz_quantize_options quantize = {0};
    sqz_squeeze_options squeeze = {0};
    sqz_student_options student = {0};
    sqz_train_recipe recipe = {0};
    sqz_train_data data = {0};
    sqz_trainer *trainer = NULL;
    sqz_vectors_options vectors = {0};
    sqz_texts_options texts = {0};
    sqz_dataset *dataset = NULL;
    sqz_eval_report report;
    sqz_verification verification;
    RESERVED(sqz_rows_source, source, sqz_rows_open(&source, NULL, &r, &error))
    RESERVED(sqz_rows_options, rows, sqz_rows_open(&source, &rows, &r, &error))
    RESERVED(sqz_glue_options, glue,
             sqz_glue_open(context, SQZ_GLUE_RTE, "x", "dev", &glue, &g, &error))
    RESERVED(sqz_eval_options, eval, sqz_evaluate(model, SQZ_GLUE_RTE, "x", &eval, &report, &error))
    RESERVED(sqz_import_options, import, sqz_import(context, "x", "y", &import, &error))
    RESERVED(sqz_export_options, export, sqz_export(model, "x", &export, &error))
    RESERVED(sqz_quantize_options, quantize, sqz_quantize(context, "x", NULL, &quantize, &error))
    RESERVED(sqz_squeeze_options, squeeze, sqz_squeeze(context, "x", NULL, &squeeze, &error))
    RESERVED(sqz_student_options, student, sqz_init_student(context, "x", "y", &student, &error))
    RESERVED(sqz_train_recipe, recipe,
             sqz_trainer_open(context, "x", &recipe, &data, &trainer, &error))
    RESERVED(sqz_train_data, data, sqz_trainer_open(context, "x", &recipe, &data, &trainer, &error))
    RESERVED(sqz_texts_options, texts,
             sqz_dataset_open_texts(context, "x", NULL, 0, &texts, &dataset, &error))
    RESERVED(sqz_vectors_options, vectors,
             sqz_vectors_compare(model, "x", &vectors, &verification, &error))
    assert_true(!r && !g && !trainer && !dataset);
}

/* What the library fills is filled whole: a field that this version lacks reads 0. */
static void results_are_zeroed_where_nothing_stands_yet(void **state)
{
    (void)state;
    const sqz_input input = {.text = {"a", 1}};
    sqz_classification classified;
    sqz_tensor_info tensor;
    sqz_file_check check;
    memset(&classified, 0xA5, sizeof classified);
    memset(&tensor, 0xA5, sizeof tensor);
    memset(&check, 0xA5, sizeof check);
    memset(&error, 0xA5, sizeof error);
    assert_int_equal(sqz_model_open(context, "no such file", &(sqz_model *){NULL}, &error),
                     SQZ_EIO);
    assert_true(!error.reserved[0] && !error.reserved[1]);
    sqzt_assert_ok(sqz_classify(task, &input, 1, 0, &classified, &error), &error);
    assert_true(!classified.reserved[0] && !classified.outcome.reserved[1]);
    assert_true(sqz_model_tensor(model, 0, &tensor) && !tensor.reserved[0] && !tensor.reserved[1]);
    sqzt_assert_ok(sqz_model_check(context, sqzt_temporary("arguments.gguf"), &check, &error),
                   &error);
    assert_true(!check.reserved[0] && !check.reserved[3]);
}

static void the_version_is_the_headers(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", SQZ_VERSION_MAJOR, SQZ_VERSION_MINOR,
             SQZ_VERSION_PATCH);
    assert_string_equal(sqz_version_text(), text);
    assert_int_equal(sqz_version(), SQZ_VERSION);
    assert_true(SQZ_VERSION_NUMBER(1, 0, 0) > SQZ_VERSION_NUMBER(0, 999, 999) &&
                SQZ_VERSION >= SQZ_VERSION_NUMBER(0, 1, 0));
}

/* No inputs: nothing is asked for and nothing looked at. */
static void a_task_without_inputs_is_done(void **state)
{
    (void)state;
    sqzt_assert_ok(sqz_classify(task, NULL, 0, 0, NULL, &error), &error);
    sqzt_assert_ok(sqz_embed_texts(task, NULL, 0, NULL, NULL, &error), &error);
    sqzt_assert_ok(sqz_compare(task, NULL, 0, NULL, NULL, &error), &error);
}

static void closing_takes_null(void **state)
{
    (void)state;
    sqz_context_close(NULL);
    sqz_model_close(NULL);
    sqz_session_close(NULL);
    sqz_encoding_close(NULL);
    sqz_task_close(NULL);
    sqz_index_close(NULL);
    sqz_glue_close(NULL);
}

/* Every enumerator has a word of its own, and what is none has none. */
static void words_are_those_of_the_enumerators(void **state)
{
    (void)state;
    for (int i = 0; i <= SQZ_HEAD_MULTIPLE_CHOICE; i++)
        assert_non_null(sqz_head_name((sqz_head_kind)i));
    for (int i = 0; i <= SQZ_REGRESSION; i++) assert_non_null(sqz_problem_name((sqz_problem)i));
    for (int i = 0; i <= SQZ_POOLING_LAST; i++) assert_non_null(sqz_pooling_name((sqz_pooling)i));
    for (int i = 0; i <= SQZ_SIMILARITY_MANHATTAN; i++)
        assert_non_null(sqz_similarity_name((sqz_similarity_kind)i));
    assert_null(sqz_head_name((sqz_head_kind)(SQZ_HEAD_MULTIPLE_CHOICE + 1)));
    assert_null(sqz_problem_name((sqz_problem)(SQZ_REGRESSION + 1)));
    assert_null(sqz_pooling_name((sqz_pooling)(SQZ_POOLING_LAST + 1)));
    assert_null(sqz_similarity_name((sqz_similarity_kind)(SQZ_SIMILARITY_MANHATTAN + 1)));
    assert_null(sqz_pooling_name((sqz_pooling)-1));
    assert_string_equal(sqz_pooling_name(SQZ_POOLING_WEIGHTED_MEAN), "weighted_mean");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_the_enumerators),
        cmocka_unit_test(opening_refuses_null),
        cmocka_unit_test(running_refuses_null),
        cmocka_unit_test(texts_refuse_null),
        cmocka_unit_test(the_rest_refuses_null),
        cmocka_unit_test(fields_of_a_newer_header_are_refused_by_context_and_session),
        cmocka_unit_test(fields_of_a_newer_header_are_refused_by_tasks),
        cmocka_unit_test(fields_of_a_newer_header_are_refused_by_the_rest),
        cmocka_unit_test(results_are_zeroed_where_nothing_stands_yet),
        cmocka_unit_test(the_version_is_the_headers),
        cmocka_unit_test(a_task_without_inputs_is_done),
        cmocka_unit_test(closing_takes_null),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
