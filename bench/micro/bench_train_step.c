/* SPDX-License-Identifier: Apache-2.0 */
/* How near a training step comes to what the machine can do.
 *
 *   bench_train_step [--threads N] [--precision f32|bf16] [--batch mixed|AxB|LENGTHS]...
 *                    [--samples S] [--parts] [--teacher FILE] MODEL...
 *   bench_train_step [--threads N] [--precision f32|bf16] --serve FILE MODEL
 *
 * A step is the trainer's own: forward with dropout 0.1, backward, norm, AdamW, matrices packed
 * again, of a new two-class head. Batches are random ids: `mixed` (32 sentences of 10 to 49
 * pieces, 743 in all), A sequences of B pieces, or lengths with commas between them. The floor is
 *
 *   3 x the forward's operations / peak + 28 bytes x numbers that are trained / bandwidth
 *
 * where both are measured before each step by the same threads: a loop over registers of the gemm's
 * instruction (src/kernel/peak), and reading the trainer's own numbers once. A ratio is the median
 * over samples of step over floor. One thread's times are its CPU time, those of several the
 * clock's. --parts: steps between the others say where the time goes (step_watch.h), in parts of
 * the floor.
 *
 * --teacher: the step is of a distillation, MODEL learns hidden states and vectors of FILE, without
 * dropout and without a head; the time of sqz_encode of FILE on the same batch, taken before each
 * step, is added to the floor.
 *
 * --serve: FILE holds a batch a line, as lengths with spaces between them. For each line that is
 * read from the standard input the next batch is trained, and its seconds are written, the clock's
 * and all threads' CPU time; before them a line "ready NUMBERS", numbers that are trained.
 */
#define _GNU_SOURCE
#include "base/cpu.h"
#include "micro/step_data.h"
#include "micro/step_watch.h"
#include "nn/profile.h"

enum { MOST_BATCHES = 8, MOST_SAMPLES = 1001 };

typedef struct options {
    uint32_t threads;
    size_t samples, n_batches, n_models;
    batch batches[MOST_BATCHES];
    const char *names[MOST_BATCHES];
    const char *const *models;
    const char *serve, *teacher;
    bool parts, bf16;
} options;

/* ---- the trainer ---- */

typedef struct bench {
    sqz_context *context;
    sqz_trainer *trainer;
    data *data;
    double operations; /* of a step, of the first batch */
    const sqzk_peak *peak;
    uint64_t rounds;
    sqz_model *teacher; /* NULL: none */
    sqz_session *session;
    sqz_batch batch;
    float *hidden;
} bench;

static void fail(const char *what, const sqz_error *error)
{
    fprintf(stderr, "bench_train_step: %s: %s\n", what, error->text);
    exit(2);
}

static double operations_of(const sqz_trainer *t, const batch *b)
{
    static uint32_t first[MOST_SEQUENCES + 1];
    sqz_profile profile = {0};
    sqzi_workspace none = {0};
    for (uint32_t i = 0; i < b->n; i++) first[i + 1] = first[i] + b->lengths[i];
    sqzi_profile_add_run(&profile, &none, &t->trainable.model->encoder,
                         &(sqzi_batch){.n_sequences = b->n, .n_tokens = b->tokens, .first = first});
    if (!t->recipe.distil) sqzi_profile_add_head(&profile, &t->trainable.model->head, b->n, 0);
    double operations = 0;
    for (int s = 0; s < SQZ_STAGES; s++)
        operations += 2.0 * (double)profile.stages[s].multiply_adds;
    return 3 * operations;
}

static void open_teacher(bench *b, const char *path, const batch *of)
{
    sqz_error error;
    uint32_t *first = take(of->n + 1, sizeof *first);
    for (uint32_t i = 0; i < of->n; i++) first[i + 1] = first[i] + of->lengths[i];
    if (sqz_model_open(b->context, path, &b->teacher, &error)) fail(path, &error);
    const sqz_session_options most = {.max_tokens = of->tokens, .max_sequences = of->n};
    if (sqz_session_open(b->teacher, &most, &b->session, &error)) fail(path, &error);
    b->batch = (sqz_batch){.n_sequences = of->n, .first = first, .ids = b->data->ids};
    b->hidden = take(of->tokens, sqz_model_get_info(b->teacher)->width * sizeof *b->hidden);
}

