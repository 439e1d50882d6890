/* SPDX-License-Identifier: Apache-2.0 */
/* Every f32 gemm against sums in double: bounds from the roundings of a chain, awkward sizes and
 * strides, operands that end at unreadable pages, NaN in what must not be read, canaries around C,
 * the same bits under any cut of m and n, packing from every type and stride. A level that this
 * machine lacks is named. */
#include "kernel/kernel.h"

#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/half.h"
#include "kernel/gemm/gemm_f32_block.h"
#include "support/gemms.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/test.h"

static const uint32_t seed = 21;

static const shape shapes[] = {
    {1, 1, 1},    {1, 2, 3},      {2, 15, 4},     {3, 16, 5},    {5, 17, 7},
    {6, 31, 63},  {7, 64, 64},    {8, 65, 65},    {11, 63, 127}, {12, 48, 1},
    {13, 80, 2},  {16, 192, 192}, {17, 129, 191}, {4, 100, 256}, {9, 33, 257},
    {23, 7, 300}, {1, 192, 768},  {6, 64, 1537},  {49, 33, 9}, /* five tiles, of 9 and 10 rows */
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* One problem: x [m, ldx], w [n, ldw], what lies between rows is NaN. */
typedef struct problem {
    shape s;
    size_t ldx, ldw, ldr;
    sqzt_guarded x, w, bias, residual;
} problem;

static sqzt_guarded matrix(sqzt_random *random, size_t rows, size_t columns, size_t ld)
{
    sqzt_guarded g = sqzt_guarded_open(((rows - 1) * ld + columns) * sizeof(float));
    float *x = g.p;
    for (size_t i = 0; i < g.bytes / sizeof *x; i++)
        x[i] = i % ld < columns ? (float)sqzt_normal(random) : NAN;
    return g;
}

static problem make(shape s)
{
    sqzt_random random = sqzt_random_of(seed + s.m * 31 + s.n * 7 + s.k);
    problem p = {.s = s, .ldx = s.k + 3, .ldw = s.k + 5, .ldr = s.n + 1};
    p.x = matrix(&random, s.m, s.k, p.ldx);
    p.w = matrix(&random, s.n, s.k, p.ldw);
    p.bias = matrix(&random, 1, s.n, s.n);
    p.residual = matrix(&random, s.m, s.n, p.ldr);
    return p;
}

static void discard(problem *p)
{
    sqzt_guarded *const all[] = {&p->x, &p->w, &p->bias, &p->residual};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) sqzt_guarded_close(all[i]);
}

static sqzt_guarded packed(const sqzk_gemm *gemm, const problem *p)
{
    sqzt_guarded b = sqzt_guarded_open(sqzk_gemm_packed_bytes(gemm, p->s.k, p->s.n));
    gemm->pack(&(sqzk_pack_args){.n = p->s.n,
                                 .k = p->s.k,
                                 .source = p->w.p,
                                 .n_stride = p->ldw,
                                 .k_stride = 1,
                                 .type = SQZI_F32},
               b.p);
    return b;
}

static sqzt_guarded blank(shape s, size_t ldc, uint32_t beta)
{
    sqzt_guarded c = sqzt_guarded_open(((s.m - 1) * ldc + s.n) * sizeof(float));
    for (size_t i = 0; i < c.bytes / sizeof(float); i++)
        ((float *)c.p)[i] = i % ldc >= s.n ? canary : beta ? 0.75f : NAN;
    return c;
}

/* Roundings that one output passes through: a chain of a block (twice, where the product is rounded
 * too), the blocks' sum, the epilogue. */
static double roundings(size_t k)
{
    const size_t block = k < GEMM_F32_BLOCK ? k : GEMM_F32_BLOCK;
    return (double)(block + 1 + (k + GEMM_F32_BLOCK - 1) / GEMM_F32_BLOCK + 4) * 0x1p-24 * 1.01;
}

