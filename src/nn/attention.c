/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one head over one sequence. Keys and values are packed once; queries go through in
 * strips whose scores stay in cache, so memory grows with T, not with T². In bf16 and s8 models the
 * products are bf16 where the kernel table says so; scores, softmax and context are f32 always. */
#include "nn/encoder.h"

#include <math.h>
#include <string.h>

/* of a strip, at most; scores are computed in whole vectors; keys whose weights meet their values
 * in one sum of 16 bits */
enum { QUERIES = 64, COLUMNS = 16, KEYS_S16 = 128 };

static size_t padded(size_t n)
{
    return (n + COLUMNS - 1) / COLUMNS * COLUMNS;
}

static const sqzk_gemm *products(const sqzk_table *kernels, const sqzi_block *block)
{
    const sqzi_type type = block->attn_q.terms[0].b.gemm->type;
    return type == SQZI_F32  ? kernels->gemm_f32
           : type == SQZI_S8 ? kernels->attention_s8
                             : kernels->attention_bf16;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Keys whose values are packed as one matrix. */
static size_t keys_at_once(const sqzk_gemm *gemm, size_t length)
{
    return gemm->type == SQZI_S16 && length > KEYS_S16 ? KEYS_S16 : length;
}

static size_t values_bytes(const sqzk_gemm *gemm, size_t length, size_t width)
{
    const size_t keys = keys_at_once(gemm, length);
    return (length + keys - 1) / keys * sqzk_gemm_packed_bytes(gemm, keys, width);
}

void sqzi_attention_layout(sqzi_attention_scratch *scratch, const sqzi_encoder *encoder,
                           uint32_t max_length, sqzi_arena *arena)
{
    size_t k_bytes = 0, v_bytes = 0, query_bytes = 0, weight_bytes = 0;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzi_block *block = &encoder->blocks[i];
        const sqzk_gemm *gemm = products(encoder->kernels, block);
        k_bytes = larger(k_bytes, sqzk_gemm_packed_bytes(gemm, block->head_width, max_length));
        v_bytes = larger(v_bytes, values_bytes(gemm, max_length, block->head_width));
        if (gemm->type == SQZI_F32) continue;
        query_bytes = larger(query_bytes,
                             QUERIES * sqzk_gemm_prepared_bytes(gemm, block->head_width));
        weight_bytes = larger(weight_bytes, QUERIES * sqzk_gemm_prepared_bytes(gemm, max_length));
    }
    scratch->packed_k = sqzi_arena_take(arena, k_bytes, 1);
    scratch->packed_v = sqzi_arena_take(arena, v_bytes, 1);
    scratch->queries = sqzi_arena_take(arena, query_bytes, 1);
    scratch->weights = sqzi_arena_take(arena, weight_bytes, 1);
    scratch->rows = sqzi_arena_take(arena, QUERIES, sizeof *scratch->rows);
    scratch->inverse = sqzi_arena_take(arena, QUERIES, sizeof *scratch->inverse);
    scratch->scores_ld = padded(max_length);
    scratch->scores = sqzi_arena_take(arena, QUERIES * scratch->scores_ld, sizeof *scratch->scores);
}

static void keep_scores(sqzi_real *scores, const sqzi_real *strip, size_t ld, size_t rows,
                        size_t length, sqzi_real scale)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < length; j++) scores[i * length + j] = strip[i * ld + j] * scale;
}

bool sqzi_attention_in_bf16(const sqzk_table *kernels, const sqzi_block *block)
{
    const sqzk_gemm *gemm = products(kernels, block);
    return gemm->type == SQZI_BF16 &&
           sqzk_gemm_prepared_bytes(gemm, block->head_width) ==
               block->head_width * sizeof(uint16_t) &&
           sqzi_linear_writes_bf16(&block->attn_q) && sqzi_linear_writes_bf16(&block->attn_k) &&
           sqzi_linear_writes_bf16(&block->attn_v);
}

