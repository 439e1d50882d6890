/* SPDX-License-Identifier: Apache-2.0 */
/* Linear layers of every form against loops in double (the double build: the same
 * sums in another order); and, of f32, bf16 and s8, the same bits
 * whole, cut into parts, at columns and by groups, row by row, and with rows prepared once for
 * several layers. Which layers may run by groups, or share their rows. */
#include "nn/linear.h"

#include <stdlib.h>

#include "base/cpu.h"
#include "support/random.h"
#include "support/unit_roundoff.h"
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
    {"groups of one output", 24, 8, 8, 0, 1, true, false, false},
    {"one number", 1, 1, 1, 0, 1, true, false, false},
};

enum { ROWS = 23 };

/* A layer with its weights as plain arrays. */
typedef struct layer {
    form f;
    sqzi_linear linear;
    sqzi_real *weight, *a, *b, *bias;
    uint32_t *in, *out, *from;
    void *packed[3];
    /* [n_out, n_in] with everything multiplied out, in the order of the outputs y[0..n_out) */
    double *dense;
} layer;

static sqzi_real *random_reals(sqzt_random *random, size_t n)
{
    sqzi_real *x = malloc((n ? n : 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (sqzi_real)sqzt_normal(random);
    return x;
}

/* Rows of n numbers as bytes with a scale each. */
static void to_bytes(const sqzi_real *from, size_t rows, size_t n, int8_t *bytes, float *scale)
{
    for (size_t i = 0; i < rows; i++) {
        double largest = 0;
        for (size_t j = 0; j < n; j++) largest = fmax(largest, fabs((double)from[i * n + j]));
        scale[i] = (float)(largest / 127);
        for (size_t j = 0; j < n; j++)
            bytes[i * n + j] = (int8_t)lrint((double)from[i * n + j] / (double)scale[i]);
    }
}

static sqzi_matrix pack(const sqzk_gemm *gemm, const sqzi_real *from, uint32_t n_in, uint32_t n_out,
                        uint32_t groups, void **memory)
{
    const size_t k = n_in / groups, n = n_out / groups,
                 group_bytes = sqzk_gemm_packed_bytes(gemm, k, n);
    const bool s8 = gemm->type == SQZI_S8;
    unsigned char *packed = *memory = aligned_alloc(64, groups * group_bytes);
    int8_t *bytes = malloc(n_out * k);
    float *scale = malloc(n_out * sizeof *scale);
    assert_true(packed && bytes && scale);
    to_bytes(from, n_out, k, bytes, scale);
    for (uint32_t g = 0; g < groups; g++) {
        const void *source = s8 ? (const void *)(bytes + g * n * k) : from + g * n * k;
        gemm->pack(&(sqzk_pack_args){.n = n,
                                     .k = k,
                                     .source = source,
                                     .n_stride = k,
                                     .k_stride = 1,
                                     .type = s8 ? SQZI_S8 : SQZI_F32,
                                     .scale = s8 ? scale + g * n : NULL},
                   packed + g * group_bytes);
    }
    free(bytes);
    free(scale);
    return (sqzi_matrix){.n_in = n_in,
                         .n_out = n_out,
                         .groups = groups,
                         .gemm = gemm,
                         .packed = packed,
                         .group_bytes = group_bytes};
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

/* What the layer means, multiplied out: dense[o, i] over stored inputs and outputs, then
 * permuted. */
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
                for (uint32_t r = 0; r < f->rank; r++)
                    *w += (double)l->b[o * f->rank + r] *
                          (double)l->a[(fg * f->rank + r) * factor_in + i % factor_in];
        }
    }
}