static void open_bench(bench *b, const options *o, const char *path, const batch *batches,
                       uint32_t n)
{
    sqz_error error;
    sqz_model *model = NULL;
    const sqz_distil_recipe distil = {
        .teacher = o->teacher, .weights = {[SQZ_DISTIL_HIDDEN] = 1, [SQZ_DISTIL_POOLED] = 5}};
    const sqz_train_recipe recipe = {.epochs = 1u << 20,
                                     .lr = 1e-5,
                                     .seed = 1,
                                     .dropout = o->teacher ? -1 : 0,
                                     .precision = o->bf16 ? SQZ_PRECISION_BF16 : SQZ_PRECISION_F32,
                                     .distil = o->teacher ? &distil : NULL};
    *b = (bench){0};
    if (sqz_context_open(&(sqz_context_options){.n_threads = o->threads}, &b->context, &error))
        fail("a context", &error);
    if (sqz_model_open(b->context, path, &model, &error)) fail(path, &error);
    b->data = make_data(batches, n, sqz_model_get_info(model)->vocabulary);
    sqz_model_close(model);
    if (o->teacher) {
        open_teacher(b, o->teacher, batches);
        b->data->train.labels = NULL;
        b->data->train.n_labels = 0;
    }
    watch_context(b->context);
    if (sqz_trainer_open(b->context, path, &recipe, &b->data->train, &b->trainer, &error))
        fail(path, &error);
    watch_trainer(b->trainer);
    b->operations = operations_of(b->trainer, &batches[0]);
    b->peak = peak_of(o->bf16 ? watch.kernels.gemm_bf16 : watch.kernels.gemm_f32);
    b->rounds = 20 * peak_rounds(b->peak);
}

static void close_bench(bench *b)
{
    sqz_trainer_close(b->trainer);
    sqz_session_close(b->session);
    sqz_model_close(b->teacher);
    sqz_context_close(b->context);
    free((void *)b->batch.first);
    free(b->hidden);
    free_data(b->data);
}

typedef struct seconds {
    double wall, cpu;
} seconds;

static double clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static seconds measure(bench *b, void (*work)(bench *b))
{
    const double wall = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    work(b);
    return (seconds){clock_of(CLOCK_MONOTONIC) - wall, clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu};
}

static void step(bench *b)
{
    sqz_error error;
    sqz_train_progress progress;
    if (sqzi_trainer_step(b->trainer, &progress, &error)) fail("a step", &error);
}

static void run_teacher(bench *b)
{
    sqz_error error;
    const size_t width = sqz_model_get_info(b->teacher)->width;
    if (sqz_encode(b->session, &b->batch, b->hidden, width, &error)) fail("the teacher", &error);
}

static void peak_part(void *argument, const sqzi_team *team)
{
    const bench *b = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t part; sqzi_take_part(&turn, 4 * team->members, &part);) b->peak->run(b->rounds);
}

static void run_peak(bench *b)
{
    sqzi_thread_pool *pool = b->context->pool;
    sqzi_thread_pool_run(pool, sqzi_thread_pool_size(pool), peak_part, b);
}

enum { READ_BYTES = 1 << 20 };

static void read_part(void *argument, const sqzi_team *team)
{
    const bench *b = argument;
    const sqzi_parameters *p = &b->trainer->trainable.parameters;
    const sqzk_reader *reader = sqzk_reader_best(sqzi_cpu_detect());
    sqzi_turn turn = {.team = team};
    for (uint32_t part; sqzi_take_part(&turn, (uint32_t)(p->bytes / READ_BYTES), &part);)
        (void)reader->run((const unsigned char *)p->block + (size_t)part * READ_BYTES, READ_BYTES);
}

