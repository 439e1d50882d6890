/* SPDX-License-Identifier: Apache-2.0 */
/* Second moments of a matrix's inputs, their Cholesky factor, and the rounding that it guides. The
 * work is in products of matrices, so the kernels do it. */
#include "squeeze/gptq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/packed_rows.h"
#include "rewrite/group_scales.h"

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

/* out [m, n] = rows [m, k] times the transpose of columns [n, k]. */
static void multiply(const sqzk_gemm *gemm, size_t m, size_t n, size_t k, const sqzi_real *rows,
                     const sqzi_real *columns, void *packed, sqzi_real *out)
{
    gemm->pack(
        &(sqzk_pack_args){
            .n = n, .k = k, .source = columns, .n_stride = k, .k_stride = 1, .type = SQZI_F32},
        packed);
    gemm->run(&(sqzk_gemm_args){.m = m,
                                .n = n,
                                .k = k,
                                .a = rows,
                                .lda = k * sizeof *rows,
                                .b = packed,
                                .c = out,
                                .ldc = n});
}

sqz_status sqzi_covariance_through(const sqzk_gemm *gemm, const sqz_allocator *allocator, size_t n,
                                   size_t rank, const sqzi_real *outer, const sqzi_real *factor,
                                   sqzi_real *inner, sqz_error *error)
{
    sqzi_real *product = NULL;
    void *packed = NULL;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    for (int placed = 0; placed < 2; placed++) {
        product = sqzi_arena_take(&arena, rank * n, sizeof *product);
        packed = sqzi_arena_take(&arena, sqzk_gemm_packed_bytes(gemm, n, n > rank ? n : rank), 1);
        if (placed) break;
        void *block = sqzi_allocate(allocator, arena.used);
        if (!block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for moments of a factor");
        arena = sqzi_arena_over(block, arena.used);
    }
    multiply(gemm, rank, n, n, factor, outer, packed, product);
    multiply(gemm, rank, rank, n, product, factor, packed, inner);
    sqzi_release(allocator, arena.base, arena.capacity);
    return SQZ_OK;
}

sqz_status sqzi_moments_through(const sqzk_gemm *gemm, const sqzi_moments *outer, sqzi_quantized *a,
                                sqzi_moments *inner, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &a->plan->model->context->allocator;
    const size_t n = outer->n, rank = inner->n, bytes = rank * n * sizeof(sqzi_real);
    sqzi_real *factor = sqzi_allocate(allocator, bytes);
    FAIL_IF(!factor, SQZ_ENOMEM, 0, "no memory for the moments of '%s'", a->name);
    for (size_t g = 0; g < outer->groups; g++) {
        const double *row;
        for (size_t r = 0; r < rank; r++) {
            TRY(sqzi_quantize_row(a, g * rank + r, NULL, &row, error));
            for (size_t j = 0; j < n; j++) factor[r * n + j] = (sqzi_real)row[j];
        }
        TRY(sqzi_covariance_through(gemm, allocator, n, rank, outer->squares + g * n * n, factor,
                                    inner->squares + g * rank * rank, error));
    }
fail:
    if (factor) sqzi_release(allocator, factor, bytes);
    return status;
}

typedef struct input {
    float variance;
    uint32_t index;
} input;

/* Working memory of a task. */
typedef struct rounding {
    const sqzk_gemm *gemm;
    const sqzi_rounding_task *task;
    size_t n, rows;
    input *inputs;     /* [n] by ascending variance: the order of what follows */
    sqzi_real *factor; /* [n, n] C, then R with each row divided by its diagonal number */
    sqzi_real *turned; /* [n, BLOCK] */
    sqzi_real *wanted; /* [rows, n] the weights and what errors ask of them */
    sqzi_real *errors; /* [rows, n] the weights, then w - s q */
    void *packed;
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

static sqzi_real covariance_of(const sqzi_rounding_task *t, size_t i, size_t j)
{
    return t->covariance[(t->order ? t->order[i] : i) * t->ld + (t->order ? t->order[j] : j)];
}

/* The damped covariance in the order of the inputs. False where it is not finite. */
static bool order_and_damp(rounding *r)
{
    const size_t n = r->n;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        r->inputs[i] = (input){(float)covariance_of(r->task, i, i), (uint32_t)i};
        sum += (double)covariance_of(r->task, i, i);
    }
    if (!isfinite(sum)) return false;
    qsort(r->inputs, n, sizeof *r->inputs, by_variance);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            r->factor[i * n + j] = covariance_of(r->task, r->inputs[i].index, r->inputs[j].index);
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
static void round_part(const rounding *r, size_t row, size_t begin, size_t end)
{
    const sqzi_rounding_task *task = r->task;
    const double scale = (double)task->scale[row], inverse = scale > 0 ? 1 / scale : 0;
    const uint8_t *multipliers = task->multipliers
                                     ? task->multipliers + row * sqzi_packed_groups(r->n)
                                     : NULL;
    const sqzi_real *wanted = r->wanted + row * r->n;
    sqzi_real *errors = r->errors + row * r->n;
    int8_t *integers = task->integers + row * r->n;
    for (size_t i = end; i-- > begin;) {
        const sqzi_real *by = r->factor + i * r->n;
        const size_t index = r->inputs[i].index;
        sqzi_real w = wanted[i];
        for (size_t j = i + 1; j < end; j++) w += by[j] * errors[j];
        const int q = sqzi_nearest_integer(task->bits, (double)w * inverse,
                                           multipliers ? multipliers[index / SQZI_PACKED_GROUP]
                                                       : 1);
        integers[index] = (int8_t)q;
        errors[i] = (sqzi_real)((double)errors[i] - scale * q);
    }
}

static void round_rows(const rounding *r)
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
        for (size_t row = 0; row < r->rows; row++) round_part(r, row, begin, end);
    }
}

