/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's clock: a batch of other random ids each time, so that nothing can be remembered,
 * timed from memory to logits, in one session or in several at once; and its parts. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

double bench_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_summarise(bench_times *times, uint32_t n)
{
    double *sorted = cli_allocate(NULL, n * sizeof *sorted), sum = 0, squares = 0;
    memcpy(sorted, times->ms, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    for (uint32_t i = 0; i < n; i++) sum += sorted[i];
    times->mean = sum / n;
    for (uint32_t i = 0; i < n; i++)
        squares += (sorted[i] - times->mean) * (sorted[i] - times->mean);
    times->deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
    times->median = (sorted[n / 2] + sorted[(n - 1) / 2]) / 2;
    times->min = sorted[0];
    times->p10 = sorted[n / 10];
    times->p90 = sorted[n - 1 - n / 10];
    free(sorted);
}

const char *bench_type(const sqz_model *model)
{
    static const char *const types[][2] = {
        {"F32", "f32"}, {"F16", "f16"}, {"BF16", "bf16"}, {"I8", "s8"}};
    enum { N_TYPES = sizeof types / sizeof *types };
    uint64_t bytes[N_TYPES] = {0};
    uint32_t most = 0;
    sqz_tensor_info tensor;
    for (uint32_t i = 0; sqz_model_tensor(model, i, &tensor); i++)
        for (uint32_t t = 0;
             t < N_TYPES && strncmp(tensor.name, "blk.", 4) == 0 && tensor.n_dims > 1; t++)
            if (strcmp(tensor.type, types[t][0]) == 0) bytes[t] += tensor.bytes;
    for (uint32_t t = 1; t < N_TYPES; t++)
        if (bytes[t] > bytes[most]) most = t;
    return types[most][1];
}

/* One shape ready to run: session, inputs, outputs. */
typedef struct bench_run {
    const sqz_model_info *info;
    sqz_session *session;
    uint32_t *first, *ids;
    uint8_t *types; /* of tokenised texts; NULL for random ids */
    float *out;
    sqz_batch batch;
    uint64_t random;
} bench_run;

static bench_run open_run(const sqz_model *model, const bench_shape *shape, uint64_t seed)
{
    bench_run run = {.info = sqz_model_get_info(model), .random = seed};
    sqz_error error = {0};
    run.first = cli_allocate(NULL, (shape->n + 1) * sizeof *run.first);
    run.first[0] = 0;
    for (uint32_t b = 0; b < shape->n; b++) run.first[b + 1] = run.first[b] + shape->lengths[b];
    cli_check(sqz_session_open(model,
                               &(sqz_session_options){.max_tokens = shape->n_tokens,
                                                      .max_sequences = shape->n,
                                                      .max_length = shape->longest},
                               &run.session, &error),
              &error);
    run.ids = cli_allocate(NULL, shape->n_tokens * sizeof *run.ids);
    const size_t hidden = (size_t)shape->n_tokens * run.info->width,
                 logits = (size_t)(run.info->head == SQZ_HEAD_MASKED_LM ? shape->n
                                                                        : shape->n_tokens) *
                          run.info->n_labels;
    run.out = cli_allocate(NULL, (hidden > logits ? hidden : logits) * sizeof *run.out);
    run.batch = (sqz_batch){.n_sequences = shape->n, .first = run.first, .ids = run.ids};
    return run;
}

static void close_run(bench_run *run)
{
    sqz_session_close(run->session);
    free(run->first);
    free(run->ids);
    free(run->types);
    free(run->out);
}

static void draw_ids(bench_run *run)
{
    for (uint32_t t = 0; t < run->first[run->batch.n_sequences]; t++) {
        run->random = run->random * 6364136223846793005u + 1442695040888963407u;
        run->ids[t] = (uint32_t)(run->random >> 33) % run->info->vocabulary;
    }
}

static void encode(bench_run *run)
{
    sqz_error error = {0};
    cli_check(sqz_encode(run->session, &run->batch, run->out, run->info->width, &error), &error);
}

/* Logits; of a masked language model those of one token a sequence; hidden states where there is no
 * head. */
static void compute(bench_run *run)
{
    const bool masked = run->info->head == SQZ_HEAD_MASKED_LM;
    sqz_error error = {0};
    if (run->info->head == SQZ_HEAD_NONE) encode(run);
    else
        cli_check(sqz_logits(run->session, &run->batch, masked ? run->first : NULL,
                             masked ? run->batch.n_sequences : 0, run->out, run->info->n_labels,
                             &error),
                  &error);
}

static double *new_times(const bench_row *row)
{
    return cli_allocate(NULL, row->plan->samples * sizeof(double));
}

static double time_once(bench_run *run)
{
    draw_ids(run);
    const double begin = bench_now_ms();
    compute(run);
    return bench_now_ms() - begin;
}

/* A session that runs beside others, in a thread of its own. */
typedef struct bench_caller {
    bench_run run;
    const bench_plan *plan;
    double *ms;                        /* [samples] */
    _Atomic uint32_t *begun, *finished; /* sessions that are warm, that have their samples */
} bench_caller;

/* It runs, uncounted, also while others are not warm yet or not done, so that each sample is taken
 * beside all of them. */
static void *call(void *argument)
{
    bench_caller *c = argument;
    for (uint32_t i = 0; i < c->plan->warm_up; i++) (void)time_once(&c->run);
    ++*c->begun;
    while (*c->begun < c->plan->sessions) (void)time_once(&c->run);
    for (uint32_t i = 0; i < c->plan->samples; i++) c->ms[i] = time_once(&c->run);
    ++*c->finished;
    while (*c->finished < c->plan->sessions) (void)time_once(&c->run);
    return NULL;
}

static void time_sessions(const sqz_model *model, bench_row *row)
{
    const bench_plan *plan = row->plan;
    _Atomic uint32_t begun = 0, finished = 0;
    bench_caller *callers = cli_allocate(NULL, plan->sessions * sizeof *callers);
    pthread_t *threads = cli_allocate(NULL, plan->sessions * sizeof *threads);
    row->run.ms = cli_allocate(NULL, (size_t)plan->sessions * plan->samples * sizeof *row->run.ms);
    for (uint32_t i = 0; i < plan->sessions; i++)
        callers[i] = (bench_caller){open_run(model, row->shape, i + 1), plan,
                                    row->run.ms + (size_t)i * plan->samples, &begun, &finished};
    for (uint32_t i = 1; i < plan->sessions; i++)
        if (pthread_create(&threads[i], NULL, call, &callers[i]) != 0)
            cli_die(CLI_NO_RESOURCE, "cannot start thread %u of %u for --sessions", i + 1,
                    plan->sessions);
    (void)call(&callers[0]);
    for (uint32_t i = 1; i < plan->sessions; i++) pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < plan->sessions; i++) close_run(&callers[i].run);
    bench_summarise(&row->run, plan->sessions * plan->samples);
    free(callers);
    free(threads);
}

