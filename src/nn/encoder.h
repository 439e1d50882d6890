/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical encoder: embedding, blocks, and what runs them over a packed batch. Import maps
 * every architecture to this; nothing here asks which one it was, and nothing is derived from C/H
 * or from a global F.
 *
 *   e  = norm(word[id] (times its factor, where factorised) + position[t] + type[y]); bare: word
 *        and type alone
 *   x  = W e + b, the embedding projection, where E differs from C
 *   block:  q, k, v = linears(x);  s = q k^T / sqrt(D) per head;  c = softmax(s) v
 *           a  = norm(x + attn_output(c))
 *           x' = norm(a + ffn_down(activation(ffn_up(a))))
 *
 * Work is split in one of three ways, with equal bits: by sequences, each part taking some of them
 * through everything; where they cannot be dealt out evenly, in stages: Q, K, V and attention by
 * heads, then the rest by rows; or, for few rows, by columns of the output projection and by groups
 * of the feed-forward, or columns where it has none. Then members norm all rows, each for itself:
 * that costs less than meeting once more.
 */
#ifndef SQZI_ENCODER_H
#define SQZI_ENCODER_H

#include "nn/linear.h"
#include "nn/stopwatch.h"

typedef struct sqzi_norm {
    const sqzi_real *weight, *bias; /* [n] */
    sqzi_real epsilon;
    uint32_t n;
} sqzi_norm;

/* A table of embeddings as it lies in the file; int8 and packed rows have a scale each.
 *
 * Product quantised, parts > 0, a row is parts numbers of centroids, one behind the other: the rows
 * here are then those of the centroids, [parts * 256, width / parts], and n_rows and width still
 * those of the table. */
typedef struct sqzi_table {
    const void *rows;
    sqzi_type type;
    uint32_t bits; /* of packed rows (io/packed_rows.h), int8 once expanded; else 0 */
    const float *scale;
    uint32_t n_rows, width;
    const uint8_t *codes; /* [n_rows, parts] */
    uint32_t parts;
} sqzi_table;

enum { SQZI_CENTROIDS = 256 }; /* of a part */

typedef struct sqzi_embedding {
    sqzi_table word, position, type; /* n_rows 0: none */
    bool bare; /* neither positions nor a norm */
    bool factorised;
    sqzi_linear factor; /* k to E, of the word row alone, where factorised */
    sqzi_norm norm;
    bool projected;
    sqzi_linear projection;          /* E to C, where they differ */
    uint32_t width;                  /* E */
} sqzi_embedding;

typedef struct sqzi_block {
    uint32_t heads, head_width, ffn_width;
    sqzk_activation activation;
    sqzi_linear attn_q, attn_k, attn_v, attn_output, ffn_up, ffn_down;
    sqzi_norm attn_norm, ffn_norm;
} sqzi_block;

typedef struct sqzi_encoder {
    const sqzk_table *kernels;
    sqzi_embedding embedding;
    sqzi_block *blocks;
    uint32_t n_blocks, width, max_positions;
} sqzi_encoder;

/* Which rows of a block (block.h has its steps) have memory of their own, all rows of the batch
 * without gaps; NULL: they share the workspace's, and are gone when the next step has read them. */
typedef struct sqzi_block_keep {
    sqzi_real *x;                  /* [N, C] what the block reads */
    sqzi_real *q, *k, *v;          /* [N, H·D] */
    /* before the softmax, after the scale: of sequence b and head h at scores + H·(sum of earlier
     * T²) + h·T². The one thing here that is copied */
    sqzi_real *scores;
    sqzi_real *context;            /* [N, H·D] */
    sqzi_real *attn_sum, *attended; /* [N, C] before and after attn_norm */
    sqzi_real *up, *inner;         /* [N, F] before and after the activation */
    sqzi_real *ffn_sum;            /* [N, C] before ffn_norm */
} sqzi_block_keep;

/* What a run leaves besides its result, for teams of any size: the steps write where this says, so
 * keeping costs memory and no copy. The result has the same bits, but for types below f32: where
 * anything is kept all rows are f32, and a GELU that would be written as bf16 may differ by 2^-20,
 * as that of int8 layers may where `up` is kept (doc/kernels.md). */
typedef struct sqzi_keep {
    const sqzi_block_keep *blocks; /* [n_blocks], or NULL: none keeps anything */
    sqzi_real *embedded_sum;       /* [N, E] what the embedding's norm reads, or NULL; NULL where
                                    * that is bare */
    /* NULL, or, of a team of one: called with m rows of n_in numbers before a block's linear or the
     * embedding projection runs on them, each row of the batch once. */
    void (*input)(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx);
    void *user;
} sqzi_keep;

/* Rows of a batch: row i lies at first + (i - origin) * ld. */
typedef struct sqzi_rows {
    sqzi_real *first;
    uint16_t *bf16; /* not NULL: the numbers are bf16 and lie here instead */
    size_t ld, origin;
} sqzi_rows;

static inline sqzi_real *sqzi_row(const sqzi_rows *rows, size_t i)
{
    return rows->first + (i - rows->origin) * rows->ld;
}

