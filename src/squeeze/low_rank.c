/* SPDX-License-Identifier: Apache-2.0 */
/* Eigenvectors in the smaller of the two spaces. All products are OpenBLAS's; what is done here is
 * the order, and scaling rows. */
#include "squeeze/low_rank.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

/* The matrices on the way. */
typedef struct low_rank_work {
    double *product; /* [m, n] W C, or W S */
    double *square;  /* [most, most] whose eigenvectors are wanted */
    double *root;    /* [n, n]: row i is column i of S; where m > n */
} low_rank_work;

static void lay_out(sqzi_low_rank_spectrum *s, bool basis, sqzi_arena *arena)
{
    s->values = sqzi_arena_take(arena, s->most, sizeof *s->values);
    s->basis = basis ? sqzi_arena_take(arena, (size_t)s->most * s->m, sizeof *s->basis) : NULL;
}

static void lay_out_work(const sqzi_low_rank_spectrum *s, bool root, low_rank_work *work,
                         sqzi_arena *arena)
{
    const size_t most = s->most;
    work->product = sqzi_arena_take(arena, (size_t)s->m * s->n, sizeof(double));
    work->square = sqzi_arena_take(arena, most * most, sizeof(double));
    work->root = root ? sqzi_arena_take(arena, most * most, sizeof(double)) : NULL;
}

static void copy_rows(const double *from, uint32_t ld, uint32_t rows, uint32_t columns, double *to)
{
    for (size_t i = 0; i < rows; i++) memcpy(to + i * columns, from + i * ld, columns * sizeof *to);
}

/* product = W C, or W; square = product W'. */
static sqz_status square_of_outputs(const sqzi_low_rank_problem *p, const low_rank_work *work,
                                    sqz_error *error)
{
    const uint32_t m = p->m, n = p->n;
    const double *product = p->w;
    uint32_t ld = p->ldw;
    if (p->covariance) {
        const sqz_status status = sqzi_dense_multiply(&(sqzi_dense_product){.m = m,
                                                                            .n = n,
                                                                            .k = n,
                                                                            .a = p->w,
                                                                            .lda = p->ldw,
                                                                            .b = p->covariance,
                                                                            .ldb = p->ldc,
                                                                            .c = work->product,
                                                                            .ldc = n,
                                                                            .scale = 1},
                                                      error);
        if (status) return status;
        product = work->product, ld = n;
    }
    return sqzi_dense_multiply(&(sqzi_dense_product){.m = m,
                                                     .n = m,
                                                     .k = n,
                                                     .a = product,
                                                     .lda = ld,
                                                     .b = p->w,
                                                     .ldb = p->ldw,
                                                     .transpose_b = true,
                                                     .c = work->square,
                                                     .ldc = m,
                                                     .scale = 1},
                               error);
}

/* product = W S; square = product' product. */
static sqz_status square_of_inputs(const sqzi_low_rank_problem *p, const low_rank_work *work,
                                   const sqz_allocator *allocator, double *values, sqz_error *error)
{
    const uint32_t m = p->m, n = p->n;
    sqz_status status = SQZ_OK;
    if (p->covariance) {
        copy_rows(p->covariance, p->ldc, n, n, work->root);
        TRY(sqzi_dense_eigen(allocator, n, work->root, values, true, error));
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) work->root[i * n + j] *= sqrt(fmax(values[i], 0));
        TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = m,
                                                      .n = n,
                                                      .k = n,
                                                      .a = p->w,
                                                      .lda = p->ldw,
                                                      .b = work->root,
                                                      .ldb = n,
                                                      .transpose_b = true,
                                                      .c = work->product,
                                                      .ldc = n,
                                                      .scale = 1},
                                error));
    } else {
        copy_rows(p->w, p->ldw, m, n, work->product);
    }
    TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = n,
                                                  .n = n,
                                                  .k = m,
                                                  .a = work->product,
                                                  .lda = n,
                                                  .transpose_a = true,
                                                  .b = work->product,
                                                  .ldb = n,
                                                  .c = work->square,
                                                  .ldc = n,
                                                  .scale = 1},
                            error));
fail:
    return status;
}

/* Eigenvectors of the outputs' square are U themselves; those of the inputs' go through W S. */
static sqz_status find_basis(const sqzi_low_rank_spectrum *s, const low_rank_work *work,
                             sqz_error *error)
{
    if (s->m <= s->n) {
        memcpy(s->basis, work->square, (size_t)s->m * s->m * sizeof *s->basis);
        return SQZ_OK;
    }
    const sqz_status status = sqzi_dense_multiply(&(sqzi_dense_product){.m = s->n,
                                                                        .n = s->m,
                                                                        .k = s->n,
                                                                        .a = work->square,
                                                                        .lda = s->n,
                                                                        .b = work->product,
                                                                        .ldb = s->n,
                                                                        .transpose_b = true,
                                                                        .c = s->basis,
                                                                        .ldc = s->m,
                                                                        .scale = 1},
                                                  error);
    return status ? status : sqzi_dense_orthonormal(s->allocator, s->n, s->m, s->basis, error);
}

