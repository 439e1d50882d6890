/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients whose products are bf16, on every level of this machine: how far they are from those of
 * f32, and what changes no bit of them. Forms of which blocks are narrow stand here: heads and
 * widths of whole lines. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "support/test.h"
#include "support/tiny_pass.h"

#define NARROW                                                                                     \
    .width = 64, .blocks = 2, .heads = 2, .head_width = 32, .ffn_width = 128,                      \
    .embedding_width = 64, .positions = 80, .token_types = 2, .classes = 3

static const sqzt_named_tiny narrow_forms[] = {
    {"narrow", {NARROW, .head = "sequence", .seed = 71}},
    {"narrow of groups", {NARROW, .groups = {2, 2, 2, 1, 2, 1}, .head = "token", .seed = 72}},
    {"narrow, low rank", {NARROW, .rank = 32, .head = "sequence", .pool = "mean", .seed = 73}},
    {"narrow heads of less than the width",
     {.width = 96,
      .blocks = 3,
      .heads = 2,
      .head_width = 32,
      .ffn_width = 64,
      .embedding_width = 32,
      .positions = 80,
      .embed_pool = "mean",
      .seed = 74}},
    {"narrow heads of more than the width",
     {.width = 32,
      .blocks = 2,
      .heads = 3,
      .head_width = 32,
      .ffn_width = 64,
      .embedding_width = 32,
      .positions = 80,
      .embed_pool = "mean",
      .seed = 75}}};
enum { NARROW_FORMS = sizeof narrow_forms / sizeof *narrow_forms };

static const struct {
    const char *name;
    uint32_t features;
} levels[] = {{"portable", 0},
              {"avx2", SQZI_CPU_SSE2 | SQZI_CPU_AVX2},
              {"avx512", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512},
              {"avx512bf16", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 | SQZI_CPU_AVX512BF16},
              {"amx", SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 | SQZI_CPU_AVX512BF16 |
                          SQZI_CPU_AMX},
              {"neon", SQZI_CPU_NEON},
              {"armbf16", SQZI_CPU_NEON | SQZI_CPU_ARMBF16}};

static sqzt_pass_options options_of(uint32_t features, sqzi_type type, double dropout)
{
    return (sqzt_pass_options){.features = features,
                               .type = type,
                               .dropout = dropout,
                               .narrow = true,
                               .members = 1,
                               .lengths = {70, 1, 33, 40, 17},
                               .padding = UINT32_MAX};
}

static double length_of(const sqzi_real *x, const sqzi_real *from, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i] - (from ? (double)from[i] : 0);
        squares += d * d;
    }
    return sqrt(squares);
}

/* A gradient has gone through at most `products` products, 8 of a block each way, 14 where its
 * linears are of low rank, and 4 of embedding and head. Each rounds both operands, by 2^-8 of a
 * number at most and by 0.4 of that in root mean square; roundings do not know of each other, so
 * their squares add: 0.4 sqrt(2 products) 2^-8 of the gradient, and 2.5 times that for what norms
 * and the softmax make of it. Where a gradient is a sum in which most cancels, what does not is of
 * what passed by: 2^-8 of the whole gradient. */
static void expect_near(const char *level, const char *form, const sqzt_pass *p, const sqzt_pass *q)
{
    const bool low_rank = p->model.encoder.blocks[0].attn_q.terms[0].a.packed;
    const double products = (low_rank ? 28.0 : 16.0) * p->model.encoder.n_blocks + 4, unit = 0x1p-8;
    double all = 0, all_off = 0;
    for (uint32_t t = 0; t < p->model.n_tensors; t++) {
        const sqzt_tensor *a = &p->model.tensors[t], *b = &q->model.tensors[t];
        all = hypot(all, length_of(a->grad, NULL, a->n));
        all_off = hypot(all_off, length_of(b->grad, a->grad, a->n));
    }
    assert_true(all_off > 0.1 * unit * all && all_off < 8 * unit * all);
    for (uint32_t t = 0; t < p->model.n_tensors; t++) {
        const sqzt_tensor *a = &p->model.tensors[t], *b = &q->model.tensors[t];
        const double off = length_of(b->grad, a->grad, a->n), of = length_of(a->grad, NULL, a->n);
        if (!(off <= unit * (sqrt(2 * products) * of + all)))
            fail_msg("%s, %s, %s: off by %.3g of %.3g, all gradients are %.3g", level, form,
                     a->name, off, of, all);
    }
}

static void check_form(const char *level, uint32_t features, const sqzt_named_tiny *form,
                       double dropout)
{
    const sqzt_pass_options f32 = options_of(features, SQZI_F32, dropout),
                            bf16 = options_of(features, SQZI_BF16, dropout);
    sqzt_pass p, q;
    sqzt_pass_make(&p, &form->tiny, &f32);
    sqzt_pass_make(&q, &form->tiny, &bf16);
    sqzt_pass_gradients(&p);
    sqzt_pass_gradients(&q);
    expect_near(level, form->name, &p, &q);
    sqzt_pass_free(&p);
    sqzt_pass_free(&q);
}