static inline uint16_t *sqzi_row_bf16(const sqzi_rows *rows, size_t i)
{
    return rows->bf16 ? rows->bf16 + (i - rows->origin) * rows->ld : NULL;
}

typedef struct sqzi_batch {
    uint32_t n_sequences, n_tokens, longest;
    const uint32_t *first; /* [n_sequences + 1] */
    const uint32_t *ids;
    const uint8_t *types;  /* or NULL */
} sqzi_batch;

/* What attention works in: the packed keys and values of a head, and a strip of its queries. */
typedef struct sqzi_attention_scratch {
    unsigned char *packed_k, *packed_v;
    unsigned char *queries; /* bf16 rows, where the products are */
    sqzi_real *scores;      /* row stride scores_ld */
    uint16_t *weights;      /* the softmax as bf16 rows, where the products are */
    sqzk_s8_row *rows;      /* scales of either, in 16 bits */
    sqzi_real *inverse;
    size_t scores_ld;
} sqzi_attention_scratch;

/* Working memory of one member. */
typedef struct sqzi_member_scratch {
    sqzi_linear_scratch linear;
    sqzi_attention_scratch attention;
    sqzi_real *normed;     /* [strip rows, C] its own copy of rows whose columns are split */
    sqzi_real *row;        /* a word's, where the table is factorised */
    sqzi_stopwatch watch;  /* off but for profiles */
} sqzi_member_scratch;

typedef struct sqzi_workspace {
    uint32_t members, max_tokens, max_length;
    /* [N, max H·D]; the context takes q's place. As bf16 they lie where sqzi_workspace_bf16 says */
    sqzi_real *q, *k, *v;
    sqzi_real *attended;   /* [N, C] */
    sqzi_real *embedded;   /* [N, E] where E differs from C or the table is factorised */
    sqzi_real *ffn;        /* [members, strip rows, max F] */
    size_t qkv_width, ffn_width, strip_rows;
    sqzi_member_scratch *scratch; /* [members] */
    _Atomic bool numeric_error;
} sqzi_workspace;

/* Lay a workspace out in the arena (NULL base: counts). */
void sqzi_workspace_layout(sqzi_workspace *workspace, const sqzi_encoder *encoder,
                           uint32_t max_tokens, uint32_t max_length, uint32_t members,
                           sqzi_arena *arena);

/* The team's part of hidden = encoder(batch); hidden [N, C] with row stride ldh. Every member calls
 * it; returns when all parts are done. */
void sqzi_encoder_run(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep,
                      sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh,
                      const sqzi_team *team);

/* The same step by step, with equal bits: hidden = the embedding of all tokens; hidden = block i of
 * hidden. What is kept as x of a block is read and written there, not in hidden: a block whose x
 * was kept can be run again. */
void sqzi_encoder_embed(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep,
                        sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh,
                        const sqzi_team *team);
void sqzi_encoder_run_block(const sqzi_encoder *encoder, uint32_t i, const sqzi_batch *batch,
                            const sqzi_keep *keep, sqzi_workspace *workspace, sqzi_real *hidden,
                            size_t ldh, const sqzi_team *team);

/* out = row, or with beta 1 out += row, of a table. */
void sqzi_table_row(const sqzi_table *table, const sqzk_table *kernels, uint32_t row, uint32_t beta,
                    sqzi_real *out);

/* The rows of three tables summed to sum, and their norm to out, which may be the same: tokens
 * [begin, end) (embedding.c). */
bool sqzi_embedding_run(const sqzi_embedding *embedding, const sqzk_table *kernels,
                        const sqzi_batch *batch, sqzi_range tokens, const sqzi_rows *sum,
                        const sqzi_rows *out, sqzi_member_scratch *scratch);

/* Whether the block's Q, K and V are rounded to bf16 by attention in any case and can be written so
 * by their linears. */
bool sqzi_attention_in_bf16(const sqzk_table *kernels, const sqzi_block *block);

/* Q, K, V (i = 0, 1, 2) as bf16, [N, max H·D]: beside one another in the memory of k and v, so that
 * of q is the context's. */
uint16_t *sqzi_workspace_bf16(const sqzi_workspace *workspace, uint32_t i);

/* Attention of one head over one sequence, rows [begin, end) of q, k, v and context (attention.c).
 *
 *   q, k, v   all f32 or all bf16
 *   context   f32; may be q where that is f32
 *   scores    NULL, or [T, T] to be kept
 */
typedef struct sqzi_attention_args {
    const sqzk_table *kernels;
    const sqzi_block *block;
    sqzi_attention_scratch *scratch;
    uint32_t head, begin, end;
    sqzi_rows q, k, v, context;
    sqzi_real *scores;
} sqzi_attention_args;

void sqzi_attention_run(const sqzi_attention_args *args);
void sqzi_attention_layout(sqzi_attention_scratch *scratch, const sqzi_encoder *encoder,
                           uint32_t max_length, sqzi_arena *arena);

#endif