static void compare(const sqzk_gemm *gemm, const problem *p, const sqzk_gemm_args *args)
{
    const float *x = p->x.p, *w = p->w.p, *bias = args->epilogue ? args->epilogue->bias : NULL,
                *residual = args->epilogue ? args->epilogue->residual : NULL;
    const double base = args->beta ? 0.75 : 0;
    for (size_t i = 0; i < p->s.m; i++)
        for (size_t j = 0; j < p->s.n; j++) {
            double sum = base, size = fabs(base);
            for (size_t k = 0; k < p->s.k; k++) {
                const double term = (double)x[i * p->ldx + k] * (double)w[j * p->ldw + k];
                sum += term;
                size += fabs(term);
            }
            if (args->epilogue) {
                const double b = bias ? (double)bias[j] : 0,
                             r = residual ? (double)residual[i * p->ldr + j] : 0;
                sum += b;
                if (args->epilogue->activation == SQZK_RELU) sum = fmax(sum, 0);
                sum += r;
                size += fabs(b) + fabs(r);
            }
            const double got = (double)args->c[i * args->ldc + j], bound = roundings(p->s.k) * size;
            if (!(fabs(got - sum) <= bound))
                fail_msg("%s, %zu x %zu x %zu: (%zu, %zu) is %.9g, %.9g +- %.3g expected",
                         gemm->name, p->s.m, p->s.n, p->s.k, i, j, got, sum, bound);
        }
}

static void assert_untouched(const sqzk_gemm_args *args)
{
    for (size_t i = 0; i + 1 < args->m; i++)
        for (size_t j = args->n; j < args->ldc; j++)
            assert_memory_equal(&args->c[i * args->ldc + j], &canary, sizeof canary);
}

static sqzk_gemm_args args_of(const problem *p, const sqzt_guarded *b, float *c, size_t ldc)
{
    return (sqzk_gemm_args){.m = p->s.m,
                            .n = p->s.n,
                            .k = p->s.k,
                            .a = p->x.p,
                            .lda = p->ldx * sizeof(float),
                            .b = b->p,
                            .c = c,
                            .ldc = ldc};
}

static void products_keep_their_bound(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    uint32_t ran = 0;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_F32, &i)); ran++)
        for (size_t s = 0; s < N_SHAPES; s++) {
            problem p = make(shapes[s]);
            sqzt_guarded b = packed(gemm, &p);
            const sqzk_epilogue plain = {p.bias.p, p.residual.p, p.ldr, SQZK_IDENTITY},
                                relu = {p.bias.p, p.residual.p, p.ldr, SQZK_RELU};
            const sqzk_epilogue bias = {p.bias.p, NULL, 0, SQZK_RELU},
                                residual = {NULL, p.residual.p, p.ldr, SQZK_RELU};
            const sqzk_epilogue *const epilogues[] = {NULL,  NULL,  &plain, &plain,
                                                      &relu, &relu, &bias,  &residual};
            for (uint32_t e = 0; e < sizeof epilogues / sizeof *epilogues; e++) {
                const size_t ldc = p.s.n + 3;
                sqzt_guarded c = blank(p.s, ldc, e & 1);
                sqzk_gemm_args args = args_of(&p, &b, c.p, ldc);
                args.beta = e & 1;
                args.epilogue = epilogues[e];
                gemm->run(&args);
                compare(gemm, &p, &args);
                assert_untouched(&args);
                sqzt_guarded_close(&c);
            }
            sqzt_guarded_close(&b);
            discard(&p);
        }
    assert_true(ran > 0);
}

/* GELU with a bias and nothing else, which has a way of its own, and with a residual: 2^-22 max(1,
 * |x|) for the function, whose slope is at most 1.13, of a sum within its bound. */
static void gelu_is_applied_in_the_tile(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_F32, &i));)
        for (size_t at = 0; at < 2 * N_SHAPES; at++) {
            problem p = make(shapes[at / 2]);
            const float *residual = at % 2 ? p.residual.p : NULL;
            sqzt_guarded b = packed(gemm, &p), c = blank(p.s, p.s.n + 3, 0);
            sqzk_gemm_args args = args_of(&p, &b, c.p, p.s.n + 3);
            args.epilogue = &(sqzk_epilogue){p.bias.p, residual, p.ldr, SQZK_GELU};
            gemm->run(&args);
            assert_untouched(&args);
            for (size_t r = 0; r < p.s.m; r++)
                for (size_t j = 0; j < p.s.n; j++) {
                    double x = (double)((float *)p.bias.p)[j], size = fabs(x);
                    for (size_t k = 0; k < p.s.k; k++) {
                        const double term = (double)((float *)p.x.p)[r * p.ldx + k] *
                                            (double)((float *)p.w.p)[j * p.ldw + k];
                        x += term;
                        size += fabs(term);
                    }
                    const double added = residual ? (double)residual[r * p.ldr + j] : 0;
                    const double wanted = 0.5 * x * (1 + erf(x * 0.70710678118654752440)) + added,
                                 got = (double)args.c[r * args.ldc + j];
                    if (!(fabs(got - wanted) <= 0x1p-22 * fmax(1, fabs(x)) +
                                                    1.13 * roundings(p.s.k) * size +
                                                    0x1p-24 * fabs(wanted)))
                        fail_msg("%s, %zu x %zu x %zu: (%zu, %zu) is %.9g, %.9g expected",
                                 gemm->name, p.s.m, p.s.n, p.s.k, r, j, got, wanted);
                }
            sqzt_guarded_close(&c);
            sqzt_guarded_close(&b);
            discard(&p);
        }
}

