/* SPDX-License-Identifier: Apache-2.0 */
/* How near every gemm of this machine comes to the machine's peak, at the shapes of the models this
 * library runs.
 *
 *   bench_gemm [--type f32|bf16|s8|s16] [--level NAME] [--shape KxN[xG]]... [--m M]... [--samples
 *       S] [--gelu]
 *
 * A sample is half a millisecond of one kernel at one shape and M, then as much of the loop over
 * registers of its instruction (src/kernel/peak):
 * the share is the median of the samples' ratios, so a clock that changes changes both. All shapes
 * and M of a kernel are sampled in turn. Time is the thread's CPU time: what another process takes
 * is not counted. Rows are prepared beforehand; bias, and GELU where asked, are applied.
 *
 * "warm" calls use the same weights again and again; a sample begins with one that is not timed, as
 * the caches are full of other shapes. "streamed" calls walk
 * through copies of them that no cache near the core holds, as the layers of a model do, up to 16
 * rows at a time; their GB/s stand beside what a loop that only reads memory reaches, sampled
 * alike.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "kernel/kernel.h"
#include "micro/against_peak.h"

enum {
    MOST_SHAPES = 32,
    MOST_M = 8,
    MOST_CASES = MOST_SHAPES * MOST_M,
    MOST_SAMPLES = 1001,
    MOST_SIDE = 1 << 16
};
static const size_t streamed_bytes = (size_t)96 << 20;

typedef struct shape {
    size_t k, n, groups;
} shape;

typedef struct options {
    const char *type, *level;
    shape shapes[MOST_SHAPES];
    size_t n_shapes, m[MOST_M], n_m, samples;
    bool gelu;
} options;

/* One kernel at one shape and M. */
typedef struct test {
    const sqzk_gemm *gemm;
    shape s;
    size_t m, copies, copy, weight_bytes, group_bytes, row_bytes, calls, block_bytes;
    void *block;
    unsigned char *weights, *rows;
    sqzk_s8_row *s8_rows;
    float *bias, *c;
    double share[MOST_SAMPLES], rate[MOST_SAMPLES], read[MOST_SAMPLES];
} test;

/* Weights of all groups of one layer, packed; `copies` of them. */
static void make_weights(test *t, uint64_t *random)
{
    const size_t numbers = t->s.n * t->s.k;
    const bool bytes = t->gemm->type == SQZI_S8;
    float *floats = take(numbers, sizeof *floats), *scale = take(t->s.n, sizeof *scale);
    signed char *integers = take(numbers, 1);
    for (size_t i = 0; i < numbers; i++)
        integers[i] = (signed char)(127 * (floats[i] = uniform(random)));
    for (size_t j = 0; j < t->s.n; j++) scale[j] = 0.01f;
    for (size_t g = 0; g < t->s.groups; g++)
        t->gemm->pack(&(sqzk_pack_args){.n = t->s.n,
                                        .k = t->s.k,
                                        .source = bytes ? (void *)integers : floats,
                                        .n_stride = t->s.k,
                                        .k_stride = 1,
                                        .type = bytes ? SQZI_S8 : SQZI_F32,
                                        .scale = scale},
                      t->weights + g * t->group_bytes);
    for (size_t c = 1; c < t->copies; c++)
        memcpy(t->weights + c * t->weight_bytes, t->weights, t->weight_bytes);
    free(floats);
    free(integers);
    free(scale);
}

static void make_rows(test *t, uint64_t *random)
{
    const size_t width = t->s.groups * t->s.k, prepared = sqzk_gemm_prepared_bytes(t->gemm, t->s.k);
    float *x = take(t->m * width, sizeof *x);
    for (size_t i = 0; i < t->m * width; i++) x[i] = uniform(random);
    for (size_t g = 0; !t->gemm->prepare && g < t->s.groups; g++)
        for (size_t i = 0; i < t->m; i++)
            memcpy(t->rows + i * t->row_bytes + g * prepared, x + i * width + g * t->s.k,
                   t->s.k * sizeof *x);
    for (size_t g = 0; t->gemm->prepare && g < t->s.groups; g++)
        t->gemm->prepare(&(sqzk_prepare_args){.m = t->m,
                                              .k = t->s.k,
                                              .x = x + g * t->s.k,
                                              .ldx = width,
                                              .out = t->rows + g * prepared,
                                              .ldo = t->row_bytes,
                                              .s8_rows = t->s8_rows + g * t->m});
    free(x);
}

static void call(test *t, bool gelu)
{
    const unsigned char *weights = t->weights + t->copy * t->weight_bytes;
    const size_t ldc = t->s.groups * t->s.n;
    t->copy = t->copy + 1 < t->copies ? t->copy + 1 : 0;
    for (size_t g = 0; g < t->s.groups; g++) {
        const sqzk_epilogue epilogue = {.bias = t->bias + g * t->s.n,
                                        .activation = gelu ? SQZK_GELU : SQZK_IDENTITY};
        t->gemm->run(&(sqzk_gemm_args){.m = t->m,
                                       .n = t->s.n,
                                       .k = t->s.k,
                                       .a = t->rows + g * sqzk_gemm_prepared_bytes(t->gemm, t->s.k),
                                       .lda = t->row_bytes,
                                       .s8_rows = t->s8_rows + g * t->m,
                                       .b = weights + g * t->group_bytes,
                                       .c = t->c + g * t->s.n,
                                       .ldc = ldc,
                                       .epilogue = &epilogue});
    }
}

