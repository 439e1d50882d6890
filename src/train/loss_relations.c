/* SPDX-License-Identifier: Apache-2.0 */
/* Relations by strips of rows, as attention computes its own. */
#include "train/loss_relations.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernel/grad/grad_table.h"

enum { ROWS = 64, LANES = 8, COLUMNS = 16 };

/* One side: its rows packed as what is multiplied by from the right, and a strip of scores. */
typedef struct side {
    const sqzi_real *x; /* [T, d] of the head, row stride ld */
    size_t ld, d;
    unsigned char *panels;
    sqzi_real *z, *e;   /* [a strip, T] scores before their scale, and exponentials */
    sqzi_real *inverse; /* [a strip] */
} side;

typedef struct head_run {
    const sqzi_distil_term *term;
    size_t length, ld; /* T, and in whole vectors */
    side student, teacher;
    unsigned char *columns, *strip; /* panels of the student's columns, of all rows and a strip's */
    sqzi_real *turned;              /* [T, a strip] */
} head_run;

uint32_t sqzi_relations_units(const sqzi_distil_term *t)
{
    return t->n_sequences * t->heads;
}

static void lay_out_side(const sqzi_distil_term *t, side *s, size_t width, sqzi_arena *arena)
{
    const size_t ld = (t->longest + (size_t)COLUMNS - 1) / COLUMNS * COLUMNS;
    s->ld = width;
    s->d = width / t->heads;
    s->panels = sqzi_arena_take(arena,
                                sqzk_gemm_packed_bytes(t->kernels->gemm_f32, s->d, t->longest), 1);
    s->z = sqzi_arena_take(arena, ROWS * ld, sizeof *s->z);
    s->e = sqzi_arena_take(arena, ROWS * ld, sizeof *s->e);
    s->inverse = sqzi_arena_take(arena, ROWS, sizeof *s->inverse);
}

static void lay_out(const sqzi_distil_term *t, head_run *r, sqzi_arena *arena)
{
    const sqzk_gemm *gemm = t->kernels->gemm_f32;
    lay_out_side(t, &r->student, t->width, arena);
    lay_out_side(t, &r->teacher, t->teacher_width, arena);
    r->columns = sqzi_arena_take(arena, sqzk_gemm_packed_bytes(gemm, t->longest, r->student.d), 1);
    r->strip = sqzi_arena_take(arena, sqzk_gemm_packed_bytes(gemm, ROWS, r->student.d), 1);
    r->turned = sqzi_arena_take(arena, (size_t)t->longest * ROWS, sizeof *r->turned);
}

size_t sqzi_relations_scratch(const sqzi_distil_term *t)
{
    head_run r;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(t, &r, &arena);
    return (arena.used + SQZI_ALIGNMENT) / sizeof(double);
}

static void pack(const head_run *r, size_t n, size_t k, const sqzi_real *x, size_t n_stride,
                 size_t k_stride, unsigned char *panels)
{
    r->term->kernels->gemm_f32->pack(&(sqzk_pack_args){.n = n,
                                                       .k = k,
                                                       .source = x,
                                                       .n_stride = n_stride,
                                                       .k_stride = k_stride,
                                                       .type = SQZI_F32},
                                     panels);
}

/* Scores of rows [row, row + m), and their exponentials. */
static void relate(const head_run *r, const side *s, size_t row, size_t m)
{
    const sqzk_table *kernels = r->term->kernels;
    kernels->gemm_f32->run(&(sqzk_gemm_args){.m = m,
                                             .n = r->length,
                                             .k = s->d,
                                             .a = s->x + row * s->ld,
                                             .lda = s->ld * sizeof *s->x,
                                             .b = s->panels,
                                             .c = s->z,
                                             .ldc = r->ld});
    for (size_t i = 0; i < m; i++)
        memcpy(s->e + i * r->ld, s->z + i * r->ld, r->length * sizeof *s->e);
    kernels->softmax(&(sqzk_softmax_args){.m = m,
                                          .n = r->length,
                                          .x = s->e,
                                          .ldx = r->ld,
                                          .scale = (sqzi_real)(1 / sqrt((double)s->d)),
                                          .inverse = s->inverse});
}

/* log of the sum of e^z of row i of a strip, z times `by`. */
static double log_sum(const head_run *r, const side *s, size_t i, double by)
{
    const sqzi_real *z = s->z + i * r->ld;
    sqzi_real most = z[0];
    for (size_t j = 1; j < r->length; j++) most = z[j] > most ? z[j] : most;
    return by * (double)most - log((double)s->inverse[i]);
}

