/* SPDX-License-Identifier: Apache-2.0 */
/* The session: the working memory of one thread of calls, in which no two threads may be at once. A
 * run allocates nothing. */
#ifndef SQUEEZEBERT_SESSION_H
#define SQUEEZEBERT_SESSION_H

#include <squeezebert/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_session sqz_session;

/* A batch of token sequences, packed without padding.
 *
 *   n_sequences  B >= 1
 *   first        [B+1] where sequences begin in the tokens (`cu_seqlens` of attention kernels, the
 *                offsets of a ragged array): first[0] = 0, rising by 1..max_positions; N = first[B]
 *   ids          [N], each < vocabulary
 *   types        [N], each < n_token_types, or NULL for all 0
 */
typedef struct sqz_batch {
    uint32_t n_sequences;
    const uint32_t *first;
    const uint32_t *ids;
    const uint8_t *types;
    uint64_t reserved[2];
} sqz_batch;

/* What a session must hold: tokens and sequences of one batch, and the longest sequence (0 = the
 * model's max_positions). */
typedef struct sqz_session_options {
    uint32_t max_tokens;
    uint32_t max_sequences;
    uint32_t max_length;
    uint64_t reserved[4];
} sqz_session_options;

/* Bytes that sqz_session_open will ask the allocator for, from the same layout code. 0 for options
 * that are out of range, and for NULL. */
SQZ_API size_t sqz_session_plan(const sqz_model *model, const sqz_session_options *options);

/* One allocation, of sqz_session_plan's bytes. The model outlives the session.
 * SQZ_EINVAL: max_tokens or max_sequences 0, more than 2^28 tokens, max_length over the model's. */
SQZ_API SQZ_NODISCARD sqz_status sqz_session_open(const sqz_model *model,
                                                  const sqz_session_options *options,
                                                  sqz_session **session, sqz_error *error);
SQZ_API void sqz_session_close(sqz_session *session);

/* Encode a batch of token sequences; one row of hidden state a token.
 *
 *   for b in 0..B-1, t in first[b]..first[b+1]-1:
 *       hidden[t][:] = encoder(ids[first[b] .. first[b+1]-1])[t - first[b]][:]
 *
 *   hidden    [N, C] f32, row stride ldh >= C elements; unspecified after an error
 *
 * The bits of a row depend on its own sequence alone: not on B, on neighbours or on the number of
 * threads.
 * Uses the context's threads; if another session is using them, runs in this thread alone with the
 * same bits.
 * Cost: 2·P·N multiply-adds for P encoder parameters, plus attention's 2·C·Σ T². Allocates nothing.
 * SQZ_EINVAL: first is not rising, a length exceeds the maximum, the batch exceeds the session, ldh
 * < C. SQZ_ETOKEN: an id or type is out of range (error.offset is its index). SQZ_ENUMERIC: a NaN
 * or infinity met by an int8 layer.
 * Maths: doc/model.md.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_encode(sqz_session *session, const sqz_batch *batch,
                                            float *hidden, size_t ldh, sqz_error *error);

/* The model's head over a batch.
 *
 *   SQZ_HEAD_SEQUENCE, SQZ_HEAD_MULTIPLE_CHOICE   logits [B, K]
 *   SQZ_HEAD_TOKEN, SQZ_HEAD_QUESTION             logits [N, K]
 *   SQZ_HEAD_MASKED_LM                            logits [n_rows, V] for the tokens rows[i] (rows
 *       NULL: all N)
 *
 *   rows      [n_rows] token indices < N; only SQZ_HEAD_MASKED_LM reads it
 *   ldl       row stride of logits, >= K
 *
 * Otherwise as sqz_encode. SQZ_EINVAL also: the model has no head, ldl < K, a row is no token of
 * the batch (error.offset is its place in rows).
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_logits(sqz_session *session, const sqz_batch *batch,
                                            const uint32_t *rows, uint32_t n_rows, float *logits,
                                            size_t ldl, sqz_error *error);

typedef enum sqz_normalizing {
    SQZ_NORMALIZE_DEFAULT, /* what the model file says */
    SQZ_NORMALIZE_YES,
    SQZ_NORMALIZE_NO
} sqz_normalizing;

