/* SPDX-License-Identifier: Apache-2.0 */
/* k-means of the parts of a table, each by one member of a team. */
#include "squeeze/product_quantise.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"

enum {
    N = SQZI_CENTROIDS,
    SEED_ROWS = 4096, /* that seeds are chosen among */
    STRIP = 16,       /* rows of a product, whose scores stay in the innermost cache */
    LANES = 4,
    BLOCK = 32
};

/* Working memory of a member, for the part that it is at. */
typedef struct scratch {
    float *x, *weight, *distance; /* [n, d], [n], [n] */
    float *centroids, *bias;      /* [256, d], [256] -|c|^2 / 2 */
    double *sums, *mass;          /* [256, d], [256] */
    float *scores;                /* [STRIP, 256] */
    unsigned char *packed;
    uint8_t *code;   /* [n] */
    uint32_t *drawn; /* [SEED_ROWS] */
    float *gain;     /* [d] */
} scratch;

typedef struct fitting {
    const sqzi_product_options *o;
    const sqzk_gemm *gemm;
    uint32_t d;
    uint8_t *codes;
    int8_t *centroids;
    float *scale;
    scratch *members;
    _Atomic bool numeric_error;
} fitting;

static void lay_out(scratch *s, const fitting *f, sqzi_arena *arena)
{
    const size_t n = f->o->n, d = f->d;
    s->x = sqzi_arena_take(arena, n * d, sizeof *s->x);
    s->weight = sqzi_arena_take(arena, n, sizeof *s->weight);
    s->distance = sqzi_arena_take(arena, n, sizeof *s->distance);
    s->centroids = sqzi_arena_take(arena, N * d, sizeof *s->centroids);
    s->bias = sqzi_arena_take(arena, N, sizeof *s->bias);
    s->sums = sqzi_arena_take(arena, N * d, sizeof *s->sums);
    s->mass = sqzi_arena_take(arena, N, sizeof *s->mass);
    s->scores = sqzi_arena_take(arena, (size_t)STRIP * N, sizeof *s->scores);
    s->packed = sqzi_arena_take(arena, 1, sqzk_gemm_packed_bytes(f->gemm, d, N));
    s->code = sqzi_arena_take(arena, n, 1);
    s->drawn = sqzi_arena_take(arena, SEED_ROWS, sizeof *s->drawn);
    s->gain = sqzi_arena_take(arena, d, sizeof *s->gain);
}

/* ---- seeds ---- */

/* In [0, 1), number i of a part. */
static double uniform(uint32_t part, uint32_t i)
{
    const sqzi_philox_block b = sqzi_philox((sqzi_philox_block){{part, i, 0, 0}},
                                            (sqzi_philox_key){{0x70726f64, 0x75637421}});
    return ((double)b.word[0] + (double)b.word[1] * 0x1p-32) * 0x1p-32;
}

/* Rows at even steps of the weights' running sum; how many. */
static uint32_t draw_rows(const scratch *s, uint32_t n)
{
    double total = 0, sum = 0;
    const uint32_t wanted = n < SEED_ROWS ? n : SEED_ROWS;
    uint32_t drawn = 0;
    for (uint32_t i = 0; i < n; i++) total += (double)s->weight[i];
    for (uint32_t i = 0; i < n && drawn < wanted; i++) {
        sum += (double)s->weight[i];
        while (drawn < wanted && sum > total * (drawn + 0.5) / wanted) s->drawn[drawn++] = i;
    }
    return drawn;
}

static float squares_between(const float *x, const float *y, uint32_t d)
{
    float sum = 0;
    for (uint32_t j = 0; j < d; j++) sum += (x[j] - y[j]) * (x[j] - y[j]);
    return sum;
}

/* The next seed by the drawn rows' distances to those there are; the last where all are 0. */
static uint32_t choose_row(const scratch *s, uint32_t m, double at)
{
    double total = 0, sum = 0;
    for (uint32_t i = 0; i < m; i++) total += (double)s->distance[i];
    for (uint32_t i = 0; i < m; i++) {
        sum += (double)s->distance[i];
        if (sum > at * total) return i;
    }
    return m - 1;
}

