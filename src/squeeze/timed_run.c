/* SPDX-License-Identifier: Apache-2.0 */
/* Runs by the clock, through the session that every program uses. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "squeeze/timed_run.h"

#include <math.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/loader.h"

enum { LENGTH = 128, MOST_TOKENS = 1 << 20, FEW_ROUNDS = 3, LEAST_ROUNDS = 9, MOST_ROUNDS = 200 };

sqz_status sqzi_timed_shape(const sqz_model *model, uint32_t *n_sequences, uint32_t *length,
                            sqz_error *error)
{
    const uint32_t most = model->info.max_positions;
    if (*n_sequences == 0) *n_sequences = 1;
    if (*length == 0) *length = most < LENGTH ? most : LENGTH;
    if (*length > most)
        return sqzi_fail(error, SQZ_EINVAL, 0, "at: a length of %u, and the model reads %u tokens",
                         *length, most);
    if (*n_sequences > MOST_TOKENS / *length)
        return sqzi_fail(error, SQZ_EINVAL, 0, "at: %u sequences of %u tokens, at most %u are",
                         *n_sequences, *length, MOST_TOKENS / *length);
    return SQZ_OK;
}

static const sqz_allocator *allocator_of(const sqzi_timed_run *run)
{
    return &run->model->context->allocator;
}

/* Floats of whatever comes out. */
static size_t outputs(const sqzi_timed_run *run)
{
    const sqz_model_info *info = &run->model->info;
    const size_t tokens = (size_t)run->n_sequences * run->length,
                 widest = info->width > info->dimensions ? info->width : info->dimensions;
    if (info->head == SQZ_HEAD_NONE) return tokens * widest;
    return (info->head == SQZ_HEAD_MASKED_LM ? run->n_sequences : tokens) * info->n_labels;
}

static void draw(const sqzi_timed_run *run)
{
    uint64_t random = 1;
    for (uint32_t b = 0; b <= run->n_sequences; b++) run->first[b] = b * run->length;
    for (uint32_t t = 0; t < run->n_sequences * run->length; t++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        run->ids[t] = (uint32_t)(random >> 33) % run->model->info.vocabulary;
    }
}

sqz_status sqzi_timed_run_open(const sqz_model *model, uint32_t n_sequences, uint32_t length,
                               sqzi_timed_run *run, sqz_error *error)
{
    *run = (sqzi_timed_run){.model = model, .n_sequences = n_sequences, .length = length};
    const uint32_t tokens = n_sequences * length;
    const sqz_session_options room = {.max_tokens = tokens,
                                      .max_sequences = n_sequences,
                                      .max_length = length};
    run->out_bytes = outputs(run) * sizeof *run->out;
    run->first = sqzi_allocate(allocator_of(run), (n_sequences + 1) * sizeof *run->first);
    run->ids = sqzi_allocate(allocator_of(run), tokens * sizeof *run->ids);
    run->out = sqzi_allocate(allocator_of(run), run->out_bytes);
    if (!run->first || !run->ids || !run->out)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a run of %u tokens", tokens);
    draw(run);
    return sqz_session_open(model, &room, &run->session, error);
}

void sqzi_timed_run_close(sqzi_timed_run *run)
{
    if (!run->model) return;
    sqz_session_close(run->session);
    sqzi_release(allocator_of(run), run->first, (run->n_sequences + 1) * sizeof *run->first);
    sqzi_release(allocator_of(run), run->ids,
                 (size_t)run->n_sequences * run->length * sizeof *run->ids);
    sqzi_release(allocator_of(run), run->out, run->out_bytes);
    *run = (sqzi_timed_run){0};
}