/* C whole against C made in pieces: rows cut every `step` rows, columns every panel or two; the
 * residual is C itself. */
static void check_cut(const sqzk_gemm *gemm, const problem *p, const sqzt_guarded *b,
                      const float *whole, size_t step, size_t panels)
{
    sqzt_guarded c = sqzt_guarded_open(p->s.m * p->s.n * sizeof(float));
    float *out = c.p;
    const float *bias = p->bias.p;
    for (size_t i = 0; i < p->s.m; i++)
        memcpy(out + i * p->s.n, (const float *)p->residual.p + i * p->ldr, p->s.n * sizeof(float));
    for (size_t row = 0; row < p->s.m; row += step)
        for (size_t column = 0; column < p->s.n; column += panels * gemm->nr) {
            float *piece = out + row * p->s.n + column;
            const sqzk_epilogue epilogue = {bias + column, piece, p->s.n, SQZK_GELU};
            sqzk_gemm_args args = args_of(p, b, piece, p->s.n);
            args.m = p->s.m - row < step ? p->s.m - row : step;
            args.n = p->s.n - column < panels * gemm->nr ? p->s.n - column : panels * gemm->nr;
            args.a = (const float *)p->x.p + row * p->ldx;
            args.b = (const unsigned char *)b->p +
                     column / gemm->nr * sqzk_gemm_panel_bytes(gemm, p->s.k);
            args.epilogue = &epilogue;
            gemm->run(&args);
        }
    if (memcmp(whole, out, c.bytes) != 0)
        fail_msg("%s, %zu x %zu x %zu: other bits with rows cut every %zu", gemm->name, p->s.m,
                 p->s.n, p->s.k, step);
    sqzt_guarded_close(&c);
}

static void bits_do_not_depend_on_cuts(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_F32, &i));)
        for (size_t s = 0; s < N_SHAPES; s++) {
            problem p = make(shapes[s]);
            sqzt_guarded b = packed(gemm, &p);
            sqzt_guarded c = sqzt_guarded_open(p.s.m * p.s.n * sizeof(float));
            sqzk_gemm_args args = args_of(&p, &b, c.p, p.s.n);
            args.epilogue = &(sqzk_epilogue){p.bias.p, p.residual.p, p.ldr, SQZK_GELU};
            gemm->run(&args);
            for (size_t step = 1; step <= p.s.m; step++)
                check_cut(gemm, &p, &b, c.p, step, 1 + step % 2);
            sqzt_guarded_close(&c);
            sqzt_guarded_close(&b);
            discard(&p);
        }
}

/* A long k goes in pieces where c may keep the sums between them, strip after strip of rows: the
 * same bits as at once, where c is the residual. */
static void pieces_of_k_add_up_as_the_whole(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_F32, &i));) {
        problem p = make((shape){262, 64, 2047});
        sqzt_guarded b = packed(gemm, &p), c = blank(p.s, p.s.n, 0);
        sqzk_gemm_args args = args_of(&p, &b, c.p, p.s.n);
        args.epilogue = &(sqzk_epilogue){p.bias.p, p.residual.p, p.ldr, SQZK_GELU};
        gemm->run(&args);
        check_cut(gemm, &p, &b, c.p, 129, 2);
        sqzt_guarded_close(&c);
        sqzt_guarded_close(&b);
        discard(&p);
    }
}

/* Numbers that f16 and bf16 hold exactly: eighths below 16. */
static float short_number(size_t i)
{
    return (float)((int)(i * 37 % 255) - 127) * 0.125f;
}

static uint16_t stored(float x, sqzi_type type)
{
    return type == SQZI_F16 ? sqzi_to_f16(x) : sqzi_to_bf16(x);
}

/* Pack w[n][k] = short_number from a source of this type and these strides; what lies between is
 * all ones, a NaN in each type. */