uint16_t *sqzi_workspace_bf16(const sqzi_workspace *workspace, uint32_t i)
{
    return i == 2 ? (uint16_t *)(void *)workspace->v
                  : (uint16_t *)(void *)workspace->k +
                        i * workspace->max_tokens * workspace->qkv_width;
}

/* One head of one sequence. */
typedef struct head_args {
    const sqzk_table *kernels;
    const sqzk_gemm *gemm;
    sqzi_attention_scratch *scratch;
    size_t width, length; /* of the head, of the sequence */
    sqzi_real scale;
} head_args;

/* A head's numbers of a sequence. */
typedef struct head_rows {
    const void *first;
    sqzi_type type;
    size_t ld;
} head_rows;

static head_rows rows_of_head(const sqzi_rows *rows, size_t begin, size_t column)
{
    if (rows->bf16) return (head_rows){sqzi_row_bf16(rows, begin) + column, SQZI_BF16, rows->ld};
    return (head_rows){sqzi_row(rows, begin) + column, SQZI_F32, rows->ld};
}

/* From f32, or from bf16 alone where that is what the products take. */
static void pack_values(const head_args *a, head_rows v)
{
    const size_t keys = keys_at_once(a->gemm, a->length), bytes = sqzi_type_bytes(v.type);
    unsigned char *packed = a->scratch->packed_v;
    for (size_t key = 0; key < a->length;
         key += keys, packed += sqzk_gemm_packed_bytes(a->gemm, keys, a->width))
        a->gemm->pack(&(sqzk_pack_args){.n = a->width,
                                        .k = a->length - key < keys ? a->length - key : keys,
                                        .source = (const unsigned char *)v.first +
                                                  key * v.ld * bytes,
                                        .n_stride = 1,
                                        .k_stride = v.ld,
                                        .type = v.type},
                      packed);
}

/* Rows that the products take, as they lie or prepared. */
typedef struct queries {
    const void *rows;
    size_t ld_bytes;
} queries;

static queries prepare(const head_args *a, const sqzi_real *q, size_t ld, size_t rows)
{
    if (a->gemm->type == SQZI_F32) return (queries){q, ld * sizeof *q};
    const size_t ld_bytes = sqzk_gemm_prepared_bytes(a->gemm, a->width);
    /* bf16 and s16 take every number */
    (void)a->gemm->prepare(&(sqzk_prepare_args){.m = rows,
                                                .k = a->width,
                                                .x = q,
                                                .ldx = ld,
                                                .out = a->scratch->queries,
                                                .ldo = ld_bytes,
                                                .s8_rows = a->scratch->rows});
    return (queries){a->scratch->queries, ld_bytes};
}

/* scores of `rows` queries and all keys. */
static void score(const head_args *a, queries q, size_t rows)
{
    const sqzi_attention_scratch *s = a->scratch;
    a->gemm->run(&(sqzk_gemm_args){.m = rows,
                                   .n = padded(a->length),
                                   .k = a->width,
                                   .a = q.rows,
                                   .lda = q.ld_bytes,
                                   .s8_rows = s->rows,
                                   .b = s->packed_k,
                                   .c = s->scores,
                                   .ldc = s->scores_ld});
}

/* The same in 16 bits: what the sum of the softmax divides by goes into the scales of rows. */
static void mix_s16(const head_args *a, sqzi_real *context, size_t ldc, size_t rows)
{
    const sqzi_attention_scratch *s = a->scratch;
    const size_t ld_bytes = sqzk_gemm_prepared_bytes(a->gemm, a->length),
                 keys = keys_at_once(a->gemm, a->length),
                 block_bytes = sqzk_gemm_packed_bytes(a->gemm, keys, a->width);
    const unsigned char *weights = (const unsigned char *)s->weights, *values = s->packed_v;
    a->kernels->softmax(&(sqzk_softmax_args){.m = rows,
                                             .n = a->length,
                                             .x = s->scores,
                                             .ldx = s->scores_ld,
                                             .scale = a->scale,
                                             .inverse = s->inverse});
    (void)a->gemm->prepare(&(sqzk_prepare_args){.m = rows,
                                                .k = a->length,
                                                .x = s->scores,
                                                .ldx = s->scores_ld,
                                                .out = s->weights,
                                                .ldo = ld_bytes,
                                                .s8_rows = s->rows});
    for (size_t i = 0; i < rows; i++) s->rows[i].scale *= (float)s->inverse[i];
    for (size_t key = 0; key < a->length;
         key += keys, weights += keys * sizeof(int16_t), values += block_bytes)
        a->gemm->run(&(sqzk_gemm_args){.m = rows,
                                       .n = a->width,
                                       .k = a->length - key < keys ? a->length - key : keys,
                                       .a = weights,
                                       .lda = ld_bytes,
                                       .s8_rows = s->rows,
                                       .b = values,
                                       .c = context,
                                       .ldc = ldc,
                                       .beta = key > 0});
}