/* Of one thread its own time, without what others took of its core meanwhile. */
static uint64_t now_ns(const sqzi_timed_run *run)
{
#if defined CLOCK_THREAD_CPUTIME_ID && !defined __wasi__
    struct timespec t;
    if (sqzi_thread_pool_size(run->model->context->pool) == 1 &&
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
        return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
#endif
    return sqzi_clock_ns();
}

sqz_status sqzi_timed_run_once(const sqzi_timed_run *run, uint64_t *ns, sqz_error *error)
{
    const sqz_model_info *info = &run->model->info;
    const sqz_batch batch = {.n_sequences = run->n_sequences, .first = run->first, .ids = run->ids};
    const bool masked = info->head == SQZ_HEAD_MASKED_LM;
    const uint32_t wide = info->pooling == SQZ_POOLING_NONE ? info->width : info->dimensions;
    const uint64_t begin = now_ns(run);
    const sqz_status status = info->head == SQZ_HEAD_NONE
                                  ? sqz_embed(run->session, &batch, NULL, run->out, wide, error)
                                  : sqz_logits(run->session, &batch, masked ? run->first : NULL,
                                               masked ? run->n_sequences : 0, run->out,
                                               info->n_labels, error);
    *ns = now_ns(run) - begin;
    return status;
}

/* ---- pairs ---- */

/* samples[i] [MOST_ROUNDS] ascending: of the base, and of quotients. */
typedef struct pairs {
    uint32_t n, rounds;
    double (*samples)[MOST_ROUNDS];
    uint64_t spent; /* in all runs */
} pairs;

static void insert(double *ascending, uint32_t n, double value)
{
    for (; n > 0 && ascending[n - 1] > value; n--) ascending[n] = ascending[n - 1];
    ascending[n] = value;
}

static sqz_status run_round(pairs *p, sqzi_timed_once *once, void *user, sqz_error *error)
{
    for (uint32_t i = 1; i < p->n; i++) {
        uint64_t base = 0, ns = 0;
        sqz_status status = once(user, 0, &base, error);
        if (status == SQZ_OK) status = once(user, i, &ns, error);
        if (status != SQZ_OK) return status;
        p->spent += base + ns;
        if (i == 1) insert(p->samples[0], p->rounds, (double)base);
        insert(p->samples[i], p->rounds, (double)ns / (base ? (double)base : 1));
    }
    p->rounds++;
    return SQZ_OK;
}

/* Quartiles are 1.35 standard deviations apart, and a median's error is 1.25 of a mean's. */
static bool are_known(const pairs *p)
{
    for (uint32_t i = 1; i < p->n; i++) {
        const double *s = p->samples[i];
        const double spread = (s[p->rounds * 3 / 4] - s[p->rounds / 4]) / 1.35;
        if (1.25 * spread / sqrt(p->rounds) > 0.005 * s[p->rounds / 2]) return false;
    }
    return true;
}

sqz_status sqzi_times_beside(const sqz_allocator *allocator, uint32_t n, sqzi_timed_once *once,
                             void *user, uint64_t limit_ns, double *ns, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    pairs p = {.n = n};
    p.samples = sqzi_allocate(allocator, n * sizeof *p.samples);
    FAIL_IF(!p.samples, SQZ_ENOMEM, 0, "no memory for the times of %u runs", n);
    for (;;) {
        TRY(run_round(&p, once, user, error));
        const bool late = p.spent > limit_ns;
        if (p.rounds == MOST_ROUNDS || (late && p.rounds >= FEW_ROUNDS)) break;
        if (p.rounds >= LEAST_ROUNDS && are_known(&p)) break;
    }
    ns[0] = p.samples[0][p.rounds / 2];
    for (uint32_t i = 1; i < n; i++) ns[i] = ns[0] * p.samples[i][p.rounds / 2];
fail:
    sqzi_release(allocator, p.samples, n * sizeof *p.samples);
    return status;
}

static sqz_status run_once(void *user, uint32_t i, uint64_t *ns, sqz_error *error)
{
    const sqzi_timed_run *runs = user;
    return sqzi_timed_run_once(&runs[i], ns, error);
}

sqz_status sqzi_time_models(const sqz_model *base, const sqz_model *other, uint32_t n_sequences,
                            uint32_t length, double ns[2], sqz_error *error)
{
    const uint64_t limit = UINT64_C(3000000000);
    sqz_status status = SQZ_OK;
    sqzi_timed_run runs[2] = {0};
    TRY(sqzi_timed_run_open(base, n_sequences, length, &runs[0], error));
    TRY(sqzi_timed_run_open(other, n_sequences, length, &runs[1], error));
    TRY(sqzi_times_beside(allocator_of(runs), 2, run_once, runs, limit, ns, error));
fail:
    for (int i = 0; i < 2; i++) sqzi_timed_run_close(&runs[i]);
    return status;
}