/* As many runs again with a profile, apart from those that count. */
static void profile_run(bench_run *run, bench_row *row)
{
    memset(&row->profile, 0, sizeof row->profile);
    sqz_session_set_profile(run->session, &row->profile);
    for (uint32_t i = 0; i < row->plan->samples; i++) {
        draw_ids(run);
        compute(run);
    }
    sqz_session_set_profile(run->session, NULL);
}

static void tokenize(const sqz_model *model, bench_run *run, const bench_texts *texts,
                     sqz_encoding *encoding)
{
    sqz_error error = {0};
    for (uint32_t b = 0; b < run->batch.n_sequences; b++) {
        const uint32_t n = run->first[b + 1] - run->first[b];
        cli_check(sqz_tokenize(sqz_model_tokenizer(model), texts->texts[b], NULL,
                               &(sqz_tokenize_options){.max_length = n}, encoding, &error),
                  &error);
        memcpy(run->ids + run->first[b], sqz_encoding_ids(encoding), n * sizeof *run->ids);
        memcpy(run->types + run->first[b], sqz_encoding_types(encoding), n);
    }
}

/* Tokenise, encode, head, and everything in one go: one sample of each a round. The head's time is
 * what a profile of the run says of it. */
static void time_stages(const sqz_model *model, bench_run *run, bench_row *row)
{
    const bench_plan *plan = row->plan;
    bench_times *const all[] = {&row->tokenize, &row->encode, &row->head, &row->whole};
    enum { N_STAGES = sizeof all / sizeof *all };
    sqz_error error = {0};
    sqz_encoding *encoding;
    cli_check(sqz_encoding_open(sqz_model_context(model), &encoding, &error), &error);
    run->types = cli_allocate(NULL, row->shape->n_tokens);
    run->batch.types = run->info->n_token_types ? run->types : NULL;
    for (uint32_t s = 0; s < N_STAGES; s++) all[s]->ms = new_times(row);
    for (uint32_t i = 0; i < plan->warm_up + plan->samples; i++) {
        bench_texts texts = bench_make_texts(model, row->shape, plan->text_path);
        sqz_profile profile = {0};
        double at[5];
        at[0] = bench_now_ms();
        tokenize(model, run, &texts, encoding);
        at[1] = bench_now_ms();
        encode(run);
        at[2] = bench_now_ms();
        sqz_session_set_profile(run->session, &profile);
        compute(run);
        sqz_session_set_profile(run->session, NULL);
        at[3] = bench_now_ms();
        tokenize(model, run, &texts, encoding);
        compute(run);
        at[4] = bench_now_ms();
        bench_free_texts(&texts);
        if (i < plan->warm_up) continue;
        const double ms[N_STAGES] = {at[1] - at[0], at[2] - at[1],
                                     (double)profile.stages[SQZ_STAGE_HEAD].ns / 1e6 /
                                         row->n_threads,
                                     at[4] - at[3]};
        for (uint32_t s = 0; s < N_STAGES; s++) all[s]->ms[i - plan->warm_up] = ms[s];
    }
    for (uint32_t s = 0; s < N_STAGES; s++) bench_summarise(all[s], plan->samples);
    sqz_encoding_close(encoding);
}

