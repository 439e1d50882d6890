/* SPDX-License-Identifier: Apache-2.0 */
/* Second moments of a matrix's inputs, their Cholesky factor, and the rounding that it guides. The
 * work is in products of matrices, so the kernels do it. */
#include "squeeze/gptq.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum {
    BLOCK = 64,
    STRIP = 256 /* rows of a symmetric product that begin at the same column; a multiple of every
                   gemm's nr */
};
static const float damping = 0.01f, least_variance = 1e-6f;

size_t sqzi_moments_items(const sqzi_moments *moments)
{
    return (size_t)moments->groups * moments->n * moments->n;
}

size_t sqzi_moments_packed_bytes(const sqzk_gemm *gemm, const sqzi_moments *moments)
{
    return sqzk_gemm_packed_bytes(gemm, SQZI_MOMENT_ROWS, moments->n);
}

/* C[i][j] += sum over k of rows[i][k] columns[k][j] for j >= i and a few below, where C [n, n] has
 * row stride ldc. */
static void add_upper(const sqzk_gemm *gemm, size_t n, size_t k, const sqzi_real *rows, size_t ld,
                      const sqzk_pack_args *columns, void *packed, sqzi_real *c, size_t ldc)
{
    const size_t panel = sqzk_gemm_panel_bytes(gemm, k);
    gemm->pack(columns, packed);
    for (size_t i = 0; i < n; i += STRIP) {
        const sqzk_gemm_args args = {.m = n - i < STRIP ? n - i : STRIP,
                                     .n = n - i,
                                     .k = k,
                                     .a = rows + i * ld,
                                     .lda = ld * sizeof *rows,
                                     .b = (const unsigned char *)packed + i / gemm->nr * panel,
                                     .c = c + i * ldc + i,
                                     .ldc = ldc,
                                     .beta = 1};
        gemm->run(&args);
    }
}

void sqzi_moments_add(const sqzk_gemm *gemm, sqzi_moments *moments, const sqzi_real *x, size_t m,
                      void *packed)
{
    const size_t n = moments->n;
    for (size_t g = 0; g < moments->groups; g++, x += n * SQZI_MOMENT_ROWS) {
        const sqzk_pack_args columns = {.n = n,
                                        .k = m,
                                        .source = x,
                                        .n_stride = SQZI_MOMENT_ROWS,
                                        .k_stride = 1,
                                        .type = SQZI_F32};
        add_upper(gemm, n, m, x, SQZI_MOMENT_ROWS, &columns, packed, moments->squares + g * n * n,
                  n);
    }
}

void sqzi_moments_centre(sqzi_moments *moments, const double *mean, uint64_t rows)
{
    const size_t n = moments->n;
    for (size_t g = 0; g < moments->groups; g++, mean += n) {
        sqzi_real *c = moments->squares + g * n * n;
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                c[i * n + j] = c[j * n + i] = (sqzi_real)((double)c[i * n + j] / (double)rows -
                                                          mean[i] * mean[j]);
    }
}

sqz_status sqzi_moments_through(const sqzk_gemm *gemm, const sqzi_moments *outer, sqzi_quantized *a,
                                sqzi_moments *inner, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &a->plan->model->context->allocator;
    const size_t n = outer->n, rank = inner->n;
    sqzi_real *factor = NULL, *product = NULL;
    void *packed = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    for (int placed = 0; placed < 2; placed++) {
        factor = sqzi_arena_take(&arena, rank * n, sizeof *factor);
        product = sqzi_arena_take(&arena, rank * n, sizeof *product);
        packed = sqzi_arena_take(&arena, sqzk_gemm_packed_bytes(gemm, n, n > rank ? n : rank), 1);
        if (placed) break;
        void *block = sqzi_allocate(allocator, arena.used);
        if (!block)
            return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the moments of '%s'", a->name);
        arena = sqzi_arena_over(block, arena.used);
    }
    for (size_t g = 0; g < outer->groups; g++) {
        const double *row;
        for (size_t r = 0; r < rank; r++) {
            TRY(sqzi_quantize_row(a, g * rank + r, NULL, &row, error));
            for (size_t j = 0; j < n; j++) factor[r * n + j] = (sqzi_real)row[j];
        }
        gemm->pack(&(sqzk_pack_args){.n = n,
                                     .k = n,
                                     .source = outer->squares + g * n * n,
                                     .n_stride = n,
                                     .k_stride = 1,
                                     .type = SQZI_F32},
                   packed);
        gemm->run(&(sqzk_gemm_args){.m = rank,
                                    .n = n,
                                    .k = n,
                                    .a = factor,
                                    .lda = n * sizeof *factor,
                                    .b = packed,
                                    .c = product,
                                    .ldc = n});
        gemm->pack(&(sqzk_pack_args){.n = rank,
                                     .k = n,
                                     .source = factor,
                                     .n_stride = n,
                                     .k_stride = 1,
                                     .type = SQZI_F32},
                   packed);
        gemm->run(&(sqzk_gemm_args){.m = rank,
                                    .n = rank,
                                    .k = n,
                                    .a = product,
                                    .lda = n * sizeof *product,
                                    .b = packed,
                                    .c = inner->squares + g * rank * rank,
                                    .ldc = rank});
    }
fail:
    sqzi_release(allocator, arena.base, arena.capacity);
    return status;
}

