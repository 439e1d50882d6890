/* SPDX-License-Identifier: Apache-2.0 */
/* A model file made of another: what is carried over, what is added, what a failure leaves. */
#define _POSIX_C_SOURCE 200809L
#include "rewrite/rewrite.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/error.h"
#include "support/test.h"
#include "support/tiny_model.h"

static sqz_context *context; /* of the portable kernels, as those that make the vectors */

static int open_context(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1, .cpu = "portable"},
                                    &context, &error),
                   &error);
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    sqz_context_close(context);
    return 0;
}

static const sqzt_tiny *form(const char *name)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return &f->tiny;
    fail_msg("no form '%s'", name);
    return NULL;
}

static sqz_model *open_model(const char *path)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    return model;
}

static sqz_model *tiny(const char *name, const char *file)
{
    const char *path = sqzt_temporary(file);
    sqzt_tiny_write(form(name), path);
    return open_model(path);
}

static sqzi_gguf_writer *open_writer(void)
{
    sqz_error error = {0};
    sqzi_gguf_writer *writer;
    sqzt_assert_ok(sqzi_gguf_writer_open(&sqzi_default_allocator, &writer, &error), &error);
    return writer;
}

/* All tensors but reference vectors, as they are. */
static void put_tensors(sqzi_gguf_writer *writer, const sqz_model *from)
{
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(from->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(from->gguf, i);
        if (strncmp(t->name.bytes, "verify.", 7) != 0)
            sqzi_gguf_put_tensor(writer, from->tensor_names[i], t->type, t->n_dims, t->shape,
                                 t->data);
    }
}

static const sqzi_step nothing = {.history = "nothing", .suffix = ""};

static sqz_status write_copy(const sqz_model *from, const sqzi_step *step, const char *path,
                             sqz_error *error)
{
    sqzi_references references = {0};
    sqzi_gguf_writer *writer = open_writer();
    sqz_status status = sqzi_references_copy(&references, from, error);
    if (status == SQZ_OK) status = sqzi_rewrite_metadata(writer, from, step, error);
    put_tensors(writer, from);
    if (status == SQZ_OK) status = sqzi_rewrite_write(writer, &references, path, error);
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    return status;
}

static sqz_model *copy_of(const sqz_model *from, const sqzi_step *step, const char *file)
{
    sqz_error error = {0};
    const char *path = sqzt_temporary(file);
    sqzt_assert_ok(write_copy(from, step, path, &error), &error);
    return open_model(path);
}

static void assert_text(const sqz_model *model, const char *key, uint32_t i, const char *expected)
{
    sqz_text text;
    if (!sqz_model_text(model, key, i, &text)) fail_msg("%s has no string %u", key, i);
    assert_int_equal(text.n_bytes, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.n_bytes);
}

static void assert_no_text(const sqz_model *model, const char *key, uint32_t i)
{
    sqz_text text;
    assert_false(sqz_model_text(model, key, i, &text));
}

static void every_step_adds_its_line_its_name_and_its_feature_once(void **state)
{
    (void)state;
    const sqzi_step one = {"one", "-a", "bf16", NULL}, two = {"two", "-a", "bf16", NULL},
                    three = {"three", "-b", "s8", NULL};
    sqz_model *models[4] = {tiny("dense", "0.gguf")};
    assert_string_equal(sqz_model_get_info(models[0])->name, "tiny");
    models[1] = copy_of(models[0], &one, "1.gguf");
    models[2] = copy_of(models[1], &two, "2.gguf");
    models[3] = copy_of(models[2], &three, "3.gguf");
    assert_text(models[1], "general.name", 0, "tiny-a");
    assert_text(models[2], "general.name", 0, "tiny-a"); /* it said so already */
    assert_text(models[3], "general.name", 0, "tiny-a-b");
    assert_text(models[3], "sqz.history", 0, "one");
    assert_text(models[3], "sqz.history", 1, "two");
    assert_text(models[3], "sqz.history", 2, "three");
    assert_no_text(models[3], "sqz.history", 3);
    assert_text(models[3], "sqz.requires", 0, "bf16");
    assert_text(models[3], "sqz.requires", 1, "s8");
    assert_no_text(models[3], "sqz.requires", 2);
    for (int i = 0; i < 4; i++) sqz_model_close(models[i]);
}