/* One vector a sequence (or a token, with SQZ_POOLING_NONE): pooled, sent through the layers that
 * the model has behind its pooling (info.n_embed_steps; none with SQZ_POOLING_NONE), cut,
 * normalised.
 *
 *   pooling     SQZ_POOLING_DEFAULT: what the model file says
 *   normalize   whether to divide by the Euclidean length (a zero vector stays zero)
 *   dimensions  keep the first so many numbers and drop the rest, before normalising (Matryoshka);
 *               0 = info.dimensions, or C with SQZ_POOLING_NONE
 *   skip        [B] tokens at the beginning of each sequence that pooling leaves out, fewer than it
 *               has; NULL: none. SQZ_POOLING_NONE, _POOLER and _LAST do not look at it; the weights
 *               of SQZ_POOLING_WEIGHTED_MEAN stay those of the tokens' places
 *   out         [B, dimensions] ([N, dimensions] with SQZ_POOLING_NONE), row stride ldo
 *
 * Otherwise as sqz_encode. SQZ_EINVAL also: SQZ_POOLING_POOLER without a pooler, more dimensions
 * than there are, ldo < dimensions, a sequence that is skipped whole (error.offset is its number).
 */
typedef struct sqz_embed_options {
    sqz_pooling pooling;
    sqz_normalizing normalize;
    uint32_t dimensions;
    const uint32_t *skip;
    uint64_t reserved[4];
} sqz_embed_options;
SQZ_API SQZ_NODISCARD sqz_status sqz_embed(sqz_session *session, const sqz_batch *batch,
                                           const sqz_embed_options *options, float *out, size_t ldo,
                                           sqz_error *error);

/* ---- profiles: where the time of a session's runs goes ----
 *
 * A profile belongs to the caller, who zeroes it; every sqz_encode, sqz_logits and sqz_embed of the
 * session adds to it until another one, or NULL, is set. Without a profile no clock is read. With
 * one, each thread reads the clock at every change of stage, some tens of times a layer and run.
 *
 *   runs, wall_ns   how often the encoder ran; time from call to return
 *   calls, ns       how often the threads were in a stage and their time there, summed over
 *                   threads; what is missing from threads * wall_ns is checking the batch, waking
 *                   threads, pooling
 *   multiply_adds   products of the stage's matrices, from the model's description: norms, softmax
 *                   and activations count nothing
 *   weight_bytes    of the stage's packed weights, each read at least once a run
 *
 * Activations (GELU) count to the linear in front of them, int8's quantising of rows to the linear
 * behind.
 */
typedef enum sqz_stage {
    SQZ_STAGE_EMBEDDING,
    SQZ_STAGE_QKV,
    SQZ_STAGE_ATTENTION,
    SQZ_STAGE_ATTENTION_OUTPUT,
    SQZ_STAGE_FFN_UP,
    SQZ_STAGE_FFN_DOWN,
    SQZ_STAGE_NORM,
    SQZ_STAGE_WAIT, /* for the other threads */
    SQZ_STAGE_HEAD, /* pooling included, and waiting for the other threads in it */
    SQZ_STAGES /* how many there are in this version */
} sqz_stage;
enum { SQZ_MAX_STAGES = 16 };

typedef struct sqz_stage_profile {
    uint64_t calls, ns, multiply_adds, weight_bytes;
    uint64_t reserved[2];
} sqz_stage_profile;
typedef struct sqz_profile {
    uint64_t runs, wall_ns;
    sqz_stage_profile stages[SQZ_MAX_STAGES]; /* by sqz_stage; those from SQZ_STAGES on stay 0 */
    uint64_t reserved[4];
} sqz_profile;
SQZ_API void sqz_session_set_profile(sqz_session *session, sqz_profile *profile);

/* "qkv" for SQZ_STAGE_QKV; NULL for what is no stage. Static storage. */
SQZ_API const char *sqz_stage_name(sqz_stage stage);

#ifdef __cplusplus
}
#endif

#endif