typedef struct input {
    float variance;
    uint32_t index;
} input;

/* One group of a tensor: n inputs, `rows` rows. */
typedef struct rounding {
    const sqzk_gemm *gemm;
    size_t n, rows;
    input *inputs;     /* [n] by ascending variance: the order of what follows */
    sqzi_real *factor; /* [n, n] C, then R with each row divided by its diagonal number */
    sqzi_real *turned; /* [n, BLOCK] */
    sqzi_real *wanted; /* [rows, n] the weights and what errors ask of them */
    sqzi_real *errors; /* [rows, n] the weights, then w - s q */
    void *packed;
    void *block;
    size_t bytes;
} rounding;

static void lay_out(rounding *r, sqzi_arena *arena)
{
    const size_t trailing = sqzk_gemm_packed_bytes(r->gemm, BLOCK, r->n),
                 block = sqzk_gemm_packed_bytes(r->gemm, r->n, BLOCK);
    r->inputs = sqzi_arena_take(arena, r->n, sizeof *r->inputs);
    r->factor = sqzi_arena_take(arena, r->n * r->n, sizeof *r->factor);
    r->turned = sqzi_arena_take(arena, r->n * BLOCK, sizeof *r->turned);
    r->wanted = sqzi_arena_take(arena, r->rows * r->n, sizeof *r->wanted);
    r->errors = sqzi_arena_take(arena, r->rows * r->n, sizeof *r->errors);
    r->packed = sqzi_arena_take(arena, trailing > block ? trailing : block, 1);
}

static int by_variance(const void *a, const void *b)
{
    const input *x = a, *y = b;
    return x->variance != y->variance ? (x->variance > y->variance) - (x->variance < y->variance)
                                      : (x->index > y->index) - (x->index < y->index);
}

/* The damped covariance in the order of the inputs. False where it is not finite. */
static bool order_and_damp(rounding *r, const sqzi_real *c)
{
    const size_t n = r->n;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        r->inputs[i] = (input){(float)c[i * n + i], (uint32_t)i};
        sum += (double)c[i * n + i];
    }
    if (!isfinite(sum)) return false;
    qsort(r->inputs, n, sizeof *r->inputs, by_variance);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            r->factor[i * n + j] = c[(size_t)r->inputs[i].index * n + r->inputs[j].index];
    for (size_t i = 0; i < n; i++)
        r->factor[i * n + i] += damping * r->factor[i * n + i] +
                                least_variance * (sqzi_real)(sum / (double)n);
    return true;
}

/* Rows begin .. end of R, whole, from what is left of C. A pivot that rounding has made 0 or less
 * belongs to an input that varies with others alone: it is rounded for itself. */
static void factor_rows(sqzi_real *c, size_t n, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        sqzi_real *row = c + i * n;
        const bool alone = !(row[i] > 0);
        const sqzi_real inverse = alone ? 0 : 1 / (sqzi_real)sqrt((double)row[i]);
        for (size_t j = i; j < n; j++) row[j] *= inverse;
        if (alone) row[i] = 1;
        for (size_t k = i + 1; k < end; k++) {
            const sqzi_real by = row[k];
            sqzi_real *below = c + k * n;
            for (size_t j = k; j < n; j++) below[j] -= by * row[j];
        }
    }
}

/* C = R'R in place, a block of rows at a time: the rest of C loses what the block explains. */
static void factorise(rounding *r)
{
    const size_t n = r->n;
    sqzi_real *c = r->factor;
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t end = n - begin < BLOCK ? n : begin + BLOCK, rest = n - end;
        factor_rows(c, n, begin, end);
        if (!rest) break;
        for (size_t j = 0; j < rest; j++)
            for (size_t i = 0; i < BLOCK; i++)
                r->turned[j * BLOCK + i] = -c[(begin + i) * n + end + j];
        const sqzk_pack_args columns = {.n = rest,
                                        .k = BLOCK,
                                        .source = c + begin * n + end,
                                        .n_stride = 1,
                                        .k_stride = n,
                                        .type = SQZI_F32};
        add_upper(r->gemm, rest, BLOCK, r->turned, BLOCK, &columns, r->packed, c + end * n + end,
                  n);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = n; j-- > i;) c[i * n + j] /= c[i * n + i];
}