static void gradients_are_near_those_of_f32_on_every_level(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (levels[i].features & ~sqzi_cpu_detect()) {
            printf("bf16 gradients, %s: not run here\n", levels[i].name);
            continue;
        }
        for (uint32_t variant = 0; variant < 2; variant++) {
            for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
                check_form(levels[i].name, levels[i].features, form, 0.1 * variant);
            for (uint32_t f = 0; f < NARROW_FORMS; f++)
                check_form(levels[i].name, levels[i].features, &narrow_forms[f], 0.1 * variant);
        }
    }
}

/* ---- bits ---- */

static void expect_same(const char *form, const sqzt_pass *p, const sqzt_pass *q)
{
    for (uint32_t t = 0; t < p->model.n_tensors; t++) {
        const sqzt_tensor *a = &p->model.tensors[t], *b = &q->model.tensors[t];
        if (memcmp(a->grad, b->grad, a->n * sizeof *a->grad) != 0)
            fail_msg("%s, %s: other bits with %u threads%s", form, a->name, q->options.members,
                     q->options.recompute ? " and blocks that run again" : "");
    }
}

static void check_bits(const sqzt_named_tiny *form, double dropout)
{
    sqzt_pass_options options = options_of(sqzi_cpu_detect(), SQZI_BF16, dropout);
    sqzt_pass p, q;
    sqzt_pass_make(&p, &form->tiny, &options);
    sqzt_pass_gradients(&p);
    for (uint32_t members = 1; members <= SQZT_MOST_MEMBERS; members++)
        for (int recompute = members == 1; recompute < 2; recompute++) {
            options.members = members;
            options.recompute = recompute;
            sqzt_pass_make(&q, &form->tiny, &options);
            sqzt_pass_gradients(&q);
            expect_same(form->name, &p, &q);
            sqzt_pass_free(&q);
        }
    sqzt_pass_free(&p);
}

static void bits_depend_on_neither_threads_nor_running_again(void **state)
{
    (void)state;
    for (uint32_t variant = 0; variant < 2; variant++) {
        for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
            check_bits(form, 0.1 * variant);
        for (uint32_t f = 0; f < NARROW_FORMS; f++) check_bits(&narrow_forms[f], 0.1 * variant);
    }
}

/* What is kept as bf16 is what was read so; and these forms do keep something so. */
static void being_narrow_changes_no_bit_of_the_forward(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < NARROW_FORMS; f++)
        for (uint32_t variant = 0; variant < 2; variant++) {
            sqzt_pass_options options = options_of(sqzi_cpu_detect(), SQZI_BF16, 0.1 * variant);
            sqzt_pass p, q;
            sqzt_pass_make(&p, &narrow_forms[f].tiny, &options);
            options.narrow = false;
            sqzt_pass_make(&q, &narrow_forms[f].tiny, &options);
            assert_int_equal(p.tape.halves[1].up != NULL,
                             p.model.kernels.attention_bf16->type == SQZI_BF16);
            assert_null(q.tape.halves[1].up);
            (void)sqzt_pass_loss(&p);
            (void)sqzt_pass_loss(&q);
            if (memcmp(p.pass.hidden, q.pass.hidden,
                       p.batch.n_tokens * p.model.encoder.width * sizeof(sqzi_real)) != 0)
                fail_msg("%s: other hidden states", narrow_forms[f].name);
            sqzt_pass_free(&p);
            sqzt_pass_free(&q);
        }
}

/* One trained tensor alone, of blocks that are narrow and of blocks that are not. */
static void what_is_frozen_changes_no_other_gradient(void **state)
{
    static const char *const only[] = {"blk.1",        "blk.0.ffn_up.bias",      "head",
                                       "blk.1.attn_k", "blk.1.attn_output.bias", "token_embd_norm"};
    (void)state;
    for (uint32_t f = 0; f < NARROW_FORMS; f++)
        for (size_t i = 0; i < sizeof only / sizeof *only; i++) {
            sqzt_pass_options options = options_of(sqzi_cpu_detect(), SQZI_BF16, 0.1);
            sqzt_pass p, q;
            sqzt_pass_make(&p, &narrow_forms[f].tiny, &options);
            options.only = only[i];
            options.recompute = i % 2;
            sqzt_pass_make(&q, &narrow_forms[f].tiny, &options);
            sqzt_pass_gradients(&p);
            sqzt_pass_gradients(&q);
            for (uint32_t t = 0; t < p.model.n_tensors; t++) {
                const sqzt_tensor *a = &p.model.tensors[t], *b = &q.model.tensors[t];
                if (*b->grad_at && memcmp(a->grad, b->grad, a->n * sizeof *a->grad) != 0)
                    fail_msg("%s, %s alone: other bits of %s", narrow_forms[f].name, only[i],
                             a->name);
            }
            sqzt_pass_free(&p);
            sqzt_pass_free(&q);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_near_those_of_f32_on_every_level),
        cmocka_unit_test(bits_depend_on_neither_threads_nor_running_again),
        cmocka_unit_test(being_narrow_changes_no_bit_of_the_forward),
        cmocka_unit_test(what_is_frozen_changes_no_other_gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
