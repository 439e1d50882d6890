/* SPDX-License-Identifier: Apache-2.0 */
/* What a head keeps: each array is what its step makes of the one before, in teams of 1 to 4, with
 * one input and with more than go through together, and the logits have the bits that they have
 * without. */
#include <stdio.h>
#include <stdlib.h>

#include "model/loader.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { INPUTS = SQZI_HEAD_ROWS + 5, WIDTH = 48, MOST_CLASSES = 256, THREADS = 4 };

static const sqzt_tiny classifier = {.width = WIDTH,
                                     .blocks = 1,
                                     .heads = 3,
                                     .head_width = 16,
                                     .ffn_width = 96,
                                     .embedding_width = WIDTH,
                                     .positions = 8,
                                     .head = "sequence",
                                     .classes = 3,
                                     .seed = 31};
static const sqzt_tiny masked = {.width = WIDTH,
                                 .blocks = 1,
                                 .heads = 3,
                                 .head_width = 16,
                                 .ffn_width = 96,
                                 .embedding_width = WIDTH,
                                 .positions = 8,
                                 .factorised = 11,
                                 .head = "masked_lm",
                                 .seed = 32};

typedef struct job {
    sqzi_head_args args;
} job;

static void run(void *argument, const sqzi_team *team)
{
    sqzi_head_logits(&((const job *)argument)->args, team);
}

typedef struct arrays {
    sqzi_real first[INPUTS * WIDTH], pooled[INPUTS * WIDTH], dense_sum[INPUTS * WIDTH],
        dense[INPUTS * WIDTH], normed[INPUTS * WIDTH], factorised[INPUTS * WIDTH];
} arrays;

static void assert_rows(const sqzi_real *kept, const sqzi_real *expected, uint32_t n,
                        const char *what)
{
    if (memcmp(kept, expected, n * sizeof *kept) != 0) fail_msg("%s differs", what);
}

static void assert_linear(const sqzi_linear *linear, const sqzi_real *x, sqzk_activation activation,
                          const sqzi_real *y, sqzi_linear_scratch *scratch, const char *what)
{
    sqzi_real expected[MOST_CLASSES];
    assert_true(linear->n_out <= MOST_CLASSES);
    assert_true(sqzi_linear_run(linear,
                                &(sqzi_linear_args){.m = 1,
                                                    .x = x,
                                                    .ldx = linear->n_in,
                                                    .y = expected,
                                                    .ldy = linear->n_out,
                                                    .activation = activation},
                                scratch));
    assert_rows(y, expected, linear->n_out, what);
}

/* Input i through each step by itself. */
static void check_input(const sqzi_head *head, const sqzk_table *kernels, const arrays *k,
                        const sqzi_real *token, uint32_t i, sqzi_linear_scratch *scratch)
{
    const sqzi_real *pooled = k->pooled + i * WIDTH;
    sqzi_real expected[WIDTH];
    if (head->pooling == SQZ_POOLING_POOLER) {
        assert_rows(k->first + i * WIDTH, token, WIDTH, "first");
        assert_linear(&head->pooler, token, SQZK_TANH, pooled, scratch, "pooled");
    } else assert_rows(pooled, token, WIDTH, "pooled");
    if (!head->has_dense) return;
    const uint32_t n = head->dense.n_out;
    const sqzi_real *sum = k->dense_sum + i * n, *dense = k->dense + i * n;
    assert_linear(&head->dense, pooled, SQZK_IDENTITY, sum, scratch, "dense_sum");
    kernels->activate(head->activation, n, sum, expected);
    assert_rows(dense, expected, n, "dense");
    kernels->layer_norm(&(sqzk_layer_norm_args){.m = 1,
                                                .n = n,
                                                .x = dense,
                                                .ldx = n,
                                                .weight = head->norm.weight,
                                                .bias = head->norm.bias,
                                                .epsilon = head->norm.epsilon,
                                                .out = expected,
                                                .ldo = n});
    assert_rows(k->normed + i * n, expected, n, "normed");
    assert_linear(&head->factor, k->normed + i * n, SQZK_IDENTITY,
                  k->factorised + i * head->factor.n_out, scratch, "factorised");
}

static void check(const sqz_model *model, uint32_t threads, uint32_t n)
{
    static arrays kept;
    static sqzi_real hidden[2 * INPUTS * WIDTH], plain[INPUTS * MOST_CLASSES],
        logits[INPUTS * MOST_CLASSES];
    const sqzi_head *head = &model->head;
    const sqzk_table *kernels = &model->context->kernels;
    sqzt_random random = sqzt_random_of(33);
    uint32_t first[INPUTS + 1], rows[INPUTS];
    sqzi_head_scratch scratch;
    sqzi_thread_pool *pool;
    sqz_error error = {0};
    for (uint32_t i = 0; i <= n; i++) first[i] = 2 * i;
    for (uint32_t i = 0; i < n; i++) rows[i] = 2 * i;
    for (size_t i = 0; i < 2 * INPUTS * WIDTH; i++) hidden[i] = (sqzi_real)sqzt_normal(&random);
    memset(&kept, 0xFF, sizeof kept);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_head_layout(&scratch, head, threads, &arena);
    void *memory = aligned_alloc(64, (arena.used + 63) / 64 * 64);
    assert_non_null(memory);
    arena = sqzi_arena_over(memory, arena.used);
    sqzi_head_layout(&scratch, head, threads, &arena);
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, threads, &pool, &error), &error);
    const sqzi_head_keep keep = {kept.first, kept.pooled, kept.dense_sum,
                                 kept.dense, kept.normed, kept.factorised};
    job j = {{.head = head,
              .kernels = kernels,
              .scratch = &scratch,
              .hidden = hidden,
              .pooling = head->pooling,
              .n = n,
              .first = first,
              .rows = head->pooling == SQZ_POOLING_POOLER ? NULL : rows,
              .out = plain,
              .ldo = MOST_CLASSES}};
    sqzi_thread_pool_run(pool, threads, run, &j);
    j.args.out = logits;
    j.args.keep = &keep;
    sqzi_thread_pool_run(pool, threads, run, &j);
    assert_false(scratch.numeric_error);
    for (uint32_t i = 0; i < n; i++) {
        assert_rows(logits + i * MOST_CLASSES, plain + i * MOST_CLASSES, head->classes, "logits");
        check_input(head, kernels, &kept, hidden + 2 * i * WIDTH, i, &scratch.linear[0]);
    }
    sqzi_thread_pool_close(pool);
    free(memory);
}

static void every_kept_array_is_what_its_step_makes(void **state)
{
    (void)state;
    const sqzt_tiny *const models[] = {&classifier, &masked};
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(sqz_context_open(NULL, &context, &error), &error);
    for (size_t m = 0; m < 2; m++) {
        sqz_model *model;
        const char *path = sqzt_temporary("head_keep.gguf");
        sqzt_tiny_write(models[m], path);
        sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
        assert_true(m == 0
                        ? model->head.pooling == SQZ_POOLING_POOLER
                        : model->head.has_dense && model->head.has_norm && model->head.factorised);
        assert_true(model->head.classes <= MOST_CLASSES);
        for (uint32_t threads = 1; threads <= THREADS; threads++) {
            check(model, threads, 1);
            check(model, threads, INPUTS);
        }
        sqz_model_close(model);
    }
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kept_array_is_what_its_step_makes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