static void choose_seeds(const scratch *s, uint32_t part, uint32_t n, uint32_t d)
{
    const uint32_t m = draw_rows(s, n);
    for (uint32_t i = 0; i < m; i++) s->distance[i] = FLT_MAX;
    uint32_t next = (uint32_t)(uniform(part, 0) * m);
    for (uint32_t c = 0; c < N; c++) {
        float *centroid = s->centroids + (size_t)c * d;
        if (c) next = choose_row(s, m, uniform(part, c));
        memcpy(centroid, s->x + (size_t)s->drawn[next] * d, d * sizeof *centroid);
        for (uint32_t i = 0; i < m; i++) {
            const float to = squares_between(s->x + (size_t)s->drawn[i] * d, centroid, d);
            if (to < s->distance[i]) s->distance[i] = to;
        }
    }
}

/* ---- rounds ---- */

/* x[i] = the larger of x[i] and x[i + half]; inlined, so that the loop's length is known. */
static inline void keep_larger(float *x, size_t half)
{
    for (size_t i = 0; i < half; i++) x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
}

/* The first of the largest of 256 numbers. Halves are compared number by number: no comparison
 * waits for the one before it. */
static uint32_t argmax(const float *x)
{
    float most[N / 2];
    for (size_t i = 0; i < N / 2; i++) most[i] = x[i] > x[i + N / 2] ? x[i] : x[i + N / 2];
    keep_larger(most, 64);
    keep_larger(most, 32);
    keep_larger(most, 16);
    keep_larger(most, 8);
    keep_larger(most, LANES);
    float largest = most[0];
    for (size_t i = 1; i < LANES; i++) largest = most[i] > largest ? most[i] : largest;
    for (uint32_t i = 0; i < N; i += BLOCK) {
        uint32_t any = 0;
        for (uint32_t j = 0; j < BLOCK; j++) any |= x[i + j] == largest;
        for (uint32_t j = 0; any && j < BLOCK; j++)
            if (x[i + j] == largest) return i + j;
    }
    return 0;
}

/* Nearest centroids and squared distances; the sum of these by the rows' weights. */
static double assign(const fitting *f, const scratch *s)
{
    const uint32_t n = f->o->n, d = f->d;
    double sum = 0;
    for (uint32_t c = 0; c < N; c++) {
        float squares = 0;
        for (uint32_t j = 0; j < d; j++)
            squares += s->centroids[(size_t)c * d + j] * s->centroids[(size_t)c * d + j];
        s->bias[c] = -squares / 2;
    }
    f->gemm->pack(
        &(sqzk_pack_args){
            .n = N, .k = d, .source = s->centroids, .n_stride = d, .k_stride = 1, .type = SQZI_F32},
        s->packed);
    const sqzk_epilogue epilogue = {.bias = s->bias};
    for (uint32_t i = 0; i < n; i += STRIP) {
        const uint32_t m = n - i < STRIP ? n - i : STRIP;
        f->gemm->run(&(sqzk_gemm_args){.m = m,
                                       .n = N,
                                       .k = d,
                                       .a = s->x + (size_t)i * d,
                                       .lda = d * sizeof *s->x,
                                       .b = s->packed,
                                       .c = s->scores,
                                       .ldc = N,
                                       .epilogue = &epilogue});
        for (uint32_t r = 0; r < m; r++) {
            const uint32_t code = argmax(s->scores + (size_t)r * N);
            s->code[i + r] = (uint8_t)code;
            s->distance[i + r] = squares_between(s->x + (size_t)(i + r) * d,
                                                 s->centroids + (size_t)code * d, d);
            sum += (double)s->weight[i + r] * (double)s->distance[i + r];
        }
    }
    return sum;
}

/* The row whose error weighs most, which then has none. */
static uint32_t take_worst(const scratch *s, uint32_t n)
{
    uint32_t worst = 0;
    for (uint32_t i = 1; i < n; i++)
        if (s->weight[i] * s->distance[i] > s->weight[worst] * s->distance[worst]) worst = i;
    s->distance[worst] = 0;
    return worst;
}

static void move_centroids(const fitting *f, const scratch *s)
{
    const uint32_t n = f->o->n, d = f->d;
    memset(s->sums, 0, (size_t)N * d * sizeof *s->sums);
    memset(s->mass, 0, N * sizeof *s->mass);
    for (uint32_t i = 0; i < n; i++) {
        double *sums = s->sums + (size_t)s->code[i] * d;
        const double weight = (double)s->weight[i];
        s->mass[s->code[i]] += weight;
        for (uint32_t j = 0; j < d; j++) sums[j] += weight * (double)s->x[(size_t)i * d + j];
    }
    for (uint32_t c = 0; c < N; c++) {
        float *centroid = s->centroids + (size_t)c * d;
        if (s->mass[c] > 0)
            for (uint32_t j = 0; j < d; j++)
                centroid[j] = (float)(s->sums[(size_t)c * d + j] / s->mass[c]);
        else memcpy(centroid, s->x + (size_t)take_worst(s, n) * d, d * sizeof *centroid);
    }
}