/* Values that this version does not know, of every kind, among them. */
static void all_other_metadata_are_carried_to_the_bit(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *from = tiny("groups of squeezebert", "0.gguf");
    const char *path = sqzt_temporary("more.gguf");
    const sqzi_span words[] = {{"en", 2}, {"", 0}, {"d\0e", 3}};
    sqzi_references none = {.allocator = &sqzi_default_allocator};
    sqzi_gguf_writer *writer = open_writer();
    sqzt_assert_ok(sqzi_rewrite_metadata(writer, from, &nothing, &error), &error);
    sqzi_gguf_put_strings(writer, "general.languages", words, 3);
    sqzi_gguf_put_f64(writer, "later.number", 0.1);
    sqzi_gguf_put_u64(writer, "later.large", UINT64_MAX);
    sqzi_gguf_put_bool(writer, "later.flag", true);
    sqzi_gguf_put_u32(writer, "general.file_type", 7);
    put_tensors(writer, from);
    sqzt_assert_ok(sqzi_rewrite_write(writer, &none, path, &error), &error);
    sqzi_gguf_writer_close(writer);
    sqz_model *more = open_model(path), *copy = copy_of(more, &nothing, "copy.gguf");
    uint32_t n = 0;
    for (uint32_t i = 0; i < sqzi_gguf_n_values(more->gguf); i++) {
        const sqzi_gguf_value *a = sqzi_gguf_value_at(more->gguf, i),
                              *b = sqzi_gguf_find(copy->gguf, more->keys[i]);
        if (strstr(more->keys[i], ".sha256") || strcmp(more->keys[i], "sqz.history") == 0) continue;
        if (strcmp(more->keys[i], "general.file_type") == 0) {
            assert_null(b); /* of the types of the source */
            continue;
        }
        assert_non_null(b);
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->is_array, b->is_array);
        assert_int_equal(a->n, b->n);
        assert_string_equal(more->values[i], copy->values[b - sqzi_gguf_value_at(copy->gguf, 0)]);
        n++;
    }
    assert_true(n > 30);
    sqz_text text;
    assert_true(sqz_model_text(copy, "general.languages", 2, &text));
    assert_int_equal(text.n_bytes, 3);
    assert_memory_equal(text.bytes, "d\0e", 3);
    assert_true(sqzi_gguf_float(sqzi_gguf_find(copy->gguf, "later.number"), 0) == 0.1);
    sqz_model_close(from);
    sqz_model_close(more);
    sqz_model_close(copy);
}

static void what_is_no_list_of_strings_is_refused(void **state)
{
    (void)state;
    static sqzi_span lines[4097];
    sqz_error error = {0};
    sqzi_references none = {.allocator = &sqzi_default_allocator};
    for (int kind = 0; kind < 3; kind++) {
        sqz_model *from = tiny("dense", "0.gguf");
        const char *path = sqzt_temporary("odd.gguf");
        sqzi_gguf_writer *writer = open_writer();
        for (uint32_t i = 0; i < sqzi_gguf_n_values(from->gguf); i++)
            if (strstr("general.alignment general.name", from->keys[i]) == NULL &&
                !strstr(from->keys[i], ".sha256"))
                sqzi_gguf_put_value(writer, sqzi_gguf_value_at(from->gguf, i));
        if (kind == 0) sqzi_gguf_put_u32(writer, "sqz.history", 3);
        for (int i = 0; i < 4097; i++) lines[i] = sqzi_span_of("again");
        if (kind == 1) sqzi_gguf_put_strings(writer, "sqz.history", lines, 4097);
        put_tensors(writer, from);
        sqzt_assert_ok(sqzi_rewrite_write(writer, &none, path, &error), &error);
        sqzi_gguf_writer_close(writer);
        sqz_model *odd = open_model(path);
        path = sqzt_temporary("never.gguf");
        if (kind == 0)
            sqzt_assert_fails(write_copy(odd, &nothing, path, &error), SQZ_EFORMAT, &error,
                              "'sqz.history' is u32");
        else if (kind == 1)
            sqzt_assert_fails(write_copy(odd, &nothing, path, &error), SQZ_ELIMIT, &error,
                              "'sqz.history' has 4097 strings, at most 4096");
        else { /* no name: none is made up */
            sqzt_assert_ok(write_copy(odd, &(sqzi_step){.history = "x", .suffix = "-x"}, path,
                                      &error),
                           &error);
            sqz_model *copy = open_model(path);
            assert_string_equal(sqz_model_get_info(copy)->name, "");
            sqz_model_close(copy);
        }
        sqz_model_close(odd);
        sqz_model_close(from);
    }
}