static double operations(const test *t)
{
    return 2.0 * (double)t->m * (double)t->s.n * (double)t->s.k * (double)t->s.groups;
}

/* What the kernel reads and writes, laid out as in a session's memory. */
static void lay_out(test *t, sqzi_arena *arena)
{
    t->weights = sqzi_arena_take(arena, t->copies, t->weight_bytes);
    t->rows = sqzi_arena_take(arena, t->m, t->row_bytes);
    t->s8_rows = sqzi_arena_take(arena, t->m * t->s.groups, sizeof *t->s8_rows);
    t->bias = sqzi_arena_take(arena, t->s.groups * t->s.n, sizeof(float));
    t->c = sqzi_arena_take(arena, t->m * t->s.groups * t->s.n, sizeof(float));
}

/* A model and its session take more than 2 MiB, which the library puts into huge pages; so at least
 * as much here. */
static void allocate(test *t)
{
    const size_t least = (size_t)2 << 20;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(t, &arena);
    t->block_bytes = arena.used < least ? least : arena.used;
    t->block = sqzi_allocate_zeroed(&sqzi_default_allocator, t->block_bytes, 1);
    if (!t->block) no_memory(t->block_bytes);
    arena = sqzi_arena_over(t->block, t->block_bytes);
    lay_out(t, &arena);
}

static test *make_test(const sqzk_gemm *gemm, shape s, size_t m, bool streamed, bool gelu)
{
    uint64_t random = 1;
    test *t = take(1, sizeof *t);
    *t = (test){.gemm = gemm, .s = s, .m = m, .copies = 1};
    t->group_bytes = sqzk_gemm_packed_bytes(gemm, s.k, s.n);
    t->weight_bytes = s.groups * t->group_bytes;
    t->row_bytes = s.groups * sqzk_gemm_prepared_bytes(gemm, s.k);
    if (streamed) t->copies = (streamed_bytes + t->weight_bytes - 1) / t->weight_bytes;
    allocate(t);
    make_weights(t, &random);
    make_rows(t, &random);
    double seconds = 0;
    for (t->calls = 1; seconds < sample_seconds; t->calls *= 2) {
        const double begin = now();
        for (size_t i = 0; i < t->calls; i++) call(t, gelu);
        seconds = now() - begin;
    }
    t->calls /= 2;
    return t;
}

static void free_test(test *t)
{
    sqzi_release(&sqzi_default_allocator, t->block, t->block_bytes);
    free(t);
}

static void sample(test *t, size_t at, const sqzk_peak *peak, uint64_t rounds, const void *memory,
                   bool gelu)
{
    if (!memory) call(t, gelu);
    const double begin = now();
    for (size_t i = 0; i < t->calls; i++) call(t, gelu);
    t->rate[at] = operations(t) * (double)t->calls / (now() - begin);
    t->share[at] = t->rate[at] / peak_rate(peak, rounds);
    if (!memory) return;
    const size_t part = (size_t)4 << 20, parts = streamed_bytes / part;
    const double start = now();
    /* a call through a pointer, so the loop stays */
    (void)sqzk_reader_best(sqzi_cpu_detect())
        ->run((const unsigned char *)memory + at % parts * part, part);
    t->read[at] = (double)part / (now() - start);
}

static void report(test *t, size_t samples, bool streamed)
{
    char name[48];
    snprintf(name, sizeof name, t->s.groups > 1 ? "%zu x %zu x %zu" : "%zu x %zu", t->s.k, t->s.n,
             t->s.groups);
    const double rate = median(t->rate, samples),
                 gigabytes = rate / operations(t) * (double)t->weight_bytes * 1e-9;
    printf("%-28s %-16s %5zu  %-8s %9.1f %7.1f%% %8.1f", t->gemm->name, name, t->m,
           streamed ? "streamed" : "warm", rate * 1e-9, 100 * median(t->share, samples), gigabytes);
    if (streamed) printf(" of %.1f", median(t->read, samples) * 1e-9);
    putchar('\n');
}

static void run_gemm(const sqzk_gemm *gemm, const options *o, bool streamed, const void *memory)
{
    static test *tests[MOST_CASES];
    size_t n = 0;
    const sqzk_peak *peak = peak_of(gemm);
    if (!peak) return;
    for (size_t s = 0; s < o->n_shapes; s++)
        for (size_t m = 0; m < o->n_m; m++)
            if (!streamed || o->m[m] <= 16)
                tests[n++] = make_test(gemm, o->shapes[s], o->m[m], streamed, o->gelu);
    const uint64_t rounds = peak_rounds(peak);
    for (size_t at = 0; at < o->samples; at++)
        for (size_t i = 0; i < n; i++)
            sample(tests[i], at, peak, rounds, streamed ? memory : NULL, o->gelu);
    for (size_t i = 0; i < n; i++) {
        report(tests[i], o->samples, streamed);
        free_test(tests[i]);
    }
}

