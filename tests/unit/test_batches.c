/* SPDX-License-Identifier: Apache-2.0 */
/* The order of training: every row once an epoch, alike in length, the same whenever it is asked
 * for; and orders of other programs. */
#include <squeezebert/batches.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/bytes_source.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { ROWS = 1003, BATCH = 4, BATCHES = 251, CHUNK = 50 * BATCH };

static const sqzt_tiny tiny = {.width = 24,
                               .blocks = 1,
                               .heads = 3,
                               .head_width = 8,
                               .ffn_width = 48,
                               .embedding_width = 24,
                               .positions = 40,
                               .head = "sequence",
                               .classes = 2,
                               .seed = 5};
static sqz_context *context;
static sqz_model *model;

static int open_model(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("batches.gguf");
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

static sqz_dataset *opened(const char *text, sqz_dataset_options options)
{
    sqz_error error = {0};
    sqz_dataset *dataset;
    sqzt_bytes m = {text, strlen(text), 0};
    const sqz_rows_source source = {.name = "rows", .read = sqzt_read_bytes, .user = &m};
    options.format = SQZ_DATA_CSV;
    sqzt_assert_ok(sqz_dataset_open_source(context, &source, &options, &dataset, &error), &error);
    sqzt_assert_ok(sqz_dataset_tokenize(dataset, sqz_model_tokenizer(model), 40, &error), &error);
    return dataset;
}

/* ROWS texts of 1 to 30 words. */
static sqz_dataset *many_rows(void)
{
    static char text[ROWS * 80];
    size_t used = (size_t)snprintf(text, sizeof text, "text,label\n");
    for (int i = 0; i < ROWS; i++) {
        for (int w = 0; w <= i * 7 % 30; w++)
            used += (size_t)snprintf(text + used, sizeof text - used, "a ");
        used += (size_t)snprintf(text + used, sizeof text - used, ",%d\n", i % 2);
    }
    return opened(text, (sqz_dataset_options){0});
}

static sqz_batches *batches_of(const sqz_dataset *dataset, sqz_batches_options options)
{
    sqz_error error = {0};
    sqz_batches *batches;
    if (!options.batch) options.batch = BATCH;
    sqzt_assert_ok(sqz_batches_open(dataset, &options, &batches, &error), &error);
    return batches;
}

/* The rows of an epoch, batch after batch. */
static void epoch_of(const sqz_batches *batches, uint32_t epoch, uint32_t rows[ROWS])
{
    const sqz_train_data *data = sqz_batches_data(batches);
    const uint32_t *batch;
    uint32_t n, used = 0;
    for (uint32_t i = 0; i < data->n_batches; i++) {
        assert_int_equal(data->batch(data->user, epoch, i, &batch, &n, NULL), SQZ_OK);
        assert_in_range(n, 1, BATCH);
        for (uint32_t r = 0; r < n; r++) rows[used++] = batch[r];
    }
    assert_int_equal(used, ROWS);
}

static void an_epoch_has_every_row_once(void **state)
{
    (void)state;
    static uint32_t rows[ROWS], other[ROWS];
    static unsigned char seen[ROWS];
    sqz_dataset *d = many_rows();
    sqz_batches *a = batches_of(d, (sqz_batches_options){.seed = 3}),
                *b = batches_of(d, (sqz_batches_options){.seed = 4});
    assert_int_equal(sqz_batches_data(a)->n_batches, BATCHES);
    epoch_of(a, 1, rows);
    for (uint32_t i = 0; i < ROWS; i++) assert_int_equal(seen[rows[i]]++, 0);
    epoch_of(a, 0, other);
    assert_memory_not_equal(rows, other, sizeof rows);
    epoch_of(b, 1, other);
    assert_memory_not_equal(rows, other, sizeof rows);
    epoch_of(a, 1, other); /* asked for again, after another one */
    assert_memory_equal(rows, other, sizeof rows);
    sqz_batches_close(a);
    sqz_batches_close(b);
    sqz_dataset_close(d);
}

/* Sorting 50 batches at a time leaves little to fill up: rows as they come would need twice the
 * room of their pieces, as 4 of 1 to 30 words have 25 in the longest and 15.5 in the mean. */
static void batches_are_alike_in_length(void **state)
{
    (void)state;
    sqz_dataset *d = many_rows();
    sqz_batches *b = batches_of(d, (sqz_batches_options){0});
    const sqz_train_data *data = sqz_batches_data(b);
    uint64_t pieces = 0, room = 0;
    uint32_t rising = 0;
    for (uint32_t i = 0, before = 0, n; i < data->n_batches; i++) {
        const uint32_t *rows;
        uint32_t longest = 0;
        assert_int_equal(data->batch(data->user, 0, i, &rows, &n, NULL), SQZ_OK);
        for (uint32_t r = 0; r < n; r++) {
            const uint32_t length = data->examples[rows[r]].n_tokens;
            pieces += length;
            if (length > longest) longest = length;
        }
        room += (uint64_t)n * longest;
        rising += longest >= before;
        before = longest;
    }
    assert_true(room < pieces + pieces / 20);
    assert_in_range(rising, BATCHES / 3, BATCHES * 2 / 3); /* shuffled */
    sqz_batches_close(b);
    sqz_dataset_close(d);
}

static void examples_are_what_a_trainer_takes(void **state)
{
    (void)state;
    const uint32_t rows[] = {2, 0};
    sqz_dataset *d = opened("text,label\na,x|y\nb,z\na b,z|x\n",
                            (sqz_dataset_options){.kind = SQZ_LABELS_MANY});
    sqz_error error = {0};
    sqz_batches *b;
    const sqz_batches_options few = {.rows = rows, .n_rows = 2, .batch = 2};
    sqz_batches_options all = {.batch = 2};
    sqzt_assert_ok(sqz_batches_open(d, &few, &b, &error), &error);
    const sqz_train_data *data = sqz_batches_data(b);
    assert_int_equal(data->n_examples, 2);
    assert_int_equal(data->n_labels, 3);
    assert_string_equal(data->labels[2], "z");
    assert_int_equal(data->examples[0].n_tokens, 4);
    const float values[] = {1, 0, 1};
    assert_memory_equal(data->examples[0].values, values, sizeof values);
    assert_int_equal(sqz_batches_counts(b)[0], 2);
    sqz_batches_close(b);
    all.rows = rows + 1;
    all.n_rows = 1;
    sqzt_assert_fails(sqz_batches_open(d, &all, &b, &error), SQZ_EINVAL, &error,
                      "the class 'z' has no example");
    all.batch = 0;
    sqzt_assert_fails(sqz_batches_open(d, &all, &b, &error), SQZ_EINVAL, &error, "batch");
    sqz_dataset_close(d);
    d = opened("text,grade\na,1.5\n",
               (sqz_dataset_options){.kind = SQZ_LABELS_VALUE, .label = "grade"});
    b = batches_of(d, (sqz_batches_options){0});
    assert_string_equal(sqz_batches_data(b)->labels[0], "grade");
    assert_true(sqz_batches_data(b)->examples[0].values[0] == 1.5f);
    sqz_batches_close(b);
    sqz_dataset_close(d);
}

static const char *order_file(const char *text)
{
    const char *path = sqzt_temporary("order.json");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return path;
}

static void another_order_is_followed(void **state)
{
    (void)state;
    sqz_dataset *d = opened("text,label\na,0\nb,1\nc,0\n", (sqz_dataset_options){0});
    const sqz_batches_options replay = {.batch = 2, .replay = order_file("[[2,0],[1],[1, 1, 2]]")};
    sqz_batches *b = batches_of(d, replay);
    const sqz_train_data *data = sqz_batches_data(b);
    const uint32_t *rows;
    uint32_t n, seen = 0;
    assert_int_equal(sqz_batches_replayed(b), 3);
    assert_int_equal(data->n_batches, 2);
    assert_int_equal(data->batch(data->user, 1, 0, &rows, &n, NULL), SQZ_OK);
    assert_int_equal(n, 3);
    assert_int_equal(rows[2], 2);
    assert_int_equal(data->batch(data->user, 0, 0, &rows, &n, NULL), SQZ_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0], 2);
    for (uint32_t i = 0; i < 2; i++) { /* behind its end: drawn */
        assert_int_equal(data->batch(data->user, 2, i, &rows, &n, NULL), SQZ_OK);
        for (uint32_t r = 0; r < n; r++) seen |= 1u << rows[r];
    }
    assert_int_equal(seen, 7);
    sqz_batches_close(b);
    sqz_dataset_close(d);
}

