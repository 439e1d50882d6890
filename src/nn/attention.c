/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one head over one sequence. Keys and values are packed once; queries go through in strips whose scores stay in cache, so memory grows
 * with T, not with T². In bf16 and s8 models the products are bf16 where the kernel table says so; scores, softmax and context are f32 always. */
#include "nn/encoder.h"

#include <math.h>
#include <string.h>

enum { QUERIES = 64, COLUMNS = 16 }; /* of a strip, at most; scores are computed in whole vectors */

static size_t padded(size_t n)
{
    return (n + COLUMNS - 1) / COLUMNS * COLUMNS;
}

static const sqzk_gemm *products(const sqzk_table *kernels, const sqzi_block *block)
{
    const sqzi_type type = block->attn_q.terms[0].b.gemm->type;
    return type == SQZI_F32 ? kernels->gemm_f32 : type == SQZI_S8 ? kernels->attention_s8 : kernels->attention_bf16;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void sqzi_attention_layout(sqzi_attention_scratch *scratch, const sqzi_encoder *encoder, uint32_t max_length, sqzi_arena *arena)
{
    size_t k_bytes = 0, v_bytes = 0, query_bytes = 0, weight_bytes = 0;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *block = &encoder->blocks[i];
        const sqzk_gemm *gemm = products(encoder->kernels, block);
        k_bytes = larger(k_bytes, sqzk_gemm_packed_bytes(gemm, block->head_width, max_length));
        v_bytes = larger(v_bytes, sqzk_gemm_packed_bytes(gemm, max_length, block->head_width));
        if (gemm->type == SQZI_F32) continue;
        query_bytes = larger(query_bytes, QUERIES * sqzk_gemm_prepared_bytes(gemm, block->head_width));
        weight_bytes = larger(weight_bytes, QUERIES * sqzk_gemm_prepared_bytes(gemm, max_length));
    }
    scratch->packed_k = sqzi_arena_take(arena, k_bytes, 1);
    scratch->packed_v = sqzi_arena_take(arena, v_bytes, 1);
    scratch->queries = sqzi_arena_take(arena, query_bytes, 1);
    scratch->weights = sqzi_arena_take(arena, weight_bytes, 1);
    scratch->inverse = sqzi_arena_take(arena, QUERIES, sizeof *scratch->inverse);
    scratch->scores_ld = padded(max_length);
    scratch->scores = sqzi_arena_take(arena, QUERIES * scratch->scores_ld, sizeof *scratch->scores);
}

static void keep_scores(sqzi_real *scores, const sqzi_real *strip, size_t ld, size_t rows, size_t length, sqzi_real scale)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < length; j++) scores[i * length + j] = strip[i * ld + j] * scale;
}

/* One head of one sequence. */
typedef struct head_args {
    const sqzk_table *kernels;
    const sqzk_gemm *gemm;
    sqzi_attention_scratch *scratch;
    size_t width, length, ld; /* of the head, of the sequence, of q, k and v */
    sqzi_real scale;
} head_args;

/* scores of `rows` queries and all keys. */
static void score(const head_args *a, const sqzi_real *q, size_t rows)
{
    const sqzi_attention_scratch *s = a->scratch;
    const void *from = q;
    size_t ld_bytes = a->ld * sizeof *q;
    if (a->gemm->type != SQZI_F32) {
        from = s->queries;
        ld_bytes = sqzk_gemm_prepared_bytes(a->gemm, a->width);
        (void)a->gemm->prepare(&(sqzk_prepare_args){.m = rows, .k = a->width, .x = q, .ldx = a->ld, .out = s->queries, .ldo = ld_bytes}); /* bf16 takes every number */
    }
    a->gemm->run(&(sqzk_gemm_args){.m = rows, .n = padded(a->length), .k = a->width, .a = from, .lda = ld_bytes, .b = s->packed_k, .c = s->scores, .ldc = s->scores_ld});
}

/* Their softmax times the values, to where the queries were. */
static void mix(const head_args *a, sqzi_real *q, size_t rows)
{
    const sqzi_attention_scratch *s = a->scratch;
    const bool whole = a->gemm->type == SQZI_F32;
    const size_t ld_bytes = whole ? s->scores_ld * sizeof *q : sqzk_gemm_prepared_bytes(a->gemm, a->length);
    a->kernels->softmax(&(sqzk_softmax_args){.m = rows, .n = a->length, .x = s->scores, .ldx = s->scores_ld, .scale = a->scale, .inverse = s->inverse,
                                             .halves = whole ? NULL : s->weights, .ldh = ld_bytes / sizeof *s->weights});
    a->gemm->run(&(sqzk_gemm_args){.m = rows, .n = a->width, .k = a->length, .a = whole ? (const void *)s->scores : s->weights, .lda = ld_bytes, .b = s->packed_v, .c = q, .ldc = a->ld});
    a->kernels->scale_rows(&(sqzk_scale_rows_args){.m = rows, .n = a->width, .x = q, .ldx = a->ld, .factor = s->inverse});
}

void sqzi_attention_run(const sqzk_table *kernels, const sqzi_block *block, sqzi_workspace *workspace, sqzi_attention_scratch *scratch, uint32_t head, uint32_t begin, uint32_t end,
                        sqzi_real *scores)
{
    const sqzk_gemm *gemm = products(kernels, block);
    const size_t ld = workspace->qkv_width, width = block->head_width, length = end - begin, place = begin * ld + head * width;
    const head_args args = {kernels, gemm, scratch, width, length, ld, (sqzi_real)(1 / sqrt((double)width))};
    const size_t strip = gemm->mr < QUERIES ? QUERIES / gemm->mr * gemm->mr : QUERIES;
    gemm->pack(&(sqzk_pack_args){.n = length, .k = width, .source = workspace->k + place, .n_stride = ld, .k_stride = 1, .type = SQZI_F32}, scratch->packed_k);
    gemm->pack(&(sqzk_pack_args){.n = width, .k = length, .source = workspace->v + place, .n_stride = 1, .k_stride = ld, .type = SQZI_F32}, scratch->packed_v);
    for (size_t query = 0; query < length; query += strip) {
        const size_t rows = length - query < strip ? length - query : strip;
        sqzi_real *q = workspace->q + place + query * ld;
        score(&args, q, rows);
        if (scores) keep_scores(scores + query * length, scratch->scores, scratch->scores_ld, rows, length, args.scale);
        mix(&args, q, rows);
    }
}