static bool wanted(const sqzk_gemm *gemm, const options *o)
{
    const char *type = gemm->type == SQZI_S8     ? "s8"
                       : gemm->type == SQZI_S16  ? "s16"
                       : gemm->type == SQZI_BF16 ? "bf16"
                                                 : "f32";
    return (!o->type || strcmp(o->type, type) == 0) &&
           (!o->level || strcmp(o->level, gemm->level) == 0);
}

static const shape model_shapes[] = {
    /* SqueezeBERT, BERT base */
    {192, 192, 4}, {192, 768, 4}, {768, 192, 4}, {768, 768, 1}, {768, 3072, 1}, {3072, 768, 1},
    /* MiniLM */
    {384, 384, 1}, {384, 1536, 1}, {1536, 384, 1},
    /* rank 128 */
    {768, 128, 1}, {128, 768, 1}, {128, 3072, 1}, {3072, 128, 1},
};
static const size_t model_m[] = {16, 128, 1024};

/* Digits that make 1 to `most`, and where they end. */
static bool read_number(const char *text, size_t most, size_t *number, const char **end)
{
    char *stop;
    *number = *text >= '0' && *text <= '9' ? strtoul(text, &stop, 10) : 0;
    if (*number < 1 || *number > most) return false;
    *end = stop;
    return true;
}

/* "KxN" or "KxNxG" */
static bool read_shape(const char *text, shape *s)
{
    s->groups = 1;
    if (!read_number(text, MOST_SIDE, &s->k, &text) || *text++ != 'x' ||
        !read_number(text, MOST_SIDE, &s->n, &text))
        return false;
    return !*text || (*text++ == 'x' && read_number(text, MOST_SIDE, &s->groups, &text) && !*text);
}

static bool read_option(options *o, const char *name, const char *value)
{
    if (strcmp(name, "--type") == 0) return (o->type = value) != NULL;
    if (strcmp(name, "--level") == 0) return (o->level = value) != NULL;
    if (strcmp(name, "--m") == 0)
        return o->n_m < MOST_M && read_number(value, MOST_SIDE, &o->m[o->n_m++], &value) && !*value;
    if (strcmp(name, "--samples") == 0)
        return read_number(value, MOST_SAMPLES, &o->samples, &value) && !*value;
    if (strcmp(name, "--shape") == 0)
        return o->n_shapes < MOST_SHAPES && read_shape(value, &o->shapes[o->n_shapes++]);
    return false;
}

int main(int n, char **arguments)
{
    options o = {.samples = 31};
    for (int i = 1; i < n; i++) {
        if (strcmp(arguments[i], "--gelu") == 0) o.gelu = true;
        else if (i + 1 >= n || !read_option(&o, arguments[i], arguments[i + 1])) {
            fprintf(stderr,
                    "bench_gemm: cannot use '%s%s%s'\nbench_gemm [--type f32|bf16|s8|s16] [--level "
                    "NAME] [--shape KxN[xG]]... [--m M]... [--samples S] [--gelu]\n"
                    "K, N, G and M are 1 to %d, S to %d; at most %d shapes and %d M\n",
                    arguments[i], i + 1 < n ? " " : "", i + 1 < n ? arguments[i + 1] : "",
                    MOST_SIDE, MOST_SAMPLES, MOST_SHAPES, MOST_M);
            return 2;
        } else i++;
    }
    if (!o.n_shapes)
        memcpy(o.shapes, model_shapes, sizeof model_shapes),
            o.n_shapes = sizeof model_shapes / sizeof *model_shapes;
    if (!o.n_m) memcpy(o.m, model_m, sizeof model_m), o.n_m = sizeof model_m / sizeof *model_m;
    unsigned char *memory = take(streamed_bytes, 1);
    memset(memory, 1, streamed_bytes);
    printf("%s\n%-28s %-16s %5s  %-8s %9s %8s %8s\n", sqzi_cpu_brand(), "kernel", "K x N x groups",
           "M", "weights", "Gop/s", "of peak", "GB/s");
    const sqzk_gemm *gemm;
    bool any = false;
    for (uint32_t i = 0; (gemm = sqzk_gemm_list(i)); i++)
        if (wanted(gemm, &o) && (gemm->feature & ~sqzi_cpu_detect()) == 0) {
            any = true;
            run_gemm(gemm, &o, false, NULL);
            run_gemm(gemm, &o, true, memory);
        }
    free(memory);
    if (!any)
        fprintf(stderr, "bench_gemm: this machine runs no gemm of that type and level (squeezebert "
                        "doctor names its features)\n");
    return any ? 0 : 2;
}
