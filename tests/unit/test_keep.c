/* SPDX-License-Identifier: Apache-2.0 */
/* What a run keeps besides its result, by teams of one to four: each array is made of the one
 * before it, to the bit; the result and every array have the same bits with anything else kept or
 * not, by any team, step by step; scores are those of the kept q and k; every row of every linear
 * is shown once. Sequences fill more than a strip, so that kept rows and the workspace's lie apart.
 */
#include <math.h>
#include <stdlib.h>

#include "model/loader.h"
#include "nn/profile.h"
#include "nn/tensor_list.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { SEQUENCES = 6, MOST_BLOCKS = 2, TEAMS = 4 };
static const uint32_t first[SEQUENCES + 1] = {0, 40, 41, 80, 113, 153, 155};
enum { TOKENS = 155, LONGEST = 40 };

/* The arrays of a block, in the order of sqzi_block_keep. */
enum { X, Q, K, V, SCORES, CONTEXT, ATTN_SUM, ATTENDED, UP, INNER, FFN_SUM, ARRAYS };

typedef struct kept {
    sqzi_block_keep blocks[MOST_BLOCKS];
    sqzi_real *embedded_sum, *hidden;
    const sqzi_encoder *encoder;
    size_t rows[MOST_BLOCKS][SQZI_BLOCK_LINEARS]; /* seen by each linear */
} kept;

static sqzi_real **array_of(sqzi_block_keep *b, int which)
{
    sqzi_real **const all[ARRAYS] = {&b->x,      &b->q,       &b->k,        &b->v,
                                     &b->scores, &b->context, &b->attn_sum, &b->attended,
                                     &b->up,     &b->inner,   &b->ffn_sum};
    return all[which];
}

static sqzi_real *nothing_yet(size_t n)
{
    sqzi_real *x = malloc(n * sizeof *x);
    assert_non_null(x);
    memset(x, 0xFF, n * sizeof *x);
    return x;
}

static size_t array_n(const sqzi_encoder *encoder, const sqzi_block *block, int which)
{
    size_t n = 0;
    switch (which) {
    case SCORES:
        for (uint32_t b = 0; b < SEQUENCES; b++)
            n += (size_t)block->heads * (first[b + 1] - first[b]) * (first[b + 1] - first[b]);
        return n;
    case Q:
    case K:
    case V:
    case CONTEXT: return (size_t)TOKENS * block->heads * block->head_width;
    case UP:
    case INNER: return (size_t)TOKENS * block->ffn_width;
    default: return (size_t)TOKENS * encoder->width;
    }
}

/* `which` of the arrays, or all where it is ARRAYS. */
static kept new_kept(const sqzi_encoder *encoder, int which)
{
    kept k = {.encoder = encoder};
    k.hidden = nothing_yet((size_t)TOKENS * encoder->width);
    if (which == ARRAYS && !encoder->embedding.bare)
        k.embedded_sum = nothing_yet((size_t)TOKENS * encoder->embedding.width);
    for (uint32_t i = 0; i < encoder->n_blocks; i++)
        for (int a = 0; a < ARRAYS; a++)
            if (which == ARRAYS || which == a)
                *array_of(&k.blocks[i], a) = nothing_yet(array_n(encoder, &encoder->blocks[i], a));
    return k;
}

static void discard(kept *k)
{
    free(k->hidden);
    free(k->embedded_sum);
    for (int i = 0; i < MOST_BLOCKS; i++)
        for (int a = 0; a < ARRAYS; a++) free(*array_of(&k->blocks[i], a));
}

static void count_rows(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x,
                       size_t ldx)
{
    kept *k = user;
    (void)x;
    assert_true(ldx >= linear->n_in);
    for (uint32_t i = 0; i < k->encoder->n_blocks; i++) {
        const sqzi_block *b = &k->encoder->blocks[i];
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            if (linear == sqzi_block_linear_of(b, j)) k->rows[i][j] += m;
    }
}

