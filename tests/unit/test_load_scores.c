/* SPDX-License-Identifier: Apache-2.0 */
/* What a file may say of how sure its classifier is, and that other files are refused. */
#include <math.h>
#include <squeezebert/squeeze.h>

#include "io/checksum.h"
#include "rewrite/rewrite.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context;

static int open_context(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    sqz_context_close(context);
    return 0;
}

typedef void put_value(sqzi_gguf_writer *writer, const char *key, double value);

static void as_f64(sqzi_gguf_writer *writer, const char *key, double value)
{
    sqzi_gguf_put_f64(writer, key, value);
}

static void as_u32(sqzi_gguf_writer *writer, const char *key, double value)
{
    sqzi_gguf_put_u32(writer, key, (uint32_t)value);
}

static void as_text(sqzi_gguf_writer *writer, const char *key, double value)
{
    (void)value;
    sqzi_gguf_put_string(writer, key, "1.5");
}

/* A tiny model with that head, to which a key is added, opened. */
static sqz_status open_with(const char *head, const char *key, put_value *put, double value,
                            sqz_model_info *info, sqz_error *error)
{
    char base[300], path[300];
    sqz_model *model;
    sqzi_gguf_writer *writer;
    sqzi_file_writer file = {0};
    const sqzi_step step = {.history = "said", .suffix = ""};
    sqzt_tiny tiny = sqzt_tiny_forms[0].tiny;
    tiny.head = head;
    tiny.classes = head ? 3 : 0;
    snprintf(base, sizeof base, "%s", sqzt_temporary("base.gguf"));
    snprintf(path, sizeof path, "%s", sqzt_temporary("said.gguf"));
    sqzt_tiny_write(&tiny, base);
    sqzt_assert_ok(sqz_model_open(context, base, &model, error), error);
    sqzt_assert_ok(sqzi_gguf_writer_open(&sqzi_default_allocator, &writer, error), error);
    sqzt_assert_ok(sqzi_rewrite_metadata(writer, model, &step, error), error);
    put(writer, key, value);
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(model->gguf, i);
        if (strncmp(t->name.bytes, "verify.", 7) != 0)
            sqzi_gguf_put_tensor(writer, model->tensor_names[i], t->type, t->n_dims, t->shape,
                                 t->data);
    }
    sqzt_assert_ok(sqzi_file_writer_open(path, &file, error), error);
    sqzt_assert_ok(sqzi_gguf_write(writer, &file, error), error);
    sqzt_assert_ok(sqzi_file_writer_flush(&file, error), error);
    sqzt_assert_ok(sqzi_checksum_put(&sqzi_default_allocator, &file, error), error);
    sqzt_assert_ok(sqzi_file_writer_commit(&file, error), error);
    sqzi_file_writer_discard(&file);
    sqzi_gguf_writer_close(writer);
    sqz_model_close(model);
    const sqz_status status = sqz_model_open(context, path, &model, error);
    if (status != SQZ_OK) return status;
    *info = *sqz_model_get_info(model);
    sqz_model_close(model);
    return status;
}

static void refuse(const char *head, const char *key, put_value *put, double value)
{
    sqz_error error = {0};
    sqz_model_info info;
    const sqz_status status = open_with(head, key, put, value, &info, &error);
    if (status != SQZ_EFORMAT || !strstr(error.text, key))
        fail_msg("%s %g of head %s: status %d, '%s'", key, value, head ? head : "none", status,
                 error.text);
}

static void what_is_in_range_is_taken(void **state)
{
    (void)state;
    const double temperatures[] = {1e-3, 0.5, 1, 1e3}, thresholds[] = {-1e30, -2, 0, 7.5, 1e9};
    sqz_error error = {0};
    sqz_model_info info;
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        sqzt_assert_ok(open_with("sequence", "sqz.head.temperature", as_f64, temperatures[i], &info,
                                 &error),
                       &error);
        assert_true(info.temperature == temperatures[i] && isinf(info.threshold));
    }
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        sqzt_assert_ok(open_with("sequence", "sqz.head.threshold", as_f64, thresholds[i], &info,
                                 &error),
                       &error);
        assert_true(info.threshold == thresholds[i] && info.temperature == 1);
    }
}

static void what_is_out_of_range_is_refused(void **state)
{
    (void)state;
    const double temperatures[] = {NAN, 0, -1, 9e-4, 1001, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++)
        refuse("sequence", "sqz.head.temperature", as_f64, temperatures[i]);
    const double thresholds[] = {NAN, 1.1e9, INFINITY};
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++)
        refuse("sequence", "sqz.head.threshold", as_f64, thresholds[i]);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    refuse("sequence", "sqz.head.temperature", as_u32, 2);
    refuse("sequence", "sqz.head.temperature", as_text, 0);
    refuse("sequence", "sqz.head.threshold", as_text, 0);
}

static void heads_that_classify_no_texts_have_neither(void **state)
{
    (void)state;
    static const char *const heads[] = {NULL, "token"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        refuse(heads[i], "sqz.head.temperature", as_f64, 2);
        refuse(heads[i], "sqz.head.threshold", as_f64, 2);
    }
}

/* The same logits, or nearly so, are as sure: the keys go with a file that is quantised. */
static void a_quantised_classifier_keeps_them(void **state)
{
    (void)state;
    static const char *const keys[] = {"sqz.head.temperature", "sqz.head.threshold"};
    sqz_error error = {0};
    sqz_model_info info;
    char source[300], path[300];
    for (size_t i = 0; i < 2; i++) {
        sqzt_assert_ok(open_with("sequence", keys[i], as_f64, 2.5, &info, &error), &error);
        snprintf(source, sizeof source, "%s", sqzt_temporary("said.gguf"));
        snprintf(path, sizeof path, "%s", sqzt_temporary("s8.gguf"));
        sqz_model *model;
        sqzt_assert_ok(sqz_quantize(context, source, path, NULL, &error), &error);
        sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
        const sqz_model_info *made = sqz_model_get_info(model);
        assert_true(made->temperature == (i ? 1 : 2.5));
        assert_true(i ? made->threshold == 2.5 : isinf(made->threshold));
        sqz_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_range_is_taken),
        cmocka_unit_test(what_is_out_of_range_is_refused),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(a_quantised_classifier_keeps_them),
        cmocka_unit_test(heads_that_classify_no_texts_have_neither),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