static layer make(const form *f, const sqzk_table *kernels, const sqzk_gemm *gemm,
                  sqzt_random *random)
{
    layer l = {.f = *f, .linear = {.n_in = f->n_in, .n_out = f->n_out, .kernels = kernels}};
    l.weight = random_reals(random, (size_t)f->n_out * f->n_in / f->groups);
    l.a = random_reals(random, (size_t)f->rank * f->n_in);
    l.b = random_reals(random, (size_t)f->n_out * f->rank);
    l.bias = random_reals(random, f->n_out);
    if (f->in) l.linear.in = l.in = random_order(random, f->n_in);
    if (f->out) {
        l.linear.out = l.out = random_order(random, f->n_out);
        l.linear.from = l.from = random_order(random, f->n_out);
        for (uint32_t j = 0; j < f->n_out; j++) l.from[l.out[j]] = j;
    }
    if (f->whole)
        l.linear.terms[l.linear.n_terms++].b = pack(gemm, l.weight, f->n_in, f->n_out, f->groups,
                                                    &l.packed[0]);
    if (f->rank) {
        sqzi_term *term = &l.linear.terms[l.linear.n_terms++];
        term->a = pack(gemm, l.a, f->n_in, f->rank * f->factor_groups, f->factor_groups,
                       &l.packed[1]);
        term->b = pack(gemm, l.b, f->rank * f->factor_groups, f->n_out, f->factor_groups,
                       &l.packed[2]);
    }
    for (uint32_t t = 0; t < l.linear.n_terms; t++)
        (l.linear.terms[t].a.packed ? &l.linear.terms[t].a : &l.linear.terms[t].b)->gather = l.in;
    l.linear.bias = l.bias;
    multiply_out(&l);
    return l;
}