/* Row by row: the same bits as the run's by the law of bits. */
static void assert_made_of(const sqzi_linear *linear, const sqzi_real *x, const sqzi_real *residual,
                           const sqzi_real *y, sqzi_linear_scratch *scratch, const char *what)
{
    sqzi_real *row = nothing_yet(linear->n_out);
    for (size_t t = 0; t < TOKENS; t++) {
        const sqzi_linear_args args = {.m = 1,
                                       .x = x + t * linear->n_in,
                                       .ldx = linear->n_in,
                                       .y = row,
                                       .ldy = linear->n_out,
                                       .residual = residual ? residual + t * linear->n_out : NULL,
                                       .ldr = linear->n_out};
        assert_true(sqzi_linear_run(linear, &args, scratch));
        if (memcmp(row, y + t * linear->n_out, linear->n_out * sizeof *row) != 0)
            fail_msg("%s of token %zu is not made of what was kept before it", what, t);
    }
    free(row);
}

static void assert_norm_of(const sqzk_table *kernels, const sqzi_norm *norm, const sqzi_real *x,
                           const sqzi_real *y, const char *what)
{
    sqzi_real *out = nothing_yet((size_t)TOKENS * norm->n);
    kernels->layer_norm(&(sqzk_layer_norm_args){.m = TOKENS,
                                                .n = norm->n,
                                                .x = x,
                                                .ldx = norm->n,
                                                .weight = norm->weight,
                                                .bias = norm->bias,
                                                .epsilon = norm->epsilon,
                                                .out = out,
                                                .ldo = norm->n});
    if (memcmp(out, y, (size_t)TOKENS * norm->n * sizeof *out) != 0)
        fail_msg("%s is not the norm of its sum", what);
    free(out);
}

/* Of each product D roundings, one of the scale and one of the result. */
static void check_scores(const sqzi_block *block, const sqzi_real *q, const sqzi_real *k,
                         const sqzi_real *scores)
{
    const size_t ld = (size_t)block->heads * block->head_width;
    const double scale = 1 / sqrt((double)block->head_width);
    for (uint32_t b = 0; b < SEQUENCES; b++)
        for (uint32_t h = 0; h < block->heads; h++)
            for (uint32_t i = first[b]; i < first[b + 1]; i++)
                for (uint32_t j = first[b]; j < first[b + 1]; j++, scores++) {
                    double sum = 0, size = 0;
                    for (size_t d = (size_t)h * block->head_width;
                         d < (size_t)(h + 1) * block->head_width; d++) {
                        const double product = (double)q[i * ld + d] * (double)k[j * ld + d];
                        sum += product;
                        size += fabs(product);
                    }
                    if (!(fabs((double)*scores - sum * scale) <=
                          (block->head_width + 3) * 0x1p-24 * size * scale * 1.05))
                        fail_msg("sequence %u, head %u: score %u, %u is %g, %g expected", b, h, i,
                                 j, (double)*scores, sum * scale);
                }
}

/* A run as a member of a team sees it; step by step where steps is set. */
typedef struct job {
    const sqzi_encoder *encoder;
    sqzi_batch batch;
    sqzi_keep keep;
    sqzi_workspace *workspace;
    sqzi_real *hidden;
    bool keeps;
} job;

static void run_whole(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_encoder_run(j->encoder, &j->batch, j->keeps ? &j->keep : NULL, j->workspace, j->hidden,
                     j->encoder->width, team);
}

static uint32_t block_to_run;

static void run_step(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    if (block_to_run == 0)
        sqzi_encoder_embed(j->encoder, &j->batch, &j->keep, j->workspace, j->hidden,
                           j->encoder->width, team);
    else
        sqzi_encoder_run_block(j->encoder, block_to_run - 1, &j->batch, &j->keep, j->workspace,
                               j->hidden, j->encoder->width, team);
}

typedef struct work {
    const sqzi_encoder *encoder;
    sqzi_thread_pool *pool;
    sqzi_workspace workspace;
    uint32_t ids[TOKENS];
    uint8_t types[TOKENS];
    void *memory;
} work;

