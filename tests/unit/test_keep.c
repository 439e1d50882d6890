/* SPDX-License-Identifier: Apache-2.0 */
/* What a run keeps besides its result: hidden states that the block's linears make the kept q, k
 * and v of, to the bit; scores that are those of the kept q and k; every row of every linear shown
 * once. Sequences fill more than a strip, so that kept rows and the workspace's lie apart. */
#include <math.h>
#include <stdlib.h>

#include "model/loader.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { SEQUENCES = 6, MOST_BLOCKS = 2, LINEARS = 6 };
static const uint32_t first[SEQUENCES + 1] = {0, 40, 41, 80, 113, 153, 155};
enum { TOKENS = 155, LONGEST = 40 };

typedef struct kept {
    sqzi_real *hidden[MOST_BLOCKS + 1], *q[MOST_BLOCKS], *k[MOST_BLOCKS], *v[MOST_BLOCKS],
        *scores[MOST_BLOCKS];
    const sqzi_encoder *encoder;
    size_t rows[MOST_BLOCKS][LINEARS]; /* seen by each linear */
} kept;

static sqzi_real *nothing_yet(size_t n)
{
    sqzi_real *x = malloc(n * sizeof *x);
    assert_non_null(x);
    memset(x, 0xFF, n * sizeof *x);
    return x;
}

static size_t scores_n(const sqzi_block *block)
{
    size_t n = 0;
    for (uint32_t b = 0; b < SEQUENCES; b++)
        n += (size_t)block->heads * (first[b + 1] - first[b]) * (first[b + 1] - first[b]);
    return n;
}

static kept new_kept(const sqzi_encoder *encoder)
{
    kept k = {.encoder = encoder};
    for (uint32_t i = 0; i <= encoder->n_blocks; i++)
        k.hidden[i] = nothing_yet((size_t)TOKENS * encoder->width);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *block = &encoder->blocks[i];
        sqzi_real **const each[] = {&k.q[i], &k.k[i], &k.v[i]};
        for (int j = 0; j < 3; j++)
            *each[j] = nothing_yet((size_t)TOKENS * block->heads * block->head_width);
        k.scores[i] = nothing_yet(scores_n(block));
    }
    return k;
}

static void discard(kept *k)
{
    for (int i = 0; i <= MOST_BLOCKS; i++) free(k->hidden[i]);
    for (int i = 0; i < MOST_BLOCKS; i++) {
        free(k->q[i]);
        free(k->k[i]);
        free(k->v[i]);
        free(k->scores[i]);
    }
}

static void count_rows(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x,
                       size_t ldx)
{
    kept *k = user;
    (void)x;
    assert_true(ldx >= linear->n_in);
    for (uint32_t i = 0; i < k->encoder->n_blocks; i++) {
        const sqzi_block *b = &k->encoder->blocks[i];
        const sqzi_linear *const linears[LINEARS] = {&b->attn_q,      &b->attn_k, &b->attn_v,
                                                     &b->attn_output, &b->ffn_up, &b->ffn_down};
        for (int j = 0; j < LINEARS; j++)
            if (linear == linears[j]) k->rows[i][j] += m;
    }
}

/* Row by row: the same bits as the run's by the law of bits. */
static void assert_made_of(const sqzi_linear *linear, const sqzi_real *x, const sqzi_real *y,
                           sqzi_linear_scratch *scratch, const char *what)
{
    sqzi_real *row = nothing_yet(linear->n_out);
    for (size_t t = 0; t < TOKENS; t++) {
        const sqzi_linear_args args = {
            .m = 1, .x = x + t * linear->n_in, .ldx = linear->n_in, .y = row, .ldy = linear->n_out};
        assert_true(sqzi_linear_run(linear, &args, scratch));
        if (memcmp(row, y + t * linear->n_out, linear->n_out * sizeof *row) != 0)
            fail_msg("%s of token %zu is not made of the kept hidden states", what, t);
    }
    free(row);
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

static void run(const sqzi_encoder *encoder, const sqzi_keep *keep, sqzi_workspace *workspace,
                sqzi_real *hidden)
{
    uint32_t ids[TOKENS];
    uint8_t types[TOKENS];
    sqzt_random random = sqzt_random_of(5);
    for (uint32_t t = 0; t < TOKENS; t++) {
        ids[t] = (uint32_t)sqzt_below(&random, SQZT_TINY_VOCABULARY);
        types[t] = encoder->embedding.type.n_rows
                       ? (uint8_t)sqzt_below(&random, encoder->embedding.type.n_rows)
                       : 0;
    }
    const sqzi_batch batch = {SEQUENCES, TOKENS, LONGEST, first, ids, types};
    sqzi_encoder_run(encoder, &batch, keep, workspace, hidden, encoder->width,
                     &(sqzi_team){0, 1, NULL});
    assert_false(workspace->numeric_error);
}

static void check_model(const sqz_model *model)
{
    const sqzi_encoder *encoder = &model->encoder;
    const size_t bytes = (size_t)TOKENS * encoder->width * sizeof(sqzi_real);
    sqzi_workspace workspace;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_workspace_layout(&workspace, encoder, TOKENS, LONGEST, 1, &arena);
    void *memory = aligned_alloc(64, (arena.used + 63) / 64 * 64);
    assert_non_null(memory);
    arena = sqzi_arena_over(memory, arena.used);
    sqzi_workspace_layout(&workspace, encoder, TOKENS, LONGEST, 1, &arena);
    assert_true(encoder->n_blocks <= MOST_BLOCKS);
    kept k = new_kept(encoder);
    const sqzi_keep keep = {.hidden = k.hidden,
                            .q = k.q,
                            .k = k.k,
                            .v = k.v,
                            .scores = k.scores,
                            .input = count_rows,
                            .user = &k};
    sqzi_real *alone = malloc(bytes), *kept_too = malloc(bytes);
    assert_true(alone && kept_too);
    run(encoder, NULL, &workspace, alone);
    run(encoder, &keep, &workspace, kept_too);
    assert_memory_equal(alone, kept_too, bytes);
    assert_memory_equal(alone, k.hidden[encoder->n_blocks], bytes);
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *block = &encoder->blocks[i];
        assert_made_of(&block->attn_q, k.hidden[i], k.q[i], &workspace.scratch->linear, "q");
        assert_made_of(&block->attn_k, k.hidden[i], k.k[i], &workspace.scratch->linear, "k");
        assert_made_of(&block->attn_v, k.hidden[i], k.v[i], &workspace.scratch->linear, "v");
        check_scores(block, k.q[i], k.k[i], k.scores[i]);
        for (int j = 0; j < LINEARS; j++) assert_int_equal(k.rows[i][j], TOKENS);
    }
    free(alone);
    free(kept_too);
    free(memory);
    discard(&k);
}

static void what_is_kept_is_what_the_run_made(void **state)
{
    (void)state;
    static const char *const names[] = {"dense", "groups of squeezebert",
                                        "attention narrower than the width",
                                        "sum of groups and low rank, permuted, reduced"};
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    const char *path = sqzt_temporary("keep.gguf");
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    size_t n = 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_kept_is_what_the_run_made)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
