/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical encoder: embedding, blocks, and what runs them over a packed batch. Import maps
 * every architecture to this; nothing here asks which one it was, and nothing is derived from C/H
 * or from a global F.
 *
 *   e  = norm(word[id] (projected, where reduced) + position[t] + type[y]), x = W e + b where E
 *      differs from C
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

/* A table of embeddings as it lies in the file; int8 rows have a scale each. */
typedef struct sqzi_table {
    const void *rows;
    sqzi_type type;
    const float *scale;
    uint32_t n_rows, width;
} sqzi_table;

typedef struct sqzi_embedding {
    sqzi_table word, position, type; /* type.n_rows 0: none */
    bool reduced;
    sqzi_linear projection;          /* of the word row alone, where reduced */
    sqzi_norm norm;
    bool resized;
    sqzi_linear output;              /* E to C, where they differ */
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

/* What a run of a team of one stores besides its result, and who sees what its linears read; NULL
 * members are not stored. What is kept is computed as f32:
 * a GELU that would be written as bf16 may differ by 2^-20 (doc/kernels.md). All [n_blocks] arrays
 * of pointers but hidden, which has n_blocks + 1: hidden[0] is the output of the embedding. Scores
 * are those of sequence b and head h at scores[i] + H·(sum of earlier T²) + h·T². */
typedef struct sqzi_keep {
    sqzi_real *const *hidden;           /* [N, C] */
    sqzi_real *const *q, *const *k, *const *v; /* [N, H·D] */
    sqzi_real *const *scores;           /* before the softmax, after the scale */
    /* Called with m rows of n_in numbers before a block's linear or the embedding's output runs on
     * them, each row of the batch once. */
    void (*input)(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx);
    void *user;
} sqzi_keep;

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
    sqzi_real *row;        /* a word's, where the table is reduced */
    sqzi_stopwatch watch;  /* off but for profiles */
} sqzi_member_scratch;

typedef struct sqzi_workspace {
    uint32_t members, max_tokens, max_length;
    /* [N, max H·D]; the context takes q's place. As bf16 they lie where sqzi_workspace_bf16 says */
    sqzi_real *q, *k, *v;
    sqzi_real *attended;   /* [N, C] */
    sqzi_real *embedded;   /* [N, E] where E differs from C or the table is reduced */
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

/* The same step by step, by a team of one, with equal bits: hidden = the embedding of all tokens;
 * hidden = block i of hidden. */
void sqzi_encoder_embed(const sqzi_encoder *encoder, const sqzi_batch *batch, const sqzi_keep *keep,
                        sqzi_workspace *workspace, sqzi_real *hidden, size_t ldh);
void sqzi_encoder_run_block(const sqzi_encoder *encoder, uint32_t i, const sqzi_batch *batch,
                            const sqzi_keep *keep, sqzi_workspace *workspace, sqzi_real *hidden,
                            size_t ldh);

/* x = embedding of tokens [begin, end) (embedding.c). */
bool sqzi_embedding_run(const sqzi_embedding *embedding, const sqzk_table *kernels,
                        const sqzi_batch *batch, size_t begin, size_t end, sqzi_real *embedded,
                        sqzi_real *x, size_t ldx, sqzi_member_scratch *scratch);

/* Whether the block's Q, K and V are rounded to bf16 by attention in any case and can be written so
 * by their linears. */
bool sqzi_attention_in_bf16(const sqzk_table *kernels, const sqzi_block *block);

/* Q, K, V (i = 0, 1, 2) as bf16, [N, max H·D]: beside one another in the memory of k and v, so that
 * of q is the context's. */
uint16_t *sqzi_workspace_bf16(const sqzi_workspace *workspace, uint32_t i);

/* Attention of one head over one sequence of a workspace's q, k, v (attention.c).
 *
 *   in_bf16   q, k and v lie as bf16
 *   scores    NULL, or [T, T] to be kept
 */
typedef struct sqzi_attention_args {
    const sqzk_table *kernels;
    const sqzi_block *block;
    sqzi_workspace *workspace;
    sqzi_attention_scratch *scratch;
    uint32_t head, begin, end;
    bool in_bf16;
    sqzi_real *scores;
} sqzi_attention_args;

void sqzi_attention_run(const sqzi_attention_args *args);
void sqzi_attention_layout(sqzi_attention_scratch *scratch, const sqzi_encoder *encoder,
                           uint32_t max_length, sqzi_arena *arena);

#endif