/* Inputs begin .. end of one row, the later ones of the block first. */
static void round_part(const rounding *r, size_t row, size_t begin, size_t end, float scale,
                       int8_t *chosen)
{
    const double inverse = scale > 0 ? 1 / (double)scale : 0;
    const sqzi_real *wanted = r->wanted + row * r->n;
    sqzi_real *errors = r->errors + row * r->n;
    for (size_t i = end; i-- > begin;) {
        const sqzi_real *by = r->factor + i * r->n;
        sqzi_real w = wanted[i];
        for (size_t j = i + 1; j < end; j++) w += by[j] * errors[j];
        double steps = rint((double)w * inverse);
        steps = steps > 127 ? 127 : steps < -127 ? -127 : steps;
        chosen[r->inputs[i].index] = (int8_t)steps;
        errors[i] = (sqzi_real)((double)errors[i] - (double)scale * steps);
    }
}

static void round_rows(const rounding *r, const float *scale, int8_t *chosen)
{
    const size_t n = r->n;
    for (size_t end = n, begin; end > 0; end = begin) {
        begin = (end - 1) / BLOCK * BLOCK;
        if (end < n) {
            r->gemm->pack(&(sqzk_pack_args){.n = end - begin,
                                            .k = n - end,
                                            .source = r->factor + begin * n + end,
                                            .n_stride = n,
                                            .k_stride = 1,
                                            .type = SQZI_F32},
                          r->packed);
            r->gemm->run(&(sqzk_gemm_args){.m = r->rows,
                                           .n = end - begin,
                                           .k = n - end,
                                           .a = r->errors + end,
                                           .lda = n * sizeof *r->errors,
                                           .b = r->packed,
                                           .c = r->wanted + begin,
                                           .ldc = n,
                                           .beta = 1});
        }
        for (size_t row = 0; row < r->rows; row++)
            round_part(r, row, begin, end, scale[row], chosen + row * n);
    }
}

static sqz_status gptq_group(rounding *r, const sqzi_real *covariance, size_t g, sqzi_quantized *t,
                             sqz_error *error)
{
    const size_t first = g * r->rows;
    if (!order_and_damp(r, covariance))
        return sqzi_fail(error, SQZ_ENUMERIC, 0,
                         "the inputs of '%s' are not finite on these texts; quantise without them",
                         t->name);
    factorise(r);
    for (size_t row = 0; row < r->rows; row++) {
        const float *weights;
        const sqz_status status = sqzi_quantize_row(t, first + row, &weights, NULL, error);
        if (status != SQZ_OK) return status;
        for (size_t i = 0; i < r->n; i++)
            r->wanted[row * r->n + i] = r->errors[row * r->n + i] = weights[r->inputs[i].index];
    }
    round_rows(r, t->scale + first, t->chosen + first * r->n);
    return SQZ_OK;
}

sqz_status sqzi_gptq(const sqzk_gemm *gemm, const sqzi_moments *covariance, sqzi_quantized *t,
                     sqz_error *error)
{
    const sqz_allocator *allocator = &t->plan->model->context->allocator;
    const size_t n = covariance->n;
    rounding r = {.gemm = gemm, .n = n, .rows = (size_t)t->from->shape[0] / covariance->groups};
    sqz_status status = SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&r, &arena);
    r.bytes = arena.used;
    r.block = sqzi_allocate(allocator, r.bytes);
    int8_t *chosen = sqzi_allocate(allocator, (size_t)t->from->n);
    FAIL_IF(!r.block || !chosen, SQZ_ENOMEM, 0, "no memory to round '%s'", t->name);
    arena = sqzi_arena_over(r.block, r.bytes);
    lay_out(&r, &arena);
    t->chosen = chosen;
    chosen = NULL;
    for (size_t g = 0; g < covariance->groups && status == SQZ_OK; g++)
        status = gptq_group(&r, covariance->squares + g * n * n, g, t, error);
fail:
    sqzi_release(allocator, chosen, (size_t)t->from->n);
    if (r.block) sqzi_release(allocator, r.block, r.bytes);
    return status;
}
