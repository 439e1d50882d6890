/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one head over one sequence, backward, and forward with dropout. Scores and softmax
 * are made again by strips of queries, as the forward made them, and what a strip adds to dK and dV
 * is added in the order of strips:
 *
 *   P = softmax(s Q K')   P~ = mask P   C = P~ V
 *   dV = P~' dC   dP~ = dC V'   dS = P~ dP~ - P sum P~ dP~   dQ = s dS K   dK = s dS' Q
 *
 * In bf16 models the products are of the type that the forward's are (attention.c); Q, K, V, P~, dC
 * and dS are rounded for them, P and every sum are f32.
 */
#include <math.h>

#include "nn/block_grad.h"

enum { QUERIES = 64, COLUMNS = 16 }; /* as in attention.c */

static const sqzk_gemm *products(const sqzk_table *kernels, const sqzi_block *block)
{
    return sqzi_grad_gemm(&block->attn_q.terms[0].b)->type == SQZI_F32 ? kernels->gemm_f32
                                                           : kernels->attention_bf16;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void sqzi_attention_back_layout(sqzi_attention_back *scratch, const sqzi_encoder *encoder,
                                uint32_t max_length, sqzi_arena *arena)
{
    size_t rows = 0, columns = 0, strip = 0, of_width = 0, of_length = 0;
    for (uint32_t i = 0; i < encoder->n_blocks; i++) {
        const sqzk_gemm *gemm = products(encoder->kernels, &encoder->blocks[i]);
        const size_t width = encoder->blocks[i].head_width;
        rows = larger(rows, sqzk_gemm_packed_bytes(gemm, width, max_length));
        columns = larger(columns, sqzk_gemm_packed_bytes(gemm, max_length, width));
        strip = larger(strip, sqzk_gemm_packed_bytes(gemm, QUERIES, width));
        if (gemm->type == SQZI_F32) continue;
        of_width = larger(of_width, sqzk_gemm_prepared_bytes(gemm, width));
        of_length = larger(of_length, sqzk_gemm_prepared_bytes(gemm, max_length));
    }
    scratch->ld = ((size_t)max_length + COLUMNS - 1) / COLUMNS * COLUMNS;
    const size_t numbers = QUERIES * scratch->ld;
    scratch->k_rows = sqzi_arena_take(arena, rows, 1);
    scratch->v_rows = sqzi_arena_take(arena, rows, 1);
    scratch->k_columns = sqzi_arena_take(arena, columns, 1);
    scratch->strip = sqzi_arena_take(arena, strip, 1);
    scratch->weights = sqzi_arena_take(arena, numbers, sizeof(sqzi_real));
    scratch->dropped = sqzi_arena_take(arena, numbers, sizeof(sqzi_real));
    scratch->d_weights = sqzi_arena_take(arena, numbers, sizeof(sqzi_real));
    scratch->turned = sqzi_arena_take(arena, numbers, sizeof(sqzi_real));
    scratch->of_width = sqzi_arena_take(arena, QUERIES, of_width);
    scratch->of_length = sqzi_arena_take(arena, QUERIES, of_length);
    scratch->inverse = sqzi_arena_take(arena, QUERIES, sizeof(sqzi_real));
}

/* One head of one sequence. */
typedef struct head_run {
    const sqzi_attention_grad_args *args;
    const sqzk_gemm *gemm;
    sqzi_attention_back *scratch;
    size_t width, length, column;
    sqzi_real scale;
} head_run;

static head_run begin(const sqzi_attention_grad_args *args)
{
    const size_t width = args->block->head_width;
    return (head_run){.args = args,
                      .gemm = products(args->kernels, args->block),
                      .scratch = args->scratch,
                      .width = width,
                      .length = args->end - args->begin,
                      .column = args->head * width,
                      .scale = (sqzi_real)(1 / sqrt((double)width))};
}

static size_t strip_of(const head_run *r)
{
    return r->gemm->mr < QUERIES ? QUERIES / r->gemm->mr * r->gemm->mr : QUERIES;
}

/* The head's numbers of the sequence's row i. */
static sqzi_real *row_of(const head_run *r, const sqzi_rows *rows, size_t i)
{
    return sqzi_row(rows, r->args->begin + i) + r->column;
}

/* The same of rows of either type. */
static const void *numbers_of(const head_run *r, const sqzi_rows *rows, size_t i)
{
    return rows->bf16 ? (const void *)(sqzi_row_bf16(rows, r->args->begin + i) + r->column)
                      : row_of(r, rows, i);
}

static sqzi_type type_of(const sqzi_rows *rows)
{
    return rows->bf16 ? SQZI_BF16 : SQZI_F32;
}

/* The head's columns of `rows` of a matrix, as what is multiplied by from the right: as they are,
 * [rows, width], or turned, [width, rows]. */
static void pack_columns(const head_run *r, const sqzi_rows *x, size_t first, size_t rows,
                         unsigned char *packed)
{
    r->gemm->pack(&(sqzk_pack_args){.n = r->width,
                                    .k = rows,
                                    .source = numbers_of(r, x, first),
                                    .n_stride = 1,
                                    .k_stride = x->ld,
                                    .type = type_of(x)},
                  packed);
}

static void pack_rows(const head_run *r, const sqzi_rows *x, unsigned char *packed)
{
    r->gemm->pack(&(sqzk_pack_args){.n = r->length,
                                    .k = r->width,
                                    .source = numbers_of(r, x, 0),
                                    .n_stride = x->ld,
                                    .k_stride = 1,
                                    .type = type_of(x)},
                  packed);
}

/* Rows as the gemm takes them. */
typedef struct operand {
    const void *rows;
    size_t ld_bytes;
} operand;

static operand prepare(const head_run *r, const sqzi_real *x, size_t ldx, size_t rows, size_t k,
                       void *memory)
{
    if (r->gemm->type == SQZI_F32) return (operand){x, ldx * sizeof *x};
    const size_t ld_bytes = sqzk_gemm_prepared_bytes(r->gemm, k);
    (void)r->gemm->prepare(&(
        sqzk_prepare_args){.m = rows, .k = k, .x = x, .ldx = ldx, .out = memory, .ldo = ld_bytes});
    return (operand){memory, ld_bytes};
}

/* The head's columns of a strip. Where they lie as bf16, it is as the gemm wants them. */
static operand strip_rows(const head_run *r, const sqzi_rows *x, size_t query, size_t rows)
{
    if (x->bf16) return (operand){numbers_of(r, x, query), x->ld * sizeof(uint16_t)};
    return prepare(r, row_of(r, x, query), x->ld, rows, r->width, r->scratch->of_width);
}

/* [rows, T] of a strip. */
static operand strip_columns(const head_run *r, const sqzi_real *x, size_t rows)
{
    return prepare(r, x, r->scratch->ld, rows, r->length, r->scratch->of_length);
}

/* c = a b, or c += a b. */
typedef struct product {
    size_t m, n, k;
    operand a;
    const unsigned char *b;
    sqzi_real *c;
    size_t ldc;
    bool add;
} product;

static void multiply(const head_run *r, product p)
{
    const sqzk_epilogue sum = {.residual = p.c, .ldr = p.ldc};
    r->gemm->run(&(sqzk_gemm_args){.m = p.m,
                                   .n = p.n,
                                   .k = p.k,
                                   .a = p.a.rows,
                                   .lda = p.a.ld_bytes,
                                   .b = p.b,
                                   .c = p.c,
                                   .ldc = p.ldc,
                                   .epilogue = p.add ? &sum : NULL});
}

/* [rows, T] numbers for a strip of rows [rows, width] and panels of all tokens, in whole vectors:
 * what lies behind column T is of no use. */
static void against_all(const head_run *r, operand a, const unsigned char *panels, size_t rows,
                        sqzi_real *out)
{
    const size_t columns = (r->length + COLUMNS - 1) / COLUMNS * COLUMNS;
    multiply(r, (product){rows, columns, r->width, a, panels, out, r->scratch->ld, false});
}

/* P~ of P; the strip's rows are where they are among those of all heads. */
static void mask_weights(const head_run *r, size_t query, size_t rows)
{
    sqzi_mask_sequence(&r->args->mask, r->args->sequence,
                       &(sqzi_mask_rows){.row = r->args->head * r->length + query,
                                         .m = rows,
                                         .n = r->length,
                                         .x = r->scratch->weights,
                                         .ldx = r->scratch->ld,
                                         .out = r->scratch->dropped,
                                         .ldo = r->scratch->ld});
}

static void keep_scores(const head_run *r, size_t query, size_t rows)
{
    const sqzi_attention_back *s = r->scratch;
    sqzi_real *to = r->args->scores + query * r->length;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < r->length; j++)
            to[i * r->length + j] = s->weights[i * s->ld + j] * r->scale;
}

/* P and P~ of queries [query, query + rows); the latter comes back. */
static const sqzi_real *make_weights(const head_run *r, size_t query, size_t rows)
{
    const sqzi_attention_back *s = r->scratch;
    against_all(r, strip_rows(r, &r->args->q, query, rows), s->k_rows, rows, s->weights);
    if (r->args->scores) keep_scores(r, query, rows);
    r->args->kernels->softmax(&(sqzk_softmax_args){.m = rows,
                                                   .n = r->length,
                                                   .x = s->weights,
                                                   .ldx = s->ld,
                                                   .scale = r->scale,
                                                   .inverse = s->inverse});
    r->args->kernels->scale_rows(&(sqzk_scale_rows_args){
        .m = rows, .n = r->length, .x = s->weights, .ldx = s->ld, .factor = s->inverse});
    if (!r->args->mask.share) return s->weights;
    mask_weights(r, query, rows);
    return s->dropped;
}

void sqzi_attention_dropped(const sqzi_attention_grad_args *args)
{
    const head_run r = begin(args);
    const size_t strip = strip_of(&r);
    pack_rows(&r, &args->k, r.scratch->k_rows);
    pack_columns(&r, &args->v, 0, r.length, r.scratch->k_columns);
    for (size_t query = 0; query < r.length; query += strip) {
        const size_t rows = r.length - query < strip ? r.length - query : strip;
        const operand weights = strip_columns(&r, make_weights(&r, query, rows), rows);
        multiply(&r, (product){rows, r.width, r.length, weights, r.scratch->k_columns,
                               row_of(&r, &args->context, query), args->context.ld, false});
    }
}

/* out [T, width] (+)= x' y, x [rows, T] of a strip, y its rows of a matrix. */
static void add_turned(const head_run *r, size_t query, size_t rows, operand x, const sqzi_rows *y,
                       const sqzi_rows *out)
{
    sqzi_attention_back *s = r->scratch;
    const bool whole = r->gemm->type == SQZI_F32;
    const size_t number = whole ? sizeof(sqzi_real) : sizeof(uint16_t),
                 ld_bytes = whole ? QUERIES * number : sqzk_gemm_prepared_bytes(r->gemm, rows);
    r->args->grad_kernels->transpose(
        &(sqzk_transpose_args){.m = rows,
                               .n = r->length,
                               .type = whole ? SQZI_F32 : SQZI_BF16,
                               .x = x.rows,
                               .ldx = x.ld_bytes / number,
                               .out = s->turned,
                               .ldo = ld_bytes / number,
                               .filled = whole ? rows : ld_bytes / number});
    pack_columns(r, y, query, rows, s->strip);
    multiply(r, (product){r->length,
                          r->width,
                          rows,
                          {s->turned, ld_bytes},
                          s->strip,
                          row_of(r, out, 0),
                          out->ld,
                          query > 0});
}

/* d P~ in d_weights becomes s dS. */
static void make_d_scores(const head_run *r, size_t query, size_t rows)
{
    sqzi_attention_back *s = r->scratch;
    r->args->grad_kernels->softmax_grad(&(sqzk_softmax_grad_args){
        .m = rows,
        .n = r->length,
        .p = s->weights,
        .dropped = r->args->mask.share ? s->dropped : NULL,
        .ldp = s->ld,
        .dp = s->d_weights,
        .lddp = s->ld,
        .scale = r->scale,
        .add = r->args->d_scores ? r->args->d_scores + query * r->length : NULL,
        .ldadd = r->length});
}

void sqzi_attention_grad(const sqzi_attention_grad_args *args)
{
    const head_run r = begin(args);
    const sqzi_attention_back *s = r.scratch;
    const size_t strip = strip_of(&r);
    pack_rows(&r, &args->k, s->k_rows);
    pack_rows(&r, &args->v, s->v_rows);
    pack_columns(&r, &args->k, 0, r.length, s->k_columns);
    for (size_t query = 0; query < r.length; query += strip) {
        const size_t rows = r.length - query < strip ? r.length - query : strip;
        const operand weights = strip_columns(&r, make_weights(&r, query, rows), rows);
        add_turned(&r, query, rows, weights, &args->d_context, &args->dv);
        against_all(&r, strip_rows(&r, &args->d_context, query, rows), s->v_rows, rows,
                    s->d_weights);
        make_d_scores(&r, query, rows);
        const operand d_scores = strip_columns(&r, s->d_weights, rows);
        multiply(&r, (product){rows, r.width, r.length, d_scores, s->k_columns,
                               row_of(&r, &args->dq, query), args->dq.ld, false});
        add_turned(&r, query, rows, d_scores, &args->q, &args->dk);
    }
}
