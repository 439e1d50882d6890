/* SPDX-License-Identifier: Apache-2.0 */
/* Linear layers of every form against loops in double; whole, cut into parts and at columns, and with rows prepared once for several layers. */
#include "nn/linear.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "support/random.h"
#include "support/test.h"

typedef struct form {
    const char *name;
    uint32_t n_in, n_out, groups, rank, factor_groups;
    bool whole, in, out;
} form;

static const form forms[] = {
    {"dense", 37, 53, 1, 0, 1, true, false, false},
    {"dense, deep", 700, 70, 1, 0, 1, true, false, false},
    {"groups", 64, 128, 4, 0, 1, true, false, false},
    {"odd groups", 45, 75, 15, 0, 1, true, false, false},
    {"groups wider than a panel", 64, 400, 2, 0, 1, true, false, false},
    {"low rank", 60, 90, 1, 13, 1, false, false, false},
    {"low rank in groups", 60, 90, 1, 4, 5, false, false, false},
    {"sum of groups and low rank", 64, 96, 4, 9, 1, true, false, false},
    {"permuted inputs", 64, 96, 4, 0, 1, true, true, false},
    {"permuted outputs", 64, 96, 4, 0, 1, true, false, true},
    {"permuted on both sides", 48, 72, 4, 0, 1, true, true, true},
    {"all of it", 48, 72, 4, 5, 2, true, true, true},
    {"a sum of terms that read alike", 48, 72, 4, 5, 4, true, true, true},
    {"one number", 1, 1, 1, 0, 1, true, false, false},
};

enum { ROWS = 23 };

/* A layer with its weights as plain arrays. */
typedef struct layer {
    form f;
    sqzi_linear linear;
    float *weight, *a, *b, *bias;
    uint32_t *in, *out, *from;
    void *packed[3];
    double *dense; /* [n_out, n_in] with everything multiplied out, in the order of the outputs y[0..n_out) */
} layer;

static float *random_floats(sqzt_random *random, size_t n)
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)sqzt_normal(random);
    return x;
}

static sqzi_matrix pack(const sqzk_gemm *gemm, const float *from, uint32_t n_in, uint32_t n_out, uint32_t groups, void **memory)
{
    const size_t k = n_in / groups, n = n_out / groups, bytes = sqzk_gemm_packed_bytes(gemm, k, n);
    unsigned char *packed = *memory = aligned_alloc(64, groups * bytes);
    assert_non_null(packed);
    for (uint32_t g = 0; g < groups; g++)
        gemm->pack(&(sqzk_pack_args){.n = n, .k = k, .source = from + g * n * k, .n_stride = k, .k_stride = 1, .type = SQZI_F32}, packed + g * bytes);
    return (sqzi_matrix){n_in, n_out, groups, gemm, packed, bytes, NULL};
}

