/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient of the table of words as a list of rows: norm and steps of the optimiser have the
 * bits that they have where the whole table's gradient lies in memory. */
#include "nn/table_grad.h"
#include "support/test.h"
#include "train/optimizer.h"

enum { WIDTH = 24, WORDS = 700 };

typedef struct tiny {
    sqzi_encoder encoder;
    sqzi_head head;
    sqzi_parameters parameters;
} tiny;

/* A table of 16,800 numbers, which are five chunks that no row ends with, and its norm. */
static void open_tiny(tiny *t, bool list_words)
{
    sqz_error error = {0};
    const sqzi_trained trained = {.pooling = SQZ_POOLING_MEAN,
                                  .head_rate = 1,
                                  .list_words = list_words};
    *t = (tiny){.encoder = {.width = WIDTH}};
    t->encoder.embedding.word = (sqzi_table){.n_rows = WORDS, .width = WIDTH};
    t->encoder.embedding.position = (sqzi_table){.n_rows = 6, .width = WIDTH};
    t->encoder.embedding.norm.n = WIDTH;
    sqzt_assert_ok(sqzi_parameters_open(&sqzi_default_allocator, &t->encoder, &t->head, &trained,
                                        &t->parameters, &error),
                   &error);
}

enum { LIST_STEPS = 4 };
/* ids of each step's batch: rows that come again, that stay away, and none at all */
static const uint32_t list_ids[LIST_STEPS][6] = {
    {3, 699, 3, 170, 171, 9}, {699, 4, 4, 4, 4, 4}, {9, 9, 9, 9, 9, 9}, {0, 170, 698, 3, 1, 2}};
enum { LEFT_OUT = 9 };

/* The gradient of one step: of the table's rows that the batch has, and of all else. */
static void put_gradient(tiny *t, uint32_t step)
{
    const sqzi_batch batch = {.n_tokens = 6, .ids = list_ids[step]};
    sqzi_row_list *list = t->parameters.list[0].rows;
    if (list) sqzi_row_list_add(list, &batch, LEFT_OUT);
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        for (size_t j = 0; i && p->trained && j < p->n; j++) p->gradient[j] = (sqzi_real)0.25;
    }
    for (size_t k = 0; k < 6; k++) {
        const uint32_t id = list_ids[step][k];
        sqzi_real *row = list ? list->numbers + (size_t)list->places[id] * WIDTH
                              : t->parameters.list[0].gradient + (size_t)id * WIDTH;
        for (uint32_t j = 0; id != LEFT_OUT && j < WIDTH; j++)
            row[j] += (sqzi_real)((int)(id * 7 + j * 3 + step) % 11 - 5);
    }
}

/* Rows without a gradient decay, and move on by what their moments remember. */
static void a_list_of_rows_steps_as_the_whole_table_does(void **state)
{
    (void)state;
    sqz_error error = {0};
    tiny all, some;
    sqzi_optimizer a, b;
    sqzi_thread_pool *pool = NULL;
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, 3, &pool, &error), &error);
    open_tiny(&all, false);
    open_tiny(&some, true);
    assert_null(some.parameters.gradients.embedding.word);
    assert_ptr_equal(some.parameters.gradients.embedding.word_rows, &some.parameters.words);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_row_list_layout(&some.parameters.words, WORDS, WIDTH, 6, &arena);
    const size_t bytes = arena.used;
    void *memory = sqzi_allocate(&sqzi_default_allocator, bytes);
    assert_non_null(memory);
    arena = sqzi_arena_over(memory, bytes);
    sqzi_row_list_layout(&some.parameters.words, WORDS, WIDTH, 6, &arena);
    sqzi_row_list_begin(&some.parameters.words);
    for (uint32_t i = 0; i < all.parameters.n; i++)
        for (size_t j = 0; j < all.parameters.list[i].n; j++)
            all.parameters.list[i].master[j] = some.parameters.list[i].master[j] =
                (sqzi_real)((double)(j % 97) / 32 - 1.5);
    sqzt_assert_ok(sqzi_optimizer_open(&all.parameters, pool, 0, &a, &error), &error);
    sqzt_assert_ok(sqzi_optimizer_open(&some.parameters, pool, 0, &b, &error), &error);
    for (uint32_t step = 0; step < LIST_STEPS; step++) {
        put_gradient(&all, step);
        put_gradient(&some, step);
        const double norm = sqzi_optimizer_norm(&a), other = sqzi_optimizer_norm(&b);
        assert_memory_equal(&norm, &other, sizeof norm);
        const sqzi_adamw adamw = {.rate = 0.01,
                                  .scale = 0.5,
                                  .decay = 0.1,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-6,
                                  .t = step + 1};
        sqzi_optimizer_step(&a, &adamw);
        sqzi_optimizer_step(&b, &adamw);
        assert_true(sqzi_optimizer_norm(&b) == 0);
        const sqzi_parameter *p = &all.parameters.list[0], *q = &some.parameters.list[0];
        assert_memory_equal(p->master, q->master, p->n * sizeof *p->master);
        assert_memory_equal(p->m, q->m, p->n * sizeof *p->m);
        assert_memory_equal(p->v, q->v, p->n * sizeof *p->v);
    }
    assert_true(some.parameters.list[0].m[3 * WIDTH] != 0);
    sqzi_optimizer_close(&a);
    sqzi_optimizer_close(&b);
    sqzi_release(&sqzi_default_allocator, memory, bytes);
    sqzi_parameters_close(&all.parameters);
    sqzi_parameters_close(&some.parameters);
    sqzi_thread_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_rows_steps_as_the_whole_table_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