sqz_status sqzi_low_rank_spectrum_make(const sqz_allocator *allocator,
                                       const sqzi_low_rank_problem *problem, bool basis,
                                       sqzi_low_rank_spectrum *spectrum, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_low_rank_spectrum *s = spectrum;
    low_rank_work work;
    const bool outputs = problem->m <= problem->n, root = !outputs && problem->covariance;
    *s = (sqzi_low_rank_spectrum){.allocator = allocator,
                                  .m = problem->m,
                                  .n = problem->n,
                                  .most = outputs ? problem->m : problem->n};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX), work_arena = arena;
    lay_out(s, basis, &arena);
    lay_out_work(s, root, &work, &work_arena);
    s->bytes = arena.used;
    const size_t work_bytes = work_arena.used;
    void *work_block = sqzi_allocate(allocator, work_bytes);
    s->block = sqzi_allocate(allocator, s->bytes);
    FAIL_IF(!work_block || !s->block, SQZ_ENOMEM, 0, "no memory for the spectrum of %u x %u", s->m,
            s->n);
    arena = sqzi_arena_over(s->block, s->bytes);
    lay_out(s, basis, &arena);
    work_arena = sqzi_arena_over(work_block, work_bytes);
    lay_out_work(s, root, &work, &work_arena);

    TRY(outputs ? square_of_outputs(problem, &work, error)
                : square_of_inputs(problem, &work, allocator, s->values, error));
    for (size_t i = 0; i < s->most; i++) s->trace += work.square[i * (s->most + 1)];
    TRY(sqzi_dense_eigen(allocator, s->most, work.square, s->values, basis, error));
    for (size_t i = 0; i < s->most; i++) s->values[i] = fmax(s->values[i], 0);
    if (basis) TRY(find_basis(s, &work, error));
fail:
    sqzi_release(allocator, work_block, work_bytes);
    return status;
}

void sqzi_low_rank_spectrum_discard(sqzi_low_rank_spectrum *spectrum)
{
    if (spectrum->allocator) sqzi_release(spectrum->allocator, spectrum->block, spectrum->bytes);
    *spectrum = (sqzi_low_rank_spectrum){0};
}

double sqzi_low_rank_error(const sqzi_low_rank_spectrum *spectrum, uint32_t r)
{
    double left = 0;
    /* from the small ones on: what is left may be far below the trace */
    for (size_t i = spectrum->most; i-- > r;) left += spectrum->values[i];
    return left;
}

sqz_status sqzi_low_rank_factors(const sqzi_low_rank_spectrum *spectrum, const double *w,
                                 uint32_t ldw, uint32_t r, double *a, double *b, sqz_error *error)
{
    const sqzi_low_rank_spectrum *s = spectrum;
    const sqz_status status = sqzi_dense_multiply(&(sqzi_dense_product){.m = r,
                                                                        .n = s->n,
                                                                        .k = s->m,
                                                                        .a = s->basis,
                                                                        .lda = s->m,
                                                                        .b = w,
                                                                        .ldb = ldw,
                                                                        .c = a,
                                                                        .ldc = s->n,
                                                                        .scale = 1},
                                                  error);
    if (status) return status;
    for (size_t i = 0; i < r; i++) {
        const double share = s->values[0] > 0 ? s->values[i] / s->values[0] : 1,
                     scale = sqrt(sqrt(fmax(share, 1e-6)));
        for (size_t j = 0; j < s->n; j++) a[i * s->n + j] /= scale;
        for (size_t j = 0; j < s->m; j++) b[j * r + i] = s->basis[i * s->m + j] * scale;
    }
    return SQZ_OK;
}

uint32_t sqzi_rank_of_share(double share, uint32_t m, uint32_t n)
{
    enum { LEAST = 8 };
    const uint32_t most = m < n ? m : n;
    const double r = floor(share * (double)m * (double)n / ((double)m + (double)n));
    if (r >= most) return most;
    return r > LEAST ? (uint32_t)r : most < LEAST ? most : LEAST;
}

sqz_status sqzi_output_error(const sqz_allocator *allocator, const sqzi_low_rank_problem *d,
                             double *sum, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t bytes = (size_t)d->m * d->n * sizeof(double);
    double *image = NULL;
    *sum = 0;
    if (d->covariance) {
        image = sqzi_allocate(allocator, bytes);
        FAIL_IF(!image, SQZ_ENOMEM, 0, "no memory for a matrix of %u x %u", d->m, d->n);
        TRY(sqzi_dense_multiply(&(sqzi_dense_product){.m = d->m,
                                                      .n = d->n,
                                                      .k = d->n,
                                                      .a = d->w,
                                                      .lda = d->ldw,
                                                      .b = d->covariance,
                                                      .ldb = d->ldc,
                                                      .c = image,
                                                      .ldc = d->n,
                                                      .scale = 1},
                                error));
    }
    for (size_t i = 0; i < d->m; i++)
        for (size_t j = 0; j < d->n; j++)
            *sum += d->w[i * d->ldw + j] * (image ? image[i * d->n + j] : d->w[i * d->ldw + j]);
fail:
    sqzi_release(allocator, image, bytes);
    return status;
}