static uint32_t *random_order(sqzt_random *random, uint32_t n)
{
    uint32_t *order = malloc(n * sizeof *order);
    assert_non_null(order);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        const uint32_t j = (uint32_t)sqzt_below(random, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return order;
}

/* What the layer means, multiplied out: dense[o, i] over stored inputs and outputs, then permuted. */
static void multiply_out(layer *l)
{
    const form *f = &l->f;
    l->dense = calloc((size_t)f->n_in * f->n_out, sizeof *l->dense);
    assert_non_null(l->dense);
    const uint32_t wide = f->n_in / f->groups, factor_in = f->n_in / f->factor_groups;
    for (uint32_t o = 0; o < f->n_out; o++) {
        const uint32_t to = l->out ? l->out[o] : o;
        for (uint32_t i = 0; i < f->n_in; i++) {
            double *w = &l->dense[(size_t)to * f->n_in + (l->in ? l->in[i] : i)];
            const uint32_t g = o / (f->n_out / f->groups), fg = o / (f->n_out / f->factor_groups);
            if (f->whole && i / wide == g) *w += (double)l->weight[o * wide + i % wide];
            if (f->rank && i / factor_in == fg)
                for (uint32_t r = 0; r < f->rank; r++) *w += (double)l->b[o * f->rank + r] * (double)l->a[(fg * f->rank + r) * factor_in + i % factor_in];
        }
    }
}

static layer make(const form *f, const sqzk_table *kernels, sqzt_random *random)
{
    const sqzk_gemm *gemm = kernels->gemm_f32;
    layer l = {.f = *f, .linear = {.n_in = f->n_in, .n_out = f->n_out, .kernels = kernels}};
    l.weight = random_floats(random, (size_t)f->n_out * f->n_in / f->groups);
    l.a = random_floats(random, (size_t)f->rank * f->n_in);
    l.b = random_floats(random, (size_t)f->n_out * f->rank);
    l.bias = random_floats(random, f->n_out);
    if (f->in) l.linear.in = l.in = random_order(random, f->n_in);
    if (f->out) {
        l.linear.out = l.out = random_order(random, f->n_out);
        l.linear.from = l.from = random_order(random, f->n_out);
        for (uint32_t j = 0; j < f->n_out; j++) l.from[l.out[j]] = j;
    }
    if (f->whole) l.linear.terms[l.linear.n_terms++].b = pack(gemm, l.weight, f->n_in, f->n_out, f->groups, &l.packed[0]);
    if (f->rank) {
        sqzi_term *term = &l.linear.terms[l.linear.n_terms++];
        term->a = pack(gemm, l.a, f->n_in, f->rank * f->factor_groups, f->factor_groups, &l.packed[1]);
        term->b = pack(gemm, l.b, f->rank * f->factor_groups, f->n_out, f->factor_groups, &l.packed[2]);
    }
    for (uint32_t t = 0; t < l.linear.n_terms; t++) (l.linear.terms[t].a.packed ? &l.linear.terms[t].a : &l.linear.terms[t].b)->gather = l.in;
    l.linear.bias = l.bias;
    multiply_out(&l);
    return l;
}

static void discard(layer *l)
{
    void *all[] = {l->weight, l->a, l->b, l->bias, l->in, l->out, l->from, l->packed[0], l->packed[1], l->packed[2], l->dense};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static sqzi_linear_scratch scratch_for(const sqzi_linear *linear, void **memory)
{
    sqzi_linear_scratch scratch = {0};
    sqzi_linear_need(linear, ROWS, &scratch);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_linear_scratch_layout(&scratch, &arena);
    *memory = aligned_alloc(64, (arena.used + 64) / 64 * 64);
    assert_non_null(*memory);
    arena = sqzi_arena_over(*memory, arena.used);
    sqzi_linear_scratch_layout(&scratch, &arena);
    return scratch;
}

/* y = relu(W x + b) + residual within k·u·sum |w x| of float arithmetic, twice over for two factors. */
static void compare(const layer *l, const float *x, const float *residual, const float *y)
{
    const form *f = &l->f;
    for (uint32_t m = 0; m < ROWS; m++)
        for (uint32_t o = 0; o < f->n_out; o++) {
            double sum = 0, size = 0;
            for (uint32_t i = 0; i < f->n_in; i++) {
                const double product = l->dense[(size_t)o * f->n_in + i] * (double)x[m * f->n_in + i];
                sum += product;
                size += fabs(product);
            }
            /* the bias belongs to the stored output: find which one that is */
            uint32_t stored = o;
            for (uint32_t j = 0; l->out && j < f->n_out; j++)
                if (l->out[j] == o) stored = j;
            sum += (double)l->bias[stored];
            const double wanted = (sum > 0 ? sum : 0) + (double)residual[m * f->n_out + o];
            const double depth = f->n_in + f->rank + 4.0, rank_size = f->rank ? 40.0 * f->rank : 0;
            const double bound = 0x1p-24 * depth * (size + rank_size + fabs(sum) + fabs(wanted) + 1);
            if (!(fabs(wanted - (double)y[m * f->n_out + o]) <= bound))
                fail_msg("%s: row %u, output %u is %.9g, %.9g expected within %.3g", f->name, m, o, (double)y[m * f->n_out + o], wanted, bound);
        }
}

static void check_parts(const layer *l, const sqzi_linear_args *args, const float *whole, float *y)
{
    void *memory;
    sqzi_linear_scratch scratch = scratch_for(&l->linear, &memory);
    for (uint32_t parts = 1; parts <= 4; parts++) {
        memset(y, 0xFF, ROWS * (size_t)l->f.n_out * sizeof *y);
        for (uint32_t part = 0; part < parts; part++) assert_true(sqzi_linear_run_part(&l->linear, args, &scratch, part, parts));
        if (memcmp(y, whole, ROWS * (size_t)l->f.n_out * sizeof *y) != 0) fail_msg("%s: %u parts give other bits", l->f.name, parts);
    }
    for (size_t column = 0; column <= l->f.n_out; column++) {
        if (!sqzi_linear_can_cut(&l->linear, column)) continue;
        memset(y, 0xFF, ROWS * (size_t)l->f.n_out * sizeof *y);
        assert_true(column == l->f.n_out || sqzi_linear_run_columns(&l->linear, args, &scratch, (sqzi_range){column, l->f.n_out}));
        assert_true(column == 0 || sqzi_linear_run_columns(&l->linear, args, &scratch, (sqzi_range){0, column}));
        if (memcmp(y, whole, ROWS * (size_t)l->f.n_out * sizeof *y) != 0) fail_msg("%s: cut at column %zu gives other bits", l->f.name, column);
    }
    free(memory);
}

/* Each row alone gives the bits it has among others. */
static void check_rows(const layer *l, sqzi_linear_args args, const float *whole, float *y)
{
    void *memory;
    sqzi_linear_scratch scratch = scratch_for(&l->linear, &memory);
    args.m = 1;
    for (uint32_t m = 0; m < ROWS; m++, args.x += args.ldx, args.y += args.ldy, args.residual += args.ldr) assert_true(sqzi_linear_run(&l->linear, &args, &scratch));
    if (memcmp(y, whole, ROWS * (size_t)l->f.n_out * sizeof *y) != 0) fail_msg("%s: a row alone has other bits", l->f.name);
    free(memory);
}

static void check_form(const form *f, const sqzk_table *kernels)
{
    sqzt_random random = sqzt_random_of(11);
    layer l = make(f, kernels, &random);
    float *x = random_floats(&random, ROWS * (size_t)f->n_in), *residual = random_floats(&random, ROWS * (size_t)f->n_out);
    float *whole = random_floats(&random, ROWS * (size_t)f->n_out), *y = random_floats(&random, ROWS * (size_t)f->n_out);
    void *memory;
    sqzi_linear_scratch scratch = scratch_for(&l.linear, &memory);
    sqzi_linear_args args = {.m = ROWS, .x = x, .ldx = f->n_in, .y = whole, .ldy = f->n_out, .activation = SQZK_RELU, .residual = residual, .ldr = f->n_out};
    assert_true(sqzi_linear_run(&l.linear, &args, &scratch));
    compare(&l, x, residual, whole);
    args.y = y;
    check_parts(&l, &args, whole, y);
    check_rows(&l, args, whole, y);
    if (sqzi_linear_same_input(&l.linear, &l.linear)) {
        args.prepared = true;
        memset(y, 0xFF, ROWS * (size_t)f->n_out * sizeof *y);
        assert_true(sqzi_linear_run(&l.linear, &args, &scratch));
        assert_memory_equal(y, whole, ROWS * (size_t)f->n_out * sizeof *y);
    }
    free(memory);
    free(x);
    free(residual);
    free(whole);
    free(y);
    discard(&l);
}

static void test_forms(void **state)
{
    (void)state;
    const uint32_t found = sqzi_cpu_detect();
    const uint32_t sets[] = {0, found & SQZI_CPU_AVX2, found};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        sqzk_table kernels;
        sqzk_table_init(&kernels, sets[s]);
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) check_form(&forms[i], &kernels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
