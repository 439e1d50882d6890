/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one head against loops in double, at every edge of a strip of queries and of a
 * vector of keys, f32 and bf16 products, on every level; what lies beside the head's columns and
 * the sequence's rows is NaN. */
#include "nn/encoder.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "base/half.h"
#include "base/memory.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/unit_roundoff.h"
#include "support/test.h"

enum { HEADS = 2, D = 24, LD = HEADS * D + 5, BEGIN = 3, MOST = 200 };
static const uint32_t lengths[] = {1,  2,  15, 16,  17,  32,  47,  59,  60,  61,  63,
                                   64, 65, 96, 119, 120, 121, 127, 128, 129, MOST};
static const char *const levels[] = {"portable", "avx2", "avx512", "avx512vnni", "avx512bf16",
                                     "fastbf16", "amx",  "neon",   "armbf16"};
static const double u = SQZT_UNIT_ROUNDOFF, v = 0x1p-8; /* of reals and of bf16 */

/* q, k and v [BEGIN + length + 1, LD]: numbers where this head reads, NaN elsewhere. */
static sqzi_real *numbers(sqzt_random *random, uint32_t length, uint32_t head, double deviation)
{
    sqzi_real *x = malloc((BEGIN + length + 1) * LD * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < (BEGIN + length + 1) * LD; i++) {
        const size_t row = i / LD, column = i % LD;
        x[i] = row >= BEGIN && row < BEGIN + length && column / D == head
                   ? (sqzi_real)(deviation * sqzt_normal(random))
                   : (sqzi_real)NAN;
    }
    return x;
}

typedef struct problem {
    const char *level;
    const sqzk_gemm *gemm; /* of the products */
    uint32_t length, head;
    const sqzi_real *q, *k, *v; /* at the head's first number */
} problem;

/* Half a step of n numbers rounded to at most `most` steps; none for other products than those in
 * 16 bits. */
static double half_step(const problem *p, const sqzi_real *x, uint32_t n, double most)
{
    double largest = 0;
    for (uint32_t i = 0; i < n; i++)
        largest = largest > fabs((double)x[i]) ? largest : fabs((double)x[i]);
    return p->gemm->type == SQZI_S16 ? largest / most / 2 : 0;
}

/* Steps of a column of k numbers in 16 bits (gemm_s16_avx512vnni.c). */
static double column_most(uint32_t k)
{
    return fmin(INT16_MAX, floor(INT32_MAX / (16383.0 * k)));
}

/* Scores of a query, and the most that rounding moves one of them: of each product, or of both its
 * factors in bf16 or in 16 bits. */
static double exact_scores(const problem *p, uint32_t query, double *scores)
{
    const double scale = 1 / sqrt((double)D),
                 each = p->gemm->type == SQZI_BF16 ? 2 * v + (D + 4) * u : (D + 4) * u;
    const sqzi_real *q = p->q + query * LD;
    const double q_off = half_step(p, q, D, 16383);
    double most = 0;
    for (uint32_t t = 0; t < p->length; t++) {
        const sqzi_real *k = p->k + t * LD;
        const double k_off = half_step(p, k, D, column_most(D));
        double sum = 0, size = 0, off = 0;
        for (uint32_t j = 0; j < D; j++) {
            const double product = (double)q[j] * (double)k[j];
            sum += product;
            size += fabs(product);
            off += fabs((double)q[j]) * k_off + (fabs((double)k[j]) + k_off) * q_off;
        }
        scores[t] = sum * scale;
        most = fmax(most, (each * size + off) * scale);
    }
    return 1.05 * most;
}

static double largest_value(const problem *p)
{
    double largest = 0;
    for (uint32_t t = 0; t < p->length; t++)
        for (uint32_t j = 0; j < D; j++) {
            /* not by fmax: gcc 12 for AArch64 faults when it vectorises that in two loops */
            const double magnitude = fabs((double)p->v[t * LD + j]);
            if (magnitude > largest) largest = magnitude;
        }
    return largest;
}

/* What rounding weights and values moves a context by, in parts of the largest value: in 16 bits a
 * weight, of which the largest is 1 and their sum `sum`, by half a step, and a value by half a step
 * of as many keys as meet in one sum. */
static double off_by_rounding(const problem *p, double sum)
{
    if (p->gemm->type == SQZI_F32) return 0;
    if (p->gemm->type == SQZI_BF16) return 3 * v;
    return p->length / (2 * 16383.0) / sum + 0.5 / column_most(p->length < 128 ? p->length : 128);
}