static void run_reader(bench *b)
{
    sqzi_thread_pool *pool = b->context->pool;
    sqzi_thread_pool_run(pool, sqzi_thread_pool_size(pool), read_part, b);
}

/* ---- figures ---- */

typedef struct samples {
    double wall[MOST_SAMPLES], cpu[MOST_SAMPLES], floor[MOST_SAMPLES], ratio[MOST_SAMPLES],
        peak[MOST_SAMPLES], bandwidth[MOST_SAMPLES], teacher[MOST_SAMPLES],
        part[STEP_PARTS + 1][MOST_SAMPLES];
} samples;

static double of_clock(const options *o, seconds s)
{
    return o->threads == 1 ? s.cpu : s.wall;
}

static void sample_floor(bench *b, const options *o, samples *s, size_t i)
{
    const sqzi_parameters *p = &b->trainer->trainable.parameters;
    const double peak_seconds = of_clock(o, measure(b, run_peak)),
                 read_seconds = of_clock(o, measure(b, run_reader));
    s->peak[i] = 4.0 * o->threads * (double)(b->rounds * b->peak->operations) / peak_seconds;
    s->bandwidth[i] = (double)(p->bytes / READ_BYTES * READ_BYTES) / read_seconds;
    s->floor[i] = b->operations / s->peak[i] + 28.0 * (double)p->n_trained / s->bandwidth[i];
    if (!b->teacher) return;
    s->teacher[i] = of_clock(o, measure(b, run_teacher));
    s->floor[i] += s->teacher[i];
}

/* In parts of the floor; what no watch saw is the last. */
static void sample_parts(bench *b, samples *s, size_t i, double floor)
{
    watch_clear();
    watch.on = true;
    double rest = measure(b, step).cpu;
    watch.on = false;
    rest -= 2e-9 * (double)(watch.reading * atomic_load(&watch.calls));
    for (int p = 0; p < STEP_PARTS; p++) {
        const double part = 1e-9 * (double)atomic_load(&watch.ns[p]);
        s->part[p][i] = part / floor;
        rest -= part;
    }
    s->part[STEP_PARTS][i] = rest / floor;
}

static void report_parts(samples *s, size_t n)
{
    for (int p = 0; p <= STEP_PARTS; p++) {
        const double share = median(s->part[p], n);
        if (share > 0)
            printf("    %-22s %6.1f%%\n", p < STEP_PARTS ? step_part_names[p] : "all else",
                   100 * share);
    }
}

static void run_batch(const options *o, const char *path, size_t which)
{
    static samples s;
    bench b;
    const char *name = strrchr(path, '/');
    open_bench(&b, o, path, &o->batches[which], 1);
    step(&b);
    watch_calibrate();
    for (size_t i = 0; i < o->samples; i++) {
        sample_floor(&b, o, &s, i);
        const seconds taken = measure(&b, step);
        s.wall[i] = taken.wall;
        s.cpu[i] = taken.cpu;
        s.ratio[i] = of_clock(o, taken) / s.floor[i];
        if (o->parts) sample_parts(&b, &s, i, s.floor[i] * o->threads);
    }
    printf("%-20s %-8s %-4s %2u %9.1f %9.1f %9.1f %8.1f %8.1f %8.1f %7.2f\n",
           name ? name + 1 : path, o->names[which], o->bf16 ? "bf16" : "f32", o->threads,
           1e3 * median(s.wall, o->samples), 1e3 * median(s.cpu, o->samples), b.operations * 1e-9,
           1e-9 * median(s.peak, o->samples), 1e-9 * median(s.bandwidth, o->samples),
           1e3 * median(s.floor, o->samples), median(s.ratio, o->samples));
    if (b.teacher) printf("    the teacher %34.1f ms\n", 1e3 * median(s.teacher, o->samples));
    if (o->parts) report_parts(&s, o->samples);
    fflush(stdout);
    close_bench(&b);
}

/* ---- steps on request ---- */