static void discard(layer *l)
{
    void *all[] = {l->weight, l->a,         l->b,         l->bias,      l->in,   l->out,
                   l->from,   l->packed[0], l->packed[1], l->packed[2], l->dense};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

typedef struct room {
    sqzi_linear_scratch scratch;
    void *memory;
    size_t bytes;
} room;

static room room_for(const sqzi_linear *linear)
{
    room r = {0};
    sqzi_linear_need(linear, ROWS, &r.scratch);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_linear_scratch_layout(&r.scratch, &arena);
    r.bytes = arena.used;
    r.memory = aligned_alloc(64, (r.bytes + 64) / 64 * 64);
    assert_non_null(r.memory);
    arena = sqzi_arena_over(r.memory, r.bytes);
    sqzi_linear_scratch_layout(&r.scratch, &arena);
    return r;
}

/* Nothing of an earlier call is left to be read. */
static sqzi_linear_scratch *emptied(room *r)
{
    memset(r->memory, 0xFF, r->bytes);
    return &r->scratch;
}

/* y = relu(W x + b) + residual within k·u·sum |w x| of the arithmetic's rounding u, twice over for
 * two factors. */
static void compare(const layer *l, const sqzi_real *x, const sqzi_real *residual,
                    const sqzi_real *y)
{
    const form *f = &l->f;
    for (uint32_t m = 0; m < ROWS; m++)
        for (uint32_t o = 0; o < f->n_out; o++) {
            double sum = 0, size = 0;
            for (uint32_t i = 0; i < f->n_in; i++) {
                const double product = l->dense[(size_t)o * f->n_in + i] *
                                       (double)x[m * f->n_in + i];
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
            const double bound = SQZT_UNIT_ROUNDOFF * depth *
                                 (size + rank_size + fabs(sum) + fabs(wanted) + 1);
            if (!(fabs(wanted - (double)y[m * f->n_out + o]) <= bound))
                fail_msg("%s: row %u, output %u is %.9g, %.9g expected within %.3g", f->name, m, o,
                         (double)y[m * f->n_out + o], wanted, bound);
        }
}

static void check_parts(const layer *l, const sqzi_linear_args *args, const sqzi_real *whole,
                        sqzi_real *y)
{
    room r = room_for(&l->linear);
    const size_t bytes = ROWS * (size_t)l->f.n_out * sizeof *y;
    for (uint32_t parts = 1; parts <= 4; parts++) {
        memset(y, 0xFF, bytes);
        for (uint32_t part = 0; part < parts; part++)
            assert_true(sqzi_linear_run_part(&l->linear, args, emptied(&r), part, parts));
        if (memcmp(y, whole, bytes) != 0)
            fail_msg("%s: %u parts give other bits", l->f.name, parts);
    }
    assert_true(sqzi_linear_can_cut(&l->linear, 0) && sqzi_linear_can_cut(&l->linear, l->f.n_out));
    for (size_t column = 0; column <= l->f.n_out; column++) {
        if (!sqzi_linear_can_cut(&l->linear, column)) continue;
        memset(y, 0xFF, bytes);
        assert_true(column == l->f.n_out ||
                    sqzi_linear_run_columns(&l->linear, args, emptied(&r),
                                            (sqzi_range){column, l->f.n_out}));
        assert_true(column == 0 || sqzi_linear_run_columns(&l->linear, args, emptied(&r),
                                                           (sqzi_range){0, column}));
        if (memcmp(y, whole, bytes) != 0)
            fail_msg("%s: cut at column %zu gives other bits", l->f.name, column);
    }
    free(r.memory);
}

/* Each row alone gives the bits it has among others. */
static void check_rows(const layer *l, sqzi_linear_args args, const sqzi_real *whole, sqzi_real *y)
{
    room r = room_for(&l->linear);
    args.m = 1;
    for (uint32_t m = 0; m < ROWS;
         m++, args.x += args.ldx, args.y += args.ldy, args.residual += args.ldr)
        assert_true(sqzi_linear_run(&l->linear, &args, emptied(&r)));
    if (memcmp(y, whole, ROWS * (size_t)l->f.n_out * sizeof *y) != 0)
        fail_msg("%s: a row alone has other bits", l->f.name);
    free(r.memory);
}

/* So does each group, of a layer that is one term without permutations. */
static void check_groups(const layer *l, const sqzi_linear_args *args, const sqzi_real *whole,
                         sqzi_real *y)
{
    const uint32_t groups = l->f.groups, in = l->f.n_in / groups, out = l->f.n_out / groups;
    if (l->f.rank || l->f.in || l->f.out) return;
    room r = room_for(&l->linear);
    memset(y, 0xFF, ROWS * (size_t)l->f.n_out * sizeof *y);
    for (uint32_t g = 0; g < groups; g++) {
        sqzi_linear_args own = *args;
        own.x += g * in;
        own.y += g * out;
        own.residual += g * out;
        assert_true(sqzi_linear_run_group(&l->linear, g, &own, emptied(&r)));
    }
    if (memcmp(y, whole, ROWS * (size_t)l->f.n_out * sizeof *y) != 0)
        fail_msg("%s: groups alone have other bits", l->f.name);
    free(r.memory);
}

static size_t packed_bytes(const sqzk_gemm *gemm, uint32_t groups, uint32_t n_in, uint32_t n_out)
{
    return groups * sqzk_gemm_packed_bytes(gemm, n_in / groups, n_out / groups);
}

static void check_form(const form *f, const sqzk_table *kernels, const sqzk_gemm *gemm)
{
    sqzt_random random = sqzt_random_of(11);
    layer l = make(f, kernels, gemm, &random);
    sqzi_real *x = random_reals(&random, ROWS * (size_t)f->n_in),
              *residual = random_reals(&random, ROWS * (size_t)f->n_out);
    sqzi_real *whole = random_reals(&random, ROWS * (size_t)f->n_out),
              *y = random_reals(&random, ROWS * (size_t)f->n_out);
    room r = room_for(&l.linear);
    sqzi_linear_args args = {.m = ROWS,
                             .x = x,
                             .ldx = f->n_in,
                             .y = whole,
                             .ldy = f->n_out,
                             .activation = SQZK_RELU,
                             .residual = residual,
                             .ldr = f->n_out};
    assert_true(sqzi_linear_run(&l.linear, &args, &r.scratch));
    if (gemm->type == SQZI_F32) compare(&l, x, residual, whole);
    args.y = y;
    check_parts(&l, &args, whole, y);
    check_rows(&l, args, whole, y);
    check_groups(&l, &args, whole, y);
    if (sqzi_linear_same_input(&l.linear, &l.linear)) {
        args.prepared = true;
        memset(y, 0xFF, ROWS * (size_t)f->n_out * sizeof *y);
        assert_true(sqzi_linear_run(&l.linear, &args, &r.scratch));
        assert_memory_equal(y, whole, ROWS * (size_t)f->n_out * sizeof *y);
    }
    const uint32_t inner = f->rank * f->factor_groups;
    assert_int_equal(sqzi_linear_bytes(&l.linear),
                     (f->whole ? packed_bytes(gemm, f->groups, f->n_in, f->n_out) : 0) +
                         (f->rank ? packed_bytes(gemm, f->factor_groups, f->n_in, inner) +
                                        packed_bytes(gemm, f->factor_groups, inner, f->n_out)
                                  : 0));
    free(r.memory);
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
        const sqzk_gemm *const gemms[] = {kernels.gemm_f32, kernels.gemm_bf16, kernels.gemm_s8};
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
            for (size_t g = 0; g < 3; g++) check_form(&forms[i], &kernels, gemms[g]);
    }
}

static const form up = {"up", 64, 128, 4, 0, 1, true, false, false},
                  down = {"down", 128, 64, 4, 0, 1, true, false, false};

/* What is asked of two layers, in bf16 or f32. */
typedef bool question(const sqzi_linear *first, const sqzi_linear *second);

static bool ask(question *asked, const form *first, const form *second, bool f32)
{
    sqzk_table kernels;
    sqzk_table_init(&kernels, sqzi_cpu_detect());
    sqzt_random random = sqzt_random_of(12);
    const sqzk_gemm *gemm = f32 ? kernels.gemm_f32 : kernels.gemm_bf16;
    layer a = make(first, &kernels, gemm, &random), b = make(second, &kernels, gemm, &random);
    const bool answer = asked(&a.linear, &b.linear);
    discard(&a);
    discard(&b);
    return answer;
}

/* Two forms of which either is changed in one thing. */
static void refuse_changes(question *asked, form first, form second, const form *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ask(asked, &changes[i], &second, false))
            fail_msg("%s first: not refused", changes[i].name);
        form changed = changes[i];
        changed.n_in = second.n_in;
        changed.n_out = second.n_out;
        if (ask(asked, &first, &changed, false))
            fail_msg("%s second: not refused", changes[i].name);
    }
}