/* ---- reference vectors ---- */

static sqz_model *with_references(const sqz_model *from, const char *path)
{
    sqz_error error = {0};
    sqzi_references references;
    sqzi_gguf_writer *writer = open_writer();
    sqzt_assert_ok(sqzi_rewrite_metadata(writer, from, &nothing, &error), &error);
    put_tensors(writer, from);
    sqzt_assert_ok(sqzi_references_invent(&references, &sqzi_default_allocator,
                                          sqz_model_get_info(from), &error),
                   &error);
    sqzt_assert_ok(sqzi_rewrite_write(writer, &references, path, &error), &error);
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    return open_model(path);
}

static void every_form_gets_vectors_that_hold(void **state)
{
    (void)state;
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++) {
        sqz_error error = {0};
        sqz_verification first, second;
        sqz_file_check check;
        sqz_model *from = tiny(f->name, "0.gguf");
        const char *path = sqzt_temporary("verified.gguf");
        sqz_model *model = with_references(from, path);
        sqzt_assert_ok(sqz_model_check(context, path, &check, &error), &error);
        sqzt_assert_ok(sqz_model_verify(model, &first, &error), &error);
        assert_int_equal(first.n_vectors, 3);
        assert_true(first.max_error == 0 && first.tolerance >= 1024 * 0x1p-24);
        const sqzi_gguf_tensor *logits = sqzi_gguf_find_tensor(model->gguf, "verify.2.logits");
        assert_int_equal(logits != NULL, model->info.head != SQZ_HEAD_NONE &&
                                             model->info.head != SQZ_HEAD_MASKED_LM);
        /* a step that changes nothing makes the same vectors of them */
        sqz_model *copy = copy_of(model, &nothing, "copy.gguf");
        sqzt_assert_ok(sqz_model_verify(copy, &second, &error), &error);
        assert_int_equal(second.n_vectors, 3);
        assert_true(second.tolerance == first.tolerance && second.max_error == 0);
        assert_text(copy, "sqz.verify.made_by", 0, "portable kernels");
        sqz_model_close(from);
        sqz_model_close(model);
        sqz_model_close(copy);
    }
}

static double tolerance_of(const sqz_model *model)
{
    return sqzi_gguf_float(sqzi_gguf_find(model->gguf, "sqz.verify.tolerance"), 0);
}

/* A bias that grows by `by` moves the last hidden states by that much, where it is the last norm's.
 */
static sqz_model *moved(const sqz_model *from, float by, bool compared, const char *path)
{
    sqz_error error = {0};
    sqzi_references references;
    sqzi_gguf_writer *writer = open_writer();
    float bias[256];
    char name[64];
    snprintf(name, sizeof name, "blk.%u.layer_output_norm.bias", from->info.n_layers - 1);
    const sqzi_gguf_tensor *last = sqzi_gguf_find_tensor(from->gguf, name);
    assert_true(last && last->n <= 256);
    for (uint64_t i = 0; i < last->n; i++) bias[i] = ((const float *)last->data)[i] + by;
    sqzt_assert_ok(sqzi_rewrite_metadata(writer, from, &nothing, &error), &error);
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(from->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(from->gguf, i);
        if (strncmp(t->name.bytes, "verify.", 7) != 0)
            sqzi_gguf_put_tensor(writer, from->tensor_names[i], t->type, t->n_dims, t->shape,
                                 t == last ? bias : t->data);
    }
    sqzt_assert_ok(sqzi_references_copy(&references, from, &error), &error);
    references.compared = compared;
    sqzt_assert_ok(sqzi_rewrite_write(writer, &references, path, &error), &error);
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    return open_model(path);
}

static void the_tolerance_is_twice_what_the_step_changed(void **state)
{
    (void)state;
    sqz_model *from = tiny("only V not cut at heads", "0.gguf"), /* no head: hidden states alone */
        *model = with_references(from, sqzt_temporary("verified.gguf"));
    sqz_model *compared = moved(model, 0.25f, true, sqzt_temporary("compared.gguf")),
              *plain = moved(model, 0.25f, false, sqzt_temporary("plain.gguf"));
    /* 0.25 but for the rounding of two sums whose numbers are below 16 */
    assert_true(fabs(tolerance_of(compared) - 0.5) < 16 * 0x1p-22);
    assert_true(tolerance_of(plain) < 0.01);
    sqz_model_close(from);
    sqz_model_close(model);
    sqz_model_close(compared);
    sqz_model_close(plain);
}