static void begin(work *w, const sqzi_encoder *encoder, uint32_t threads)
{
    sqz_error error = {0};
    sqzt_random random = sqzt_random_of(5);
    w->encoder = encoder;
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, threads, &w->pool, &error),
                   &error);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_workspace_layout(&w->workspace, encoder, TOKENS, LONGEST, threads, &arena);
    w->memory = aligned_alloc(64, (arena.used + 63) / 64 * 64);
    assert_non_null(w->memory);
    arena = sqzi_arena_over(w->memory, arena.used);
    sqzi_workspace_layout(&w->workspace, encoder, TOKENS, LONGEST, threads, &arena);
    sqzi_profile_watch(&w->workspace, false);
    for (uint32_t t = 0; t < TOKENS; t++) {
        w->ids[t] = (uint32_t)sqzt_below(&random, SQZT_TINY_VOCABULARY);
        w->types[t] = encoder->embedding.type.n_rows
                          ? (uint8_t)sqzt_below(&random, encoder->embedding.type.n_rows)
                          : 0;
    }
}

static void end(work *w)
{
    sqzi_thread_pool_close(w->pool);
    free(w->memory);
}

/* The first `sequences`, keeping what k has memory for. */
static void run(work *w, kept *k, uint32_t sequences, bool keeps, bool steps)
{
    job j = {.encoder = w->encoder,
             .batch = {sequences, first[sequences], LONGEST, first, w->ids, w->types},
             .keep = {.blocks = k->blocks, .embedded_sum = k->embedded_sum},
             .workspace = &w->workspace,
             .hidden = k->hidden,
             .keeps = keeps};
    w->workspace.numeric_error = false;
    if (!steps) sqzi_thread_pool_run(w->pool, w->workspace.members, run_whole, &j);
    for (block_to_run = 0; steps && block_to_run <= w->encoder->n_blocks; block_to_run++)
        sqzi_thread_pool_run(w->pool, w->workspace.members, run_step, &j);
    assert_false(w->workspace.numeric_error);
}

/* Every array that `some` has is that of `all`. */
static void assert_same(kept *all, kept *some, const char *how)
{
    const sqzi_encoder *encoder = all->encoder;
    assert_memory_equal(all->hidden, some->hidden,
                        (size_t)TOKENS * encoder->width * sizeof(sqzi_real));
    for (uint32_t i = 0; i < encoder->n_blocks; i++)
        for (int a = 0; a < ARRAYS; a++) {
            const sqzi_real *x = *array_of(&all->blocks[i], a), *y = *array_of(&some->blocks[i], a);
            if (y && memcmp(x, y, array_n(encoder, &encoder->blocks[i], a) * sizeof *x) != 0)
                fail_msg("%s: array %d of block %u differs", how, a, i);
        }
}

static void check_steps(const sqzi_encoder *encoder, kept *k, sqzi_linear_scratch *scratch)
{
    const sqzk_table *kernels = encoder->kernels;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *b = &encoder->blocks[i];
        const sqzi_block_keep *own = &k->blocks[i];
        const size_t n = (size_t)TOKENS * b->ffn_width;
        sqzi_real *inner = nothing_yet(n);
        assert_made_of(&b->attn_q, own->x, NULL, own->q, scratch, "q");
        assert_made_of(&b->attn_k, own->x, NULL, own->k, scratch, "k");
        assert_made_of(&b->attn_v, own->x, NULL, own->v, scratch, "v");
        assert_made_of(&b->attn_output, own->context, own->x, own->attn_sum, scratch, "attn_sum");
        assert_norm_of(kernels, &b->attn_norm, own->attn_sum, own->attended, "attended");
        assert_made_of(&b->ffn_up, own->attended, NULL, own->up, scratch, "up");
        kernels->activate(b->activation, n, own->up, inner);
        assert_memory_equal(inner, own->inner, n * sizeof *inner);
        assert_made_of(&b->ffn_down, own->inner, own->attended, own->ffn_sum, scratch, "ffn_sum");
        assert_norm_of(kernels, &b->ffn_norm, own->ffn_sum,
                       i + 1 < encoder->n_blocks ? k->blocks[i + 1].x : k->hidden, "out");
        check_scores(b, own->q, own->k, own->scores);
        free(inner);
    }
    if (!encoder->embedding.projected && !encoder->embedding.bare)
        assert_norm_of(kernels, &encoder->embedding.norm, k->embedded_sum, k->blocks[0].x, "x");
}