sqz_status sqzi_gptq_round(const sqzk_gemm *gemm, const sqz_allocator *allocator,
                           const sqzi_rounding_task *task, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    rounding r = {.gemm = gemm, .task = task, .n = task->n, .rows = task->rows};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&r, &arena);
    const size_t bytes = arena.used;
    void *block = sqzi_allocate(allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "no memory to round '%s'", task->name);
    arena = sqzi_arena_over(block, bytes);
    lay_out(&r, &arena);
    FAIL_IF(!order_and_damp(&r), SQZ_ENUMERIC, 0,
            "the inputs of '%s' are not finite on these texts; quantise without them", task->name);
    factorise(&r);
    for (size_t row = 0; row < r.rows; row++)
        for (size_t i = 0; i < r.n; i++)
            r.wanted[row * r.n + i] = r.errors[row * r.n + i] =
                task->weights[row * r.n + r.inputs[i].index];
    round_rows(&r);
fail:
    if (block) sqzi_release(allocator, block, bytes);
    return status;
}

/* The rows of group g of a tensor, their scales chosen anew for what its inputs are like, and
 * rounded. */
static sqz_status round_group(const sqzk_gemm *gemm, const sqzi_moments *covariance, size_t g,
                              sqzi_quantized *t, float *weights, sqz_error *error)
{
    const size_t n = covariance->n, rows = (size_t)t->from->shape[0] / covariance->groups,
                 first = g * rows;
    for (size_t row = 0; row < rows; row++) {
        const float *from;
        const sqz_status status = sqzi_quantize_row(t, first + row, &from, NULL, error);
        if (status != SQZ_OK) return status;
        memcpy(weights + row * n, from, n * sizeof *weights);
    }
    const sqzi_rounding_task task = {
        .name = t->name,
        .rows = rows,
        .n = n,
        .weights = weights,
        .covariance = covariance->squares + g * n * n,
        .ld = n,
        .bits = t->bits,
        .scale = t->scale + first,
        .multipliers = t->multipliers ? t->multipliers + first * sqzi_packed_groups(n) : NULL,
        .integers = t->chosen + first * n};
    return sqzi_gptq_round(gemm, &t->plan->model->context->allocator, &task, error);
}

sqz_status sqzi_gptq(const sqzk_gemm *gemm, const sqzi_moments *covariance, sqzi_quantized *t,
                     sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &t->plan->model->context->allocator;
    const size_t n = (size_t)t->from->n, bytes = n / covariance->groups * sizeof(float);
    float *weights = sqzi_allocate(allocator, bytes);
    FAIL_IF(!weights, SQZ_ENOMEM, 0, "no memory to round '%s'", t->name);
    int8_t *chosen = sqzi_allocate_zeroed(allocator, n, 1);
    FAIL_IF(!chosen, SQZ_ENOMEM, 0, "no memory to round '%s'", t->name);
    t->chosen = chosen;
    for (size_t g = 0; g < covariance->groups; g++)
        TRY(round_group(gemm, covariance, g, t, weights, error));
fail:
    if (weights) sqzi_release(allocator, weights, bytes);
    return status;
}