/* A weight is off by e^(2d) - 1 of itself where scores are off by d, and by the roundings of exp,
 * of the sum and of the mean; and by those of e and values. */
static void check_query(const problem *p, uint32_t query, const sqzi_real *context,
                        const sqzi_real *kept)
{
    double scores[MOST], sum = 0, largest = -INFINITY;
    const double d = exact_scores(p, query, scores);
    for (uint32_t t = 0; t < p->length; t++) {
        if (!(fabs((double)kept[t] - scores[t]) <= d))
            fail_msg("%s, %u tokens: score %u of query %u is %g, %g +- %.2g expected", p->level,
                     p->length, t, query, (double)kept[t], scores[t], d);
        largest = fmax(largest, scores[t]);
    }
    for (uint32_t t = 0; t < p->length; t++) sum += scores[t] = exp(scores[t] - largest);
    const double bound = 1.05 * largest_value(p) *
                         (expm1(2 * d) + (2 * p->length + 16) * u + off_by_rounding(p, sum));
    for (uint32_t j = 0; j < D; j++) {
        double wanted = 0;
        for (uint32_t t = 0; t < p->length; t++)
            wanted += scores[t] / sum * (double)p->v[t * LD + j];
        const double error = fabs((double)context[j] - wanted);
        if (!(error <= bound))
            fail_msg("%s, %u tokens: number %u of query %u is %g, %g +- %.2g expected", p->level,
                     p->length, j, query, (double)context[j], wanted, bound);
    }
}