static sqzt_guarded pack_from(const sqzk_gemm *gemm, shape s, sqzi_type type, size_t n_stride,
                              size_t k_stride, int before)
{
    const size_t width = type == SQZI_F32 ? 4 : 2,
                 count = (s.n - 1) * n_stride + (s.k - 1) * k_stride + 1;
    sqzt_guarded source = sqzt_guarded_open(count * width);
    memset(source.p, 0xFF, source.bytes);
    for (size_t j = 0; j < s.n; j++)
        for (size_t k = 0; k < s.k; k++) {
            const float x = short_number(j * s.k + k);
            const uint16_t half = type == SQZI_F32 ? 0 : stored(x, type);
            memcpy((unsigned char *)source.p + (j * n_stride + k * k_stride) * width,
                   type == SQZI_F32 ? (const void *)&x : &half, width);
        }
    sqzt_guarded b = sqzt_guarded_open(sqzk_gemm_packed_bytes(gemm, s.k, s.n));
    memset(b.p, before, b.bytes); /* every byte is to be written */
    gemm->pack(&(sqzk_pack_args){.n = s.n,
                                 .k = s.k,
                                 .source = source.p,
                                 .n_stride = n_stride,
                                 .k_stride = k_stride,
                                 .type = type},
               b.p);
    sqzt_guarded_close(&source);
    return b;
}

/* The columns of the last panel past n are 0: what a tile makes of them may be slow to compute
 * else, or raise an exception. */
static void check_padding(const sqzk_gemm *gemm, shape s, const sqzt_guarded *b)
{
    const float *panel = (const float *)(const void *)((const unsigned char *)b->p +
                                                       (s.n - 1) / gemm->nr *
                                                           sqzk_gemm_panel_bytes(gemm, s.k));
    for (size_t k = 0; k < s.k; k++)
        for (size_t j = (s.n - 1) % gemm->nr + 1; j < gemm->nr; j++)
            if (panel[k * gemm->nr + j] != 0)
                fail_msg("%s, n %zu, k %zu: column %zu past n holds %g", gemm->name, s.n, s.k, j,
                         (double)panel[k * gemm->nr + j]);
}

static void every_source_packs_to_the_same_panels(void **state)
{
    (void)state;
    static const sqzi_type types[] = {SQZI_F32, SQZI_F16, SQZI_BF16};
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzt_next_gemm(SQZI_F32, &i));)
        for (size_t at = 0; at < N_SHAPES; at++) {
            const shape s = shapes[at];
            sqzt_guarded wanted = pack_from(gemm, s, SQZI_F32, s.k, 1, 0x5A);
            check_padding(gemm, s, &wanted);
            const size_t strides[][2] = {{s.k, 1},     {s.k + 3, 1},     {1, s.n},
                                         {1, s.n + 1}, {2, 2 * s.n + 1}, {2 * s.k + 1, 2}};
            for (size_t t = 0; t < 3; t++)
                for (size_t c = 0; c < sizeof strides / sizeof *strides; c++) {
                    sqzt_guarded got = pack_from(gemm, s, types[t], strides[c][0], strides[c][1],
                                                 0xA5);
                    if (memcmp(wanted.p, got.p, got.bytes) != 0)
                        fail_msg("%s, n %zu, k %zu: type %d, strides %zu and %zu pack otherwise",
                                 gemm->name, s.n, s.k, (int)types[t], strides[c][0], strides[c][1]);
                    sqzt_guarded_close(&got);
                }
            sqzt_guarded_close(&wanted);
        }
}

static void the_best_gemm_of_this_machine_is_chosen(void **state)
{
    (void)state;
    const uint32_t features = sqzi_cpu_detect();
    sqzk_table table;
    sqzk_table_init(&table, features);
    assert_ptr_equal(table.gemm_f32, sqzt_best_gemm(SQZI_F32));
    sqzk_table_init(&table, 0);
    assert_string_equal(table.gemm_f32->level, "portable");
}

int main(void)
{
    printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_keep_their_bound),
        cmocka_unit_test(gelu_is_applied_in_the_tile),
        cmocka_unit_test(bits_do_not_depend_on_cuts),
        cmocka_unit_test(pieces_of_k_add_up_as_the_whole),
        cmocka_unit_test(every_source_packs_to_the_same_panels),
        cmocka_unit_test(the_best_gemm_of_this_machine_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