static batch *read_batches(const char *path, uint32_t *n)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    batch *all = NULL;
    *n = 0;
    while (file && getline(&line, &room, file) > 0) {
        batch *more = realloc(all, (*n + 1) * sizeof *all);
        if (!more) no_memory((*n + 1) * sizeof *all);
        all = more;
        if (!read_lengths(line, ' ', &all[(*n)++])) {
            fprintf(stderr,
                    "bench_train_step: %s: line %u is no batch: lengths of 1 to %d with "
                    "spaces between them\n",
                    path, *n, MOST_LENGTH);
            exit(2);
        }
    }
    if (!file || !*n) {
        fprintf(stderr, "bench_train_step: %s: no batches\n", path);
        exit(2);
    }
    free(line);
    fclose(file);
    return all;
}

static void serve(const options *o)
{
    uint32_t n;
    bench b;
    batch *batches = read_batches(o->serve, &n);
    char line[16];
    open_bench(&b, o, o->models[0], batches, n);
    printf("ready %zu\n", b.trainer->trainable.parameters.n_trained);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        const seconds taken = measure(&b, step);
        printf("%.6f %.6f\n", taken.wall, taken.cpu);
        fflush(stdout);
    }
    close_bench(&b);
    free(batches);
}

/* ---- the command line ---- */

static bool read_size(const char *text, size_t most, size_t *out)
{
    char *end;
    *out = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    return *out >= 1 && *out <= most && !*end;
}

static bool read_option(options *o, const char *name, const char *value)
{
    size_t threads;
    if (strcmp(name, "--threads") == 0 && read_size(value, 64, &threads))
        return (o->threads = (uint32_t)threads) > 0;
    if (strcmp(name, "--samples") == 0) return read_size(value, MOST_SAMPLES, &o->samples);
    if (strcmp(name, "--precision") == 0)
        return (o->bf16 = strcmp(value, "bf16") == 0) || strcmp(value, "f32") == 0;
    if (strcmp(name, "--serve") == 0) return (o->serve = value) != NULL;
    if (strcmp(name, "--teacher") == 0) return (o->teacher = value) != NULL;
    if (strcmp(name, "--batch") != 0 || o->n_batches == MOST_BATCHES) return false;
    o->names[o->n_batches] = value;
    return read_batch(value, &o->batches[o->n_batches++]);
}

int main(int n, char **arguments)
{
    static options o = {.threads = 1, .samples = 11};
    int i = 1;
    for (; i < n && strncmp(arguments[i], "--", 2) == 0; i++) {
        if (strcmp(arguments[i], "--parts") == 0) o.parts = true;
        else if (i + 1 < n && read_option(&o, arguments[i], arguments[i + 1])) i++;
        else break;
    }
    o.models = (const char *const *)arguments + i;
    o.n_models = (size_t)(n - i);
    if (o.n_models == 0 || strncmp(arguments[i], "--", 2) == 0 ||
        (o.serve && (o.n_models > 1 || o.teacher))) {
        fprintf(stderr,
                "bench_train_step: cannot use '%s'\n"
                "bench_train_step [--threads N] [--precision f32|bf16] [--batch "
                "mixed|AxB|LENGTHS]... [--samples S] [--parts] [--teacher FILE] MODEL...\n"
                "bench_train_step [--threads N] [--precision f32|bf16] --serve FILE MODEL\n",
                i < n ? arguments[i] : "");
        return 2;
    }
    if (o.serve) {
        serve(&o);
        return 0;
    }
    if (!o.n_batches) {
        (void)read_option(&o, "--batch", "mixed");
        (void)read_option(&o, "--batch", "16x128");
    }
    printf("%s\n%-20s %-8s %-4s %2s %9s %9s %9s %8s %8s %8s %7s\n", sqzi_cpu_brand(), "model",
           "batch", "type", "th", "wall ms", "CPU ms", "Gop", "Gop/s", "GB/s", "floor ms", "ratio");
    for (size_t m = 0; m < o.n_models; m++)
        for (size_t k = 0; k < o.n_batches; k++) run_batch(&o, o.models[m], k);
    return 0;
}