static void an_order_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const faults[][2] = {{"[[0,1],[3]]", "batch 1: item 0 is no row"},
                                            {"[[0],[]]", "batch 1"},
                                            {"[[0.5]]", "item 0"},
                                            {"[[-1]]", "item 0"},
                                            {"[]", "array of batches"},
                                            {"{}", "array of batches"},
                                            {"[[0]", "order.json, line 1: ']' expected"}};
    sqz_dataset *d = opened("text,label\na,0\nb,1\nc,0\n", (sqz_dataset_options){0});
    sqz_error error = {0};
    sqz_batches *b;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const sqz_batches_options o = {.batch = 2, .replay = order_file(faults[i][0])};
        sqzt_assert_fails(sqz_batches_open(d, &o, &b, &error), SQZ_EFORMAT, &error, faults[i][1]);
    }
    assert_int_equal(remove(sqzt_temporary("order.json")), 0);
    const sqz_batches_options o = {.batch = 2, .replay = "no/such.json"};
    sqzt_assert_fails(sqz_batches_open(d, &o, &b, &error), SQZ_EIO, &error, "no/such.json");
    sqz_dataset_close(d);
}

/* "[]," is three bytes of a file and 160 of memory. */
static void an_order_that_would_take_too_much_memory_is_refused(void **state)
{
    (void)state;
    enum { PARTS = 200000 };
    char *text = malloc(3 * PARTS + 2);
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 0; i < PARTS; i++) memcpy(text + 1 + 3 * i, "[],", 3);
    memcpy(text + 3 * PARTS, "]", 2); /* for the last comma */
    sqz_dataset *d = opened("text,label\na,0\nb,1\nc,0\n", (sqz_dataset_options){0});
    sqz_error error = {0};
    sqz_batches *b;
    const sqz_batches_options o = {.batch = 2, .replay = order_file(text)};
    sqzt_assert_fails(sqz_batches_open(d, &o, &b, &error), SQZ_ELIMIT, &error, "so many values");
    sqz_dataset_close(d);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_has_every_row_once),
        cmocka_unit_test(batches_are_alike_in_length),
        cmocka_unit_test(examples_are_what_a_trainer_takes),
        cmocka_unit_test(another_order_is_followed),
        cmocka_unit_test(an_order_that_is_none_is_refused),
        cmocka_unit_test(an_order_that_would_take_too_much_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