/* The loss of row i of a strip; G in the place of the student's exponentials. */
static double row_loss(const head_run *r, size_t i)
{
    const side *s = &r->student, *t = &r->teacher;
    const double by_s = 1 / sqrt((double)s->d), by_t = 1 / sqrt((double)t->d);
    const sqzi_real *zs = s->z + i * r->ld, *zt = t->z + i * r->ld, *et = t->e + i * r->ld;
    sqzi_real *g = s->e + i * r->ld;
    const sqzi_real of_s = s->inverse[i], of_t = t->inverse[i],
                    factor = (sqzi_real)(r->term->scale * by_s);
    double lanes[LANES] = {0}, sum = 0;
    size_t j = 0;
    for (; j + LANES <= r->length; j += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k] += (double)(et[j + k] * of_t) *
                        (by_t * (double)zt[j + k] - by_s * (double)zs[j + k]);
    for (; j < r->length; j++)
        lanes[j % LANES] += (double)(et[j] * of_t) * (by_t * (double)zt[j] - by_s * (double)zs[j]);
    for (j = 0; j < r->length; j++) g[j] = factor * (g[j] * of_s - et[j] * of_t);
    for (size_t k = 0; k < LANES; k++) sum += lanes[k];
    return sum + log_sum(r, s, i, by_s) - log_sum(r, t, i, by_t);
}

/* d += a times panels of k rows of the student's. */
static void add_product(const head_run *r, size_t m, size_t k, const sqzi_real *a, size_t lda,
                        const unsigned char *panels, sqzi_real *d)
{
    const size_t ld = r->student.ld;
    r->term->kernels->gemm_f32->run(
        &(sqzk_gemm_args){.m = m,
                          .n = r->student.d,
                          .k = k,
                          .a = a,
                          .lda = lda * sizeof *a,
                          .b = panels,
                          .c = d,
                          .ldc = ld,
                          .epilogue = &(sqzk_epilogue){.residual = d, .ldr = ld}});
}

static void add_d(const head_run *r, size_t row, size_t m, sqzi_real *d)
{
    const side *s = &r->student;
    add_product(r, m, r->length, s->e, r->ld, r->columns, d + row * s->ld);
    r->term->grad_kernels->transpose(&(sqzk_transpose_args){.m = m,
                                                            .n = r->length,
                                                            .type = SQZI_F32,
                                                            .x = s->e,
                                                            .ldx = r->ld,
                                                            .out = r->turned,
                                                            .ldo = ROWS,
                                                            .filled = m});
    pack(r, s->d, m, s->x + row * s->ld, 1, s->ld, r->strip);
    add_product(r, r->length, m, r->turned, ROWS, r->strip, d);
}

double sqzi_relations_unit(const sqzi_distil_term *t, uint32_t unit, double *scratch)
{
    const uint32_t b = unit / t->heads, head = unit % t->heads;
    const size_t begin = t->first[b], n = t->first[b + 1] - begin;
    head_run r = {.term = t, .length = n, .ld = (n + COLUMNS - 1) / COLUMNS * COLUMNS};
    const uintptr_t place = ((uintptr_t)scratch + SQZI_ALIGNMENT - 1) / SQZI_ALIGNMENT;
    sqzi_arena arena = sqzi_arena_over((void *)(place * SQZI_ALIGNMENT),
                                       sqzi_relations_scratch(t) * sizeof(double));
    lay_out(t, &r, &arena);
    side *s = &r.student, *a = &r.teacher;
    s->x = t->student + begin * t->width + head * s->d;
    a->x = t->teacher + begin * t->teacher_width + head * a->d;
    sqzi_real *d = t->d + begin * t->width + head * s->d;
    double sum = 0;
    pack(&r, n, s->d, s->x, s->ld, 1, s->panels);
    pack(&r, n, a->d, a->x, a->ld, 1, a->panels);
    pack(&r, s->d, n, s->x, 1, s->ld, r.columns);
    for (size_t row = 0; row < n; row += ROWS) {
        const size_t m = n - row < ROWS ? n - row : ROWS;
        relate(&r, s, row, m);
        relate(&r, a, row, m);
        for (size_t i = 0; i < m; i++) sum += row_loss(&r, i);
        add_d(&r, row, m, d);
    }
    return t->scale * sum;
}