void bench_measure(const sqz_model *model, bench_row *row)
{
    time_sessions(model, row);
    if (!row->plan->profile && !row->plan->roofline && !row->plan->stages) return;
    bench_run run = open_run(model, row->shape, 1);
    if (row->plan->profile || row->plan->roofline) profile_run(&run, row);
    if (row->plan->stages) time_stages(model, &run, row);
    close_run(&run);
}

void bench_in_turn(sqz_model *const *models, uint32_t n, uint32_t sequences, uint32_t length,
                   uint32_t samples, double *median)
{
    enum { WARM_UP = 3 };
    uint32_t *lengths = cli_allocate(NULL, sequences * sizeof *lengths);
    bench_run *runs = cli_allocate(NULL, n * sizeof *runs);
    double *ms = cli_allocate(NULL, (size_t)n * samples * sizeof *ms);
    const bench_shape shape = {sequences, sequences * length, length, lengths, true, ""};
    for (uint32_t b = 0; b < sequences; b++) lengths[b] = length;
    for (uint32_t i = 0; i < n; i++) runs[i] = open_run(models[i], &shape, i + 1);
    for (uint32_t round = 0; round < WARM_UP + samples; round++)
        for (uint32_t i = 0; i < n; i++) {
            const double took = time_once(&runs[i]);
            if (round >= WARM_UP) ms[(size_t)i * samples + round - WARM_UP] = took;
        }
    for (uint32_t i = 0; i < n; i++) {
        bench_times times = {.ms = ms + (size_t)i * samples};
        bench_summarise(&times, samples);
        median[i] = times.median;
        close_run(&runs[i]);
    }
    free(ms);
    free(runs);
    free(lengths);
}

void bench_release(bench_row *row)
{
    bench_times *const all[] = {&row->run, &row->tokenize, &row->encode, &row->head, &row->whole};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]->ms);
        all[i]->ms = NULL;
    }
}