static void only_layers_in_the_same_groups_run_by_groups(void **state)
{
    (void)state;
    static const form changes[] = {{"two groups", 64, 128, 2, 0, 1, true, false, false},
                                   {"low rank in four groups", 64, 128, 1, 3, 4, false, false,
                                    false},
                                   {"a sum", 64, 128, 4, 3, 4, true, false, false},
                                   {"permuted inputs", 64, 128, 4, 0, 1, true, true, false},
                                   {"permuted outputs", 64, 128, 4, 0, 1, true, false, true}};
    static const form dense_up = {"dense", 64, 128, 1, 0, 1, true, false, false},
                      dense_down = {"dense", 128, 64, 1, 0, 1, true, false, false};
    assert_true(ask(sqzi_linear_in_groups, &up, &down, false));
    assert_true(ask(sqzi_linear_in_groups, &up, &down, true));
    assert_false(ask(sqzi_linear_in_groups, &up, &up, false)); /* 128 out, 64 in */
    assert_false(ask(sqzi_linear_in_groups, &dense_up, &dense_down, false));
    refuse_changes(sqzi_linear_in_groups, up, down, changes, sizeof changes / sizeof *changes);
}

static void only_layers_that_read_alike_share_their_rows(void **state)
{
    (void)state;
    static const form changes[] = {{"two groups", 64, 128, 2, 0, 1, true, false, false},
                                   {"a sum", 64, 128, 4, 3, 4, true, false, false},
                                   {"permuted inputs", 64, 128, 4, 0, 1, true, true, false},
                                   {"permuted outputs", 64, 128, 4, 0, 1, true, false, true}};
    static const form narrow = {"fewer inputs", 32, 128, 4, 0, 1, true, false, false},
                      other = {"other outputs", 64, 48, 4, 0, 1, true, false, false};
    static const form pair = {"low rank in four groups", 64, 48, 1, 3, 4, false, false, false};
    assert_true(ask(sqzi_linear_same_input, &up, &other, false));
    assert_true(ask(sqzi_linear_same_input, &pair, &up, false));
    assert_true(ask(sqzi_linear_same_input, &up, &pair, false));
    /* f32 rows are nothing to share */
    assert_false(ask(sqzi_linear_same_input, &up, &other, true));
    assert_false(ask(sqzi_linear_same_input, &up, &narrow, false));
    refuse_changes(sqzi_linear_same_input, up, up, changes, sizeof changes / sizeof *changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(only_layers_in_the_same_groups_run_by_groups),
        cmocka_unit_test(only_layers_that_read_alike_share_their_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