/* ---- failures ---- */

static sqz_status emit_nothing(void *source, sqzi_file_writer *file, sqz_error *error)
{
    (void)source;
    (void)file;
    return sqzi_fail(error, SQZ_ENUMERIC, 7, "number 7 is a NaN");
}

/* A writer of the model `from` with one more tensor. */
static sqzi_gguf_writer *with_tensor(const sqz_model *from, const char *name, bool fails)
{
    static const float numbers[2] = {1, 2};
    sqz_error error = {0};
    sqzi_gguf_writer *writer = open_writer();
    sqzt_assert_ok(sqzi_rewrite_metadata(writer, from, &nothing, &error), &error);
    put_tensors(writer, from);
    if (fails)
        sqzi_gguf_put_tensor_by(writer, name, SQZI_F32, 1, (uint64_t[]){2}, emit_nothing, NULL);
    else sqzi_gguf_put_tensor(writer, name, SQZI_F32, 1, (uint64_t[]){2}, numbers);
    return writer;
}

static void a_failure_leaves_the_old_file_and_nothing_else(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_model *from = tiny("dense", "0.gguf");
    char folder[256], path[300];
    sqz_file_check check;
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("folder"));
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    sqz_model_close(with_references(from, path));
    for (int kind = 0; kind < 3; kind++) {
        sqzi_references references;
        /* a tensor that cannot be made; one that the model does not have; vectors of another model
         */
        sqzi_gguf_writer *writer = with_tensor(from, kind == 1 ? "blk.7.odd" : "verify.odd",
                                               kind == 0);
        sqz_model_info info = *sqz_model_get_info(from);
        if (kind == 2) info.width++;
        sqzt_assert_ok(sqzi_references_invent(&references, &sqzi_default_allocator, &info, &error),
                       &error);
        const sqz_status status = sqzi_rewrite_write(writer, &references, path, &error);
        static const sqz_status expected[] = {SQZ_ENUMERIC, SQZ_EFORMAT, SQZ_EFORMAT};
        static const char *const texts[] = {"number 7 is a NaN",
                                            "model.gguf: tensor 'blk.7.odd' belongs to no part",
                                            "reference vector 0 has other sizes than the model"};
        assert_int_equal(status, expected[kind]);
        assert_non_null(strstr(error.text, texts[kind]));
        assert_null(strstr(error.text, "tmp: "));
        sqzi_references_discard(&references);
        sqzi_gguf_writer_close(writer);
        assert_int_equal(sqzt_count_files(folder), 1);
        sqzt_assert_ok(sqz_model_check(context, path, &check, &error), &error);
    }
    sqz_model_close(from);
}

/* ---- several at a time ---- */

enum { WRITERS = 4, ROUNDS = 3 };

typedef struct job {
    const sqz_model *from;
    const char *path;
    sqz_status status;
    sqz_error error;
} job;

static void *write_in_thread(void *user)
{
    job *j = user;
    for (int i = 0; i < ROUNDS && j->status == SQZ_OK; i++)
        j->status = write_copy(j->from, &nothing, j->path, &j->error);
    return NULL;
}

static void threads_write_to_one_name_and_all_succeed(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_file_check check;
    char folder[256], path[300];
    sqz_model *plain = tiny("dense", "0.gguf"),
              *from = with_references(plain, sqzt_temporary("verified.gguf"));
    snprintf(folder, sizeof folder, "%s", sqzt_temporary("together"));
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    job jobs[WRITERS];
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        jobs[i] = (job){.from = from, .path = path};
        assert_int_equal(pthread_create(&threads[i], NULL, write_in_thread, &jobs[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        if (jobs[i].status != SQZ_OK) fail_msg("writer %d: %s", i, jobs[i].error.text);
    }
    assert_int_equal(sqzt_count_files(folder), 1);
    sqzt_assert_ok(sqz_model_check(context, path, &check, &error), &error);
    sqz_model_close(from);
    sqz_model_close(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_adds_its_line_its_name_and_its_feature_once),
        cmocka_unit_test(all_other_metadata_are_carried_to_the_bit),
        cmocka_unit_test(what_is_no_list_of_strings_is_refused),
        cmocka_unit_test(every_form_gets_vectors_that_hold),
        cmocka_unit_test(the_tolerance_is_twice_what_the_step_changed),
        cmocka_unit_test(a_failure_leaves_the_old_file_and_nothing_else),
        cmocka_unit_test(threads_write_to_one_name_and_all_succeed),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
