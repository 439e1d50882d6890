/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: one block of working memory, and the three ways to run a batch. A run allocates
 * nothing. */
#include <squeezebert/session.h>
#include <string.h>

#include "base/error.h"
#include "model/loader.h"
#include "nn/profile.h"

enum { MAX_TOKENS = 1 << 28 };

struct sqz_session {
    const sqz_model *model;
    sqz_session_options options;
    sqzi_workspace workspace;
    sqzi_head_scratch head;
    sqz_profile *profile; /* or NULL */
    sqzi_real *hidden; /* [max_tokens, C] for what pools or classifies */
    size_t bytes;
};

static bool in_range(const sqz_model *model, const sqz_session_options *options)
{
    return SQZI_RESERVED(options, "", NULL) == SQZ_OK && options->max_tokens >= 1 &&
           options->max_tokens <= MAX_TOKENS && options->max_sequences >= 1 &&
           options->max_length <= model->info.max_positions;
}

/* The session itself and everything it points to. */
static sqz_session *lay_out(const sqz_model *model, const sqz_session_options *options,
                            sqzi_arena *arena)
{
    sqz_session counted, *session = sqzi_arena_take(arena, 1, sizeof *session);
    sqz_session *s = session ? session : &counted;
    memset(s, 0, sizeof *s);
    s->model = model;
    s->options = *options;
    if (!s->options.max_length) s->options.max_length = model->info.max_positions;
    if (s->options.max_length > options->max_tokens) s->options.max_length = options->max_tokens;
    sqzi_workspace_layout(&s->workspace, &model->encoder, options->max_tokens,
                          s->options.max_length, sqzi_thread_pool_size(model->context->pool),
                          arena);
    sqzi_head_layout(&s->head, &model->head, s->workspace.members, arena);
    s->hidden = sqzi_arena_take(arena, (size_t)options->max_tokens * model->encoder.width,
                                sizeof *s->hidden);
    return session;
}

size_t sqz_session_plan(const sqz_model *model, const sqz_session_options *options)
{
    if (!model || !options || !in_range(model, options)) return 0;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    (void)lay_out(model, options, &arena);
    return arena.used == SIZE_MAX ? 0 : arena.used;
}