/* ---- integers ---- */

/* A centroid as the file will hold it: its integers, and the scale that brings them nearest to it
 * where columns weigh gain^2. What it then is takes its place. */
static void round_centroid(const scratch *s, uint32_t d, float *centroid, int8_t *integers,
                           float *scale)
{
    float largest = 0;
    double across = 0, squares = 0;
    for (uint32_t j = 0; j < d; j++) largest = fmaxf(largest, fabsf(centroid[j] / s->gain[j]));
    for (uint32_t j = 0; j < d; j++) {
        const float q = largest > 1e-30F ? rintf(centroid[j] / s->gain[j] * (127 / largest)) : 0;
        const double meant = (double)q * (double)s->gain[j];
        integers[j] = (int8_t)q;
        across += (double)centroid[j] * meant;
        squares += meant * meant;
    }
    *scale = squares > 0 ? (float)(across / squares) : 0;
    for (uint32_t j = 0; j < d; j++) centroid[j] = *scale * (float)integers[j] * s->gain[j];
}

/* ---- a part ---- */

/* Part p of the rows, by column gains; false where a number is not finite. */
static bool read_part(const fitting *f, uint32_t p, const scratch *s)
{
    const sqzi_product_options *o = f->o;
    const uint32_t d = f->d;
    bool finite = true;
    for (uint32_t j = 0; j < d; j++) s->gain[j] = o->gain ? o->gain[(size_t)p * d + j] : 1;
    for (uint32_t i = 0; i < o->n; i++) {
        const float *row = o->rows + (size_t)i * o->width + (size_t)p * d;
        s->weight[i] = o->weight[i];
        for (uint32_t j = 0; j < d; j++) {
            s->x[(size_t)i * d + j] = row[j] * s->gain[j];
            finite &= isfinite(row[j]) != 0;
        }
    }
    return finite;
}

static void fit_part(fitting *f, uint32_t p, const scratch *s)
{
    const uint32_t d = f->d, n = f->o->n;
    const uint32_t rounds = f->o->rounds ? f->o->rounds : SQZI_PRODUCT_ROUNDS;
    double last = INFINITY;
    if (!read_part(f, p, s)) {
        f->numeric_error = true;
        return;
    }
    choose_seeds(s, p, n, d);
    for (uint32_t round = 0; round < rounds; round++) {
        const double sum = assign(f, s);
        if (!(sum < last * 0.999)) break;
        last = sum;
        move_centroids(f, s);
    }
    for (uint32_t c = 0; c < N; c++)
        round_centroid(s, d, s->centroids + (size_t)c * d, f->centroids + ((size_t)p * N + c) * d,
                       &f->scale[(size_t)p * N + c]);
    (void)assign(f, s);
    for (uint32_t i = 0; i < n; i++) f->codes[(size_t)i * f->o->parts + p] = s->code[i];
}

/* sqzi_job */
static void fit_parts(void *argument, const sqzi_team *team)
{
    fitting *f = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t p; sqzi_take_part(&turn, f->o->parts, &p);)
        fit_part(f, p, &f->members[team->member]);
}

sqz_status sqzi_product_quantise(const sqz_context *context, const sqzi_product_options *o,
                                 uint8_t *codes, int8_t *centroids, float *scale, sqz_error *error)
{
    const uint32_t members = sqzi_thread_pool_size(context->pool);
    fitting f = {.o = o,
                 .gemm = context->kernels.gemm_f32,
                 .d = o->width / o->parts,
                 .codes = codes,
                 .centroids = centroids,
                 .scale = scale};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    scratch unused;
    (void)sqzi_arena_take(&arena, members, sizeof *f.members);
    for (uint32_t i = 0; i < members; i++) lay_out(&unused, &f, &arena);
    void *block = sqzi_allocate(&context->allocator, arena.used);
    if (!block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to quantise a table of %u rows", o->n);
    arena = sqzi_arena_over(block, arena.used);
    f.members = sqzi_arena_take(&arena, members, sizeof *f.members);
    for (uint32_t i = 0; i < members; i++) lay_out(&f.members[i], &f, &arena);
    sqzi_thread_pool_run(context->pool, members, fit_parts, &f);
    sqzi_release(&context->allocator, block, arena.capacity);
    return f.numeric_error
               ? sqzi_fail(error, SQZ_ENUMERIC, 0, "the token embeddings hold a NaN or an infinity")
               : SQZ_OK;
}