static void check_shown(const sqzi_encoder *encoder)
{
    work w;
    begin(&w, encoder, 1);
    kept k = new_kept(encoder, X);
    const sqzi_keep keep = {.blocks = k.blocks, .input = count_rows, .user = &k};
    const sqzi_batch batch = {SEQUENCES, TOKENS, LONGEST, first, w.ids, w.types};
    sqzi_encoder_run(encoder, &batch, &keep, &w.workspace, k.hidden, encoder->width,
                     &(sqzi_team){0, 1, NULL});
    for (uint32_t i = 0; i < encoder->n_blocks; i++)
        for (int j = 0; j < SQZI_BLOCK_LINEARS; j++) assert_int_equal(k.rows[i][j], TOKENS);
    discard(&k);
    end(&w);
}

/* One sequence is too few rows to be dealt out: without keep it would be split by columns. */
static void check_few_rows(work *w)
{
    kept none = new_kept(w->encoder, -1), all = new_kept(w->encoder, ARRAYS);
    run(w, &none, 1, false, false);
    run(w, &all, 1, true, false);
    assert_memory_equal(none.hidden, all.hidden,
                        (size_t)first[1] * w->encoder->width * sizeof(sqzi_real));
    discard(&none);
    discard(&all);
}

static void check_model(const sqz_model *model)
{
    const sqzi_encoder *encoder = &model->encoder;
    assert_true(encoder->n_blocks <= MOST_BLOCKS);
    kept all = new_kept(encoder, ARRAYS);
    for (uint32_t threads = 1; threads <= TEAMS; threads++) {
        work w;
        begin(&w, encoder, threads);
        kept none = new_kept(encoder, -1), again = new_kept(encoder, ARRAYS);
        if (threads == 1) {
            run(&w, &all, SEQUENCES, true, false);
            check_steps(encoder, &all, &w.workspace.scratch->linear);
        }
        run(&w, &none, SEQUENCES, false, false);
        assert_same(&all, &none, "nothing kept");
        run(&w, &again, SEQUENCES, true, false);
        assert_same(&all, &again, "all kept");
        discard(&again);
        again = new_kept(encoder, ARRAYS);
        run(&w, &again, SEQUENCES, true, true);
        assert_same(&all, &again, "step by step");
        for (int a = 0; a < ARRAYS; a++) {
            kept one = new_kept(encoder, a);
            run(&w, &one, SEQUENCES, true, false);
            assert_same(&all, &one, "one kept");
            discard(&one);
        }
        check_few_rows(&w);
        discard(&none);
        discard(&again);
        end(&w);
    }
    check_shown(encoder);
    discard(&all);
}

static void what_is_kept_is_what_the_run_made(void **state)
{
    (void)state;
    static const char *const names[] = {"dense", "groups of squeezebert",
                                        "attention narrower than the width",
                                        "sum of groups and low rank, permuted, factorised"};
    static const char *const levels[] = {"portable", "avx2", ""};
    sqz_error error = {0};
    const char *path = sqzt_temporary("keep.gguf");
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        sqz_context *context;
        sqz_model *model;
        size_t n = 0;
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1, .cpu = levels[l]},
                                        &context, &error),
                       &error);
        for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
            for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                if (strcmp(form->name, names[i]) != 0) continue;
                sqzt_tiny_write(&form->tiny, path);
                sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
                check_model(model);
                sqz_model_close(model);
                n++;
            }
        assert_int_equal(n, sizeof names / sizeof *names);
        sqz_context_close(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_kept_is_what_the_run_made)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