sqz_status sqz_session_open(const sqz_model *model, const sqz_session_options *options,
                            sqz_session **out, sqz_error *error)
{
    if (!model || !options || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_session_open: an argument is NULL");
    const sqz_status status = SQZI_RESERVED(options, "sqz_session_options", error);
    if (status != SQZ_OK) return status;
    const size_t bytes = sqz_session_plan(model, options);
    if (bytes == 0)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "a session for %u tokens in %u sequences of at most %u: 1 to %d tokens, 1 "
                         "sequence or more, at most %u pieces a sequence",
                         options->max_tokens, options->max_sequences, options->max_length,
                         MAX_TOKENS, model->info.max_positions);
    void *block = sqzi_allocate(&model->context->allocator, bytes);
    if (!block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a session of %zu bytes", bytes);
    sqzi_arena arena = sqzi_arena_over(block, bytes);
    *out = lay_out(model, options, &arena);
    (*out)->bytes = bytes;
    return SQZ_OK;
}

void sqz_session_close(sqz_session *session)
{
    if (session) sqzi_release(&session->model->context->allocator, session, session->bytes);
}

static sqz_status check_batch(const sqz_session *session, const sqz_batch *batch, sqz_error *error)
{
    const sqz_model_info *info = &session->model->info;
    const sqz_session_options *most = &session->options;
    if (!batch || !batch->first || !batch->ids)
        return sqzi_fail(error, SQZ_EINVAL, 0, "the batch, its first or its ids is NULL");
    const sqz_status status = SQZI_RESERVED(batch, "sqz_batch", error);
    if (status != SQZ_OK) return status;
    if (batch->n_sequences < 1 || batch->n_sequences > most->max_sequences || batch->first[0] != 0)
        return sqzi_fail(
            error, SQZ_EINVAL, 0,
            "%u sequences that begin at %u: 1 to %u sequences from 0 on fit this session",
            batch->n_sequences, batch->first[0], most->max_sequences);
    for (uint32_t b = 0; b < batch->n_sequences; b++) {
        const uint32_t begin = batch->first[b], end = batch->first[b + 1];
        if (end <= begin || end - begin > most->max_length || end > most->max_tokens)
            return sqzi_fail(error, SQZ_EINVAL, b,
                             "sequence %u holds tokens %u to %u: 1 to %u tokens a sequence and %u "
                             "in all fit this session",
                             b, begin, end, most->max_length, most->max_tokens);
    }
    for (uint32_t t = 0; t < batch->first[batch->n_sequences]; t++) {
        if (batch->ids[t] >= info->vocabulary)
            return sqzi_fail(error, SQZ_ETOKEN, t, "token %u is %u, the vocabulary has %u", t,
                             batch->ids[t], info->vocabulary);
        if (batch->types && info->n_token_types && batch->types[t] >= info->n_token_types)
            return sqzi_fail(error, SQZ_ETOKEN, t, "the type of token %u is %u, the model has %u",
                             t, (unsigned)batch->types[t], info->n_token_types);
    }
    return SQZ_OK;
}

typedef struct job {
    sqz_session *session;
    sqzi_batch batch;
    sqzi_real *hidden;
    size_t ldh;
} job;

static void run_job(void *argument, const sqzi_team *team)
{
    job *j = argument;
    sqzi_encoder_run(&j->session->model->encoder, &j->batch, NULL, &j->session->workspace,
                     j->hidden, j->ldh, team);
}

static uint64_t clock_for(const sqz_session *session)
{
    return session->profile ? sqzi_clock_ns() : 0;
}

static void add_run(sqz_session *session, const job *j, uint64_t begin)
{
    if (!session->profile) return;
    session->profile->runs++;
    session->profile->wall_ns += sqzi_clock_ns() - begin;
    sqzi_profile_add_run(session->profile, &session->workspace, &session->model->encoder,
                         &j->batch);
    sqzi_profile_watch(&session->workspace, true);
}

void sqz_session_set_profile(sqz_session *session, sqz_profile *profile)
{
    session->profile = profile;
    sqzi_profile_watch(&session->workspace, profile != NULL);
}

const char *sqz_stage_name(sqz_stage stage)
{
    static const char *const names[SQZ_STAGES] = {
        "embedding", "qkv",  "attention", "attention_output", "ffn_up", "ffn_down",
        "norm",      "wait", "head"};
    return (unsigned)stage < SQZ_STAGES ? names[stage] : NULL;
}

static sqz_status numeric_error(sqz_error *error)
{
    return sqzi_fail(error, SQZ_ENUMERIC, 0,
                     "a hidden state is NaN or infinite, which an int8 layer cannot take");
}

/* A batch that check_batch has passed. */
static sqz_status encode(sqz_session *session, const sqz_batch *batch, float *hidden, size_t ldh,
                         sqz_error *error)
{
    const uint64_t begin = clock_for(session);
    job j = {session,
             {batch->n_sequences, batch->first[batch->n_sequences], 0, batch->first, batch->ids,
              batch->types},
             hidden,
             ldh};
    session->workspace.numeric_error = false;
    sqzi_thread_pool_run(session->model->context->pool, session->workspace.members, run_job, &j);
    add_run(session, &j, begin);
    return session->workspace.numeric_error ? numeric_error(error) : SQZ_OK;
}

sqz_status sqz_encode(sqz_session *session, const sqz_batch *batch, float *hidden, size_t ldh,
                      sqz_error *error)
{
    if (!session || !hidden || ldh < session->model->info.width)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "sqz_encode: session or hidden is NULL, or ldh is less than the width");
    const sqz_status status = check_batch(session, batch, error);
    return status == SQZ_OK ? encode(session, batch, hidden, ldh, error) : status;
}

typedef struct head_job {
    sqzi_head_function *run;
    sqzi_head_args args;
} head_job;

static void run_head_job(void *argument, const sqzi_team *team)
{
    const head_job *j = argument;
    j->run(&j->args, team);
}

/* Run a function over the session's hidden states. */
static sqz_status run_head(sqz_session *session, sqzi_head_function *function,
                           const sqzi_head_args *args, sqz_error *error)
{
    head_job j = {function, *args};
    session->head.numeric_error = false;
    j.args.head = &session->model->head;
    j.args.kernels = &session->model->context->kernels;
    j.args.scratch = &session->head;
    j.args.hidden = session->hidden;
    sqzi_thread_pool_run(session->model->context->pool, session->workspace.members, run_head_job,
                         &j);
    return session->head.numeric_error ? numeric_error(error) : SQZ_OK;
}

/* Tokens wanted of a masked language model: all there? */
static sqz_status check_rows(const uint32_t *rows, uint32_t n_rows, uint32_t n_tokens,
                             sqz_error *error)
{
    for (uint32_t i = 0; i < n_rows; i++)
        if (rows[i] >= n_tokens)
            return sqzi_fail(error, SQZ_EINVAL, i, "row %u is token %u, the batch has %u", i,
                             rows[i], n_tokens);
    return SQZ_OK;
}