/* Their softmax times the values. */
static void mix(const head_args *a, sqzi_real *context, size_t ldc, size_t rows)
{
    const sqzi_attention_scratch *s = a->scratch;
    const bool whole = a->gemm->type == SQZI_F32;
    const size_t ld_bytes = whole ? s->scores_ld * sizeof *s->scores
                                  : sqzk_gemm_prepared_bytes(a->gemm, a->length);
    a->kernels->softmax(&(sqzk_softmax_args){.m = rows,
                                             .n = a->length,
                                             .x = s->scores,
                                             .ldx = s->scores_ld,
                                             .scale = a->scale,
                                             .inverse = s->inverse,
                                             .halves = whole ? NULL : s->weights,
                                             .ldh = ld_bytes / sizeof *s->weights});
    a->gemm->run(&(sqzk_gemm_args){.m = rows,
                                   .n = a->width,
                                   .k = a->length,
                                   .a = whole ? (const void *)s->scores : s->weights,
                                   .lda = ld_bytes,
                                   .b = s->packed_v,
                                   .c = context,
                                   .ldc = ldc});
    a->kernels->scale_rows(&(sqzk_scale_rows_args){
        .m = rows, .n = a->width, .x = context, .ldx = ldc, .factor = s->inverse});
}

/* Queries that lie as the products take them, or prepared. */
static queries take_queries(const head_args *a, const sqzi_attention_args *args, size_t query,
                            size_t column, size_t rows)
{
    const size_t row = args->begin + query;
    if (args->q.bf16)
        return (queries){sqzi_row_bf16(&args->q, row) + column, args->q.ld * sizeof(uint16_t)};
    return prepare(a, sqzi_row(&args->q, row) + column, args->q.ld, rows);
}

void sqzi_attention_run(const sqzi_attention_args *args)
{
    sqzi_attention_scratch *scratch = args->scratch;
    const sqzk_gemm *gemm = products(args->kernels, args->block);
    const size_t width = args->block->head_width, length = args->end - args->begin,
                 column = args->head * width;
    const head_args a = {args->kernels, gemm,   scratch,
                         width,         length, (sqzi_real)(1 / sqrt((double)width))};
    const size_t strip = gemm->mr < QUERIES ? QUERIES / gemm->mr * gemm->mr : QUERIES;
    const head_rows k = rows_of_head(&args->k, args->begin, column);
    gemm->pack(&(sqzk_pack_args){.n = length,
                                 .k = width,
                                 .source = k.first,
                                 .n_stride = k.ld,
                                 .k_stride = 1,
                                 .type = k.type},
               scratch->packed_k);
    pack_values(&a, rows_of_head(&args->v, args->begin, column));
    for (size_t query = 0; query < length; query += strip) {
        const size_t rows = length - query < strip ? length - query : strip;
        sqzi_real *context = sqzi_row(&args->context, args->begin + query) + column;
        score(&a, take_queries(&a, args, query, column, rows), rows);
        if (args->scores)
            keep_scores(args->scores + query * length, scratch->scores, scratch->scores_ld, rows,
                        length, a.scale);
        if (gemm->type == SQZI_S16) mix_s16(&a, context, args->context.ld, rows);
        else mix(&a, context, args->context.ld, rows);
    }
}