/* One head; the context takes the place of q, and nothing else changes. */
static void check_head(const sqzi_encoder *encoder, const sqzk_gemm *gemm, const char *level,
                       uint32_t length, uint32_t head)
{
    sqzt_random random = sqzt_random_of(length * HEADS + head);
    sqzi_real *q = numbers(&random, length, head, 1.5), *k = numbers(&random, length, head, 1),
              *values = numbers(&random, length, head, 1);
    sqzi_real *before = malloc((BEGIN + length + 1) * LD * sizeof *before),
              *scores = malloc(length * length * sizeof *scores);
    assert_true(before && scores);
    memcpy(before, q, (BEGIN + length + 1) * LD * sizeof *q);
    sqzi_attention_scratch scratch;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_attention_layout(&scratch, encoder, length, &arena);
    sqzt_guarded memory = sqzt_guarded_open((arena.used + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT *
                                            SQZI_ALIGNMENT);
    memset(memory.p, 0xFF, memory.bytes); /* NaN */
    arena = sqzi_arena_over(memory.p, memory.bytes);
    sqzi_attention_layout(&scratch, encoder, length, &arena);
    sqzi_attention_run(&(sqzi_attention_args){.kernels = encoder->kernels,
                                              .block = encoder->blocks,
                                              .scratch = &scratch,
                                              .head = head,
                                              .begin = BEGIN,
                                              .end = BEGIN + length,
                                              .q = {.first = q, .ld = LD},
                                              .k = {.first = k, .ld = LD},
                                              .v = {.first = values, .ld = LD},
                                              .context = {.first = q, .ld = LD},
                                              .scores = scores});
    const size_t place = BEGIN * LD + head * D;
    const problem p = {level, gemm, length, head, before + place, k + place, values + place};
    for (uint32_t i = 0; i < length; i++) {
        check_query(&p, i, q + place + i * LD, scores + (size_t)i * length);
        memcpy(q + place + i * LD, before + place + i * LD, D * sizeof *q);
    }
    assert_memory_equal(q, before, (BEGIN + length + 1) * LD * sizeof *q);
    sqzt_guarded_close(&memory);
    sqzi_real *const all[] = {q, k, values, before, scores};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void every_length_is_the_softmax_of_its_scores_times_its_values(void **state)
{
    (void)state;
    sqz_error error = {0};
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        uint32_t features;
        sqzk_table kernels;
        sqzt_assert_ok(sqzi_cpu_mask(sqzi_cpu_detect(), levels[l], &features, &error), &error);
        sqzk_table_init(&kernels, features);
        /* of the model */
        const sqzk_gemm *const weights[] = {kernels.gemm_f32, kernels.gemm_bf16, kernels.gemm_s8};
        const sqzk_gemm *const products[] = {kernels.gemm_f32, kernels.attention_bf16,
                                             kernels.attention_s8};
        for (size_t type = 0; type < 3; type++) {
            sqzi_block block = {.heads = HEADS, .head_width = D};
            block.attn_q.terms[0].b.gemm = weights[type];
            const sqzi_encoder encoder = {.kernels = &kernels, .blocks = &block, .n_blocks = 1};
            for (size_t at = 0; at < sizeof lengths / sizeof *lengths; at++)
                check_head(&encoder, products[type], levels[l], lengths[at], at % HEADS);
        }
    }
}

/* Where Q, K and V can come as bf16, they give the bits of the same numbers as f32: attention
 * rounds those. */
static void check_bf16(const sqzk_table *kernels, const sqzk_gemm *gemm, uint32_t length)
{
    enum { WIDTH = 32, WIDE = HEADS * WIDTH };
    sqzi_block block = {.heads = HEADS, .head_width = WIDTH};
    sqzi_linear *const linears[] = {&block.attn_q, &block.attn_k, &block.attn_v};
    for (int i = 0; i < 3; i++) {
        linears[i]->n_terms = 1;
        linears[i]->terms[0].b.gemm = gemm;
    }
    const sqzi_encoder encoder = {.kernels = kernels, .blocks = &block, .n_blocks = 1};
    if (!sqzi_attention_in_bf16(kernels, &block)) return;
    sqzt_random random = sqzt_random_of(length);
    const size_t n = (BEGIN + (size_t)length) * WIDE;
    sqzi_real *memory = malloc(6 * n * sizeof *memory);
    assert_non_null(memory);
    /* f32, whose context takes the place of q; then bf16, whose context lies beside them */
    sqzi_rows rows[2][3],
        context[2] = {{.first = memory, .ld = WIDE}, {.first = memory + 5 * n, .ld = WIDE}};
    for (size_t i = 0; i < 3 * n; i++) memory[i] = (sqzi_real)sqzt_normal(&random);
    for (size_t i = 0; i < 3; i++) {
        uint16_t *halves = (uint16_t *)(void *)(memory + 3 * n) + i * n;
        rows[0][i] = (sqzi_rows){.first = memory + i * n, .ld = WIDE};
        rows[1][i] = (sqzi_rows){.bf16 = halves, .ld = WIDE};
        for (size_t j = 0; j < n; j++) halves[j] = sqzi_to_bf16((float)memory[i * n + j]);
    }
    sqzi_attention_scratch scratch;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_attention_layout(&scratch, &encoder, length, &arena);
    void *space = aligned_alloc(SQZI_ALIGNMENT, (arena.used + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT *
                                                    SQZI_ALIGNMENT);
    assert_non_null(space);
    arena = sqzi_arena_over(space, arena.used);
    sqzi_attention_layout(&scratch, &encoder, length, &arena);
    for (uint32_t run = 0; run < 2 * HEADS; run++)
        sqzi_attention_run(&(sqzi_attention_args){.kernels = kernels,
                                                  .block = &block,
                                                  .scratch = &scratch,
                                                  .head = run / 2,
                                                  .begin = BEGIN,
                                                  .end = BEGIN + length,
                                                  .q = rows[run % 2][0],
                                                  .k = rows[run % 2][1],
                                                  .v = rows[run % 2][2],
                                                  .context = context[run % 2]});
    for (size_t j = BEGIN * WIDE; j < n; j++)
        if (memcmp(&context[0].first[j], &context[1].first[j], sizeof *memory) != 0)
            fail_msg("%u tokens: number %zu of the context is %g from bf16, %g from f32", length, j,
                     (double)context[1].first[j], (double)context[0].first[j]);
    free(space);
    free(memory);
}

static void bf16_rows_give_the_bits_of_f32_rows(void **state)
{
    (void)state;
    sqzk_table kernels;
    sqzk_table_init(&kernels, sqzi_cpu_detect());
    for (size_t at = 0; at < sizeof lengths / sizeof *lengths; at++) {
        check_bf16(&kernels, kernels.gemm_bf16, lengths[at]);
        check_bf16(&kernels, kernels.gemm_s8, lengths[at]);
    }
    for (uint32_t length = 1; length < 70; length++) check_bf16(&kernels, kernels.gemm_s8, length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_is_the_softmax_of_its_scores_times_its_values),
        cmocka_unit_test(bf16_rows_give_the_bits_of_f32_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