sqz_status sqz_logits(sqz_session *session, const sqz_batch *batch, const uint32_t *rows,
                      uint32_t n_rows, float *logits, size_t ldl, sqz_error *error)
{
    if (!session || !logits)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_logits: session or logits is NULL");
    const sqzi_head *head = &session->model->head;
    if (head->kind == SQZ_HEAD_NONE)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "the model has no head: it gives hidden states and embeddings");
    if (ldl < head->classes)
        return sqzi_fail(error, SQZ_EINVAL, 0, "ldl is %zu, the head has %u outputs", ldl,
                         head->classes);
    sqz_status status = check_batch(session, batch, error);
    if (status != SQZ_OK) return status;
    const uint32_t n_tokens = batch->first[batch->n_sequences];
    const bool pooled = head->pooling > SQZ_POOLING_NONE,
               chosen = head->kind == SQZ_HEAD_MASKED_LM && rows;
    if (chosen) TRY(check_rows(rows, n_rows, n_tokens, error));
    TRY(encode(session, batch, session->hidden, head->width, error));
    const sqzi_head_args args = {.pooling = head->pooling,
                                 .n = pooled   ? batch->n_sequences
                                      : chosen ? n_rows
                                               : n_tokens,
                                 .first = batch->first,
                                 .rows = chosen ? rows : NULL,
                                 .out = logits,
                                 .ldo = ldl};
    const uint64_t begin = clock_for(session);
    TRY(run_head(session, sqzi_head_logits, &args, error));
    if (session->profile) {
        const uint64_t ns = sqzi_clock_ns() - begin;
        session->profile->wall_ns += ns;
        sqzi_profile_add_head(session->profile, head, args.n, ns * session->workspace.members);
    }
fail:
    return status;
}

/* What the options come to, in the terms of the head. */
static sqz_status settle_embed(const sqz_session *session, const sqz_embed_options *options,
                               size_t ldo, sqzi_head_args *args, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &session->model->info;
    const sqzi_head *head = &session->model->head;
    const sqz_pooling pool = options->pooling == SQZ_POOLING_DEFAULT ? info->pooling
                                                                     : options->pooling;
    const uint32_t most = pool == SQZ_POOLING_NONE ? info->width : head->embedding_width,
                   usual = pool == SQZ_POOLING_NONE ? info->width : info->dimensions,
                   dimensions = options->dimensions ? options->dimensions : usual;
    TRY(SQZI_RESERVED(options, "sqz_embed_options", error));
    FAIL_IF(dimensions > most || ldo < dimensions, SQZ_EINVAL, 0,
            "%u dimensions in rows of %zu: the model has %u", dimensions, ldo, most);
    FAIL_IF((unsigned)pool > SQZ_POOLING_LAST, SQZ_EINVAL, 0, "no pooling has the number %d",
            (int)pool);
    FAIL_IF(pool == SQZ_POOLING_POOLER && !head->has_pooler, SQZ_EINVAL, 0,
            "the model has no pooler; pool by mean or cls");
    FAIL_IF((unsigned)options->normalize > SQZ_NORMALIZE_NO, SQZ_EINVAL, 0,
            "normalize is %d, none of SQZ_NORMALIZE_*", (int)options->normalize);
    args->pooling = pool;
    args->skip = pool == SQZ_POOLING_NONE ? NULL : options->skip;
    args->ldo = ldo;
    args->dimensions = dimensions;
    args->normalize = options->normalize == SQZ_NORMALIZE_DEFAULT
                          ? info->normalize
                          : options->normalize == SQZ_NORMALIZE_YES;
fail:
    return status;
}

sqz_status sqz_embed(sqz_session *session, const sqz_batch *batch, const sqz_embed_options *options,
                     float *out, size_t ldo, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    static const sqz_embed_options defaults;
    sqzi_head_args args = {.out = out};
    FAIL_IF(!session || !out, SQZ_EINVAL, 0, "sqz_embed: an argument is NULL");
    if (!options) options = &defaults;
    TRY(settle_embed(session, options, ldo, &args, error));
    TRY(check_batch(session, batch, error));
    for (uint32_t b = 0; options->skip && b < batch->n_sequences; b++)
        FAIL_IF(options->skip[b] >= batch->first[b + 1] - batch->first[b], SQZ_EINVAL, b,
                "pooling would leave out all of sequence %u", b);
    TRY(encode(session, batch, session->hidden, session->model->info.width, error));
    args.n = args.pooling == SQZ_POOLING_NONE ? batch->first[batch->n_sequences]
                                              : batch->n_sequences;
    args.first = batch->first;
    status = run_head(session, sqzi_head_embed, &args, error);
fail:
    return status;
}
