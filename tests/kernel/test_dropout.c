/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout on every level of this machine: which numbers are kept, by the generator itself; the same
 * bits on all levels and however rows are cut; nothing read or written elsewhere; and that as many
 * are dropped as asked. */
#include "kernel/grad/grad_table.h"

#include <math.h>

#include "support/guarded.h"
#include "support/random.h"
#include "support/row_levels.h"
#include "support/test.h"

static sqzt_guarded reals_of(sqzt_random *random, size_t rows, size_t n, size_t ld)
{
    sqzt_guarded g = sqzt_guarded_open(((rows - 1) * ld + n) * sizeof(sqzi_real));
    sqzi_real *x = g.p;
    for (size_t i = 0; i < g.bytes / sizeof *x; i++)
        x[i] = i % ld < n ? (sqzi_real)sqzt_normal(random) : (sqzi_real)NAN;
    return g;
}

/* Whether a place is kept, as grad_table.h says it. */
static bool is_kept(const sqzk_dropout_args *args, size_t row, size_t column)
{
    const size_t width = (args->n + 7) / 8 * 8, place = (args->row + row) * width + column;
    const sqzi_philox_block block = sqzi_philox(
        (sqzi_philox_block){{(uint32_t)(place / 8), args->example, args->epoch, args->stream}},
        args->seed);
    const uint32_t word = block.word[place % 8 / 2];
    return (place % 2 ? word >> 16 : word & 0xFFFF) >= args->share;
}

static void check(const level *l, const sqzk_grad_table *grads, sqzk_dropout_args a,
                  bool with_residual, bool in_place)
{
    sqzt_random random = sqzt_random_of(a.n + a.m);
    sqzt_guarded x = reals_of(&random, a.m, a.n, a.n + 3),
                 residual = reals_of(&random, a.m, a.n, a.n + 1),
                 out = reals_of(&random, a.m, a.n, a.n + 3), before = sqzt_guarded_open(x.bytes);
    memcpy(before.p, x.p, x.bytes);
    a.x = x.p;
    a.ldx = a.ldo = a.n + 3;
    a.residual = with_residual ? residual.p : NULL;
    a.ldr = a.n + 1;
    a.out = in_place ? x.p : out.p;
    grads->dropout(&a);
    const sqzi_real scale = 65536 / (sqzi_real)(65536 - a.share), *from = before.p;
    for (size_t r = 0; r < a.m; r++)
        for (size_t j = 0; j < (r + 1 < a.m ? a.ldo : a.n); j++) {
            const sqzi_real got = a.out[r * a.ldo + j];
            if (j >= a.n) {
                assert_true(isnan(got));
                continue;
            }
            sqzi_real wanted = is_kept(&a, r, j) ? from[r * a.ldx + j] * scale : 0;
            if (with_residual) wanted += a.residual[r * a.ldr + j];
            if (got != wanted)
                fail_msg("%s, %zu x %zu, share %u: [%zu, %zu] is %.9g, %.9g expected", l->name, a.m,
                         a.n, a.share, r, j, (double)got, (double)wanted);
        }
    sqzt_guarded_close(&x);
    sqzt_guarded_close(&residual);
    sqzt_guarded_close(&out);
    sqzt_guarded_close(&before);
}

static void what_is_kept_is_what_the_generator_says(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 7, 8, 9, 15, 16, 17, 24, 31, 33, 128, 384, 1000, 3000};
    static const uint32_t shares[] = {0, 1, 6554, 32768, 65535};
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        sqzk_grad_table grads;
        sqzk_grad_table_init(&grads, l.features);
        for (size_t at = 0; at < sizeof lengths / sizeof *lengths; at++)
            for (uint32_t s = 0; s < sizeof shares / sizeof *shares; s++)
                for (size_t m = 1; m <= 21; m += 10)
                    check(&l, &grads,
                          (sqzk_dropout_args){.m = m,
                                              .n = lengths[at],
                                              .seed = {{17, 0xFFFFFFFF}},
                                              .share = shares[s],
                                              .row = 5 + s,
                                              .example = 0xFFFFFFF0,
                                              .epoch = 3,
                                              .stream = 11 << 16 | 2 << 8 | 1},
                          s % 2, at % 2);
    }
}

static void a_row_alone_has_the_mask_that_it_has_among_others(void **state)
{
    (void)state;
    enum { M = 60, N = 50 };
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        sqzk_grad_table grads;
        sqzk_grad_table_init(&grads, l.features);
        sqzi_real x[M * N], whole[M * N], alone[N];
        for (size_t j = 0; j < M * N; j++) x[j] = 1;
        sqzk_dropout_args args = {.m = M,
                                  .n = N,
                                  .x = x,
                                  .ldx = N,
                                  .out = whole,
                                  .ldo = N,
                                  .seed = {{1, 2}},
                                  .share = 6554,
                                  .row = 100};
        grads.dropout(&args);
        args.m = 1;
        args.out = alone;
        for (size_t r = 0; r < M; r++, args.row++) {
            grads.dropout(&args);
            assert_memory_equal(alone, whole + r * N, sizeof alone);
        }
    }
}

/* Of 64 x 4096 numbers a tenth is dropped: 26,215 of 262,144, deviation 154. Every other example,
 * epoch, layer, site and view has a mask of its own: of two, a hundredth drops the same. */
static void a_tenth_is_dropped_and_masks_are_independent(void **state)
{
    (void)state;
    enum { M = 64, N = 4096, ALL = M * N };
    static sqzi_real x[ALL], first[ALL], other[ALL];
    for (size_t j = 0; j < ALL; j++) x[j] = 1;
    sqzk_grad_table grads;
    sqzk_grad_table_init(&grads, sqzi_cpu_detect());
    const sqzk_dropout_args args = {
        .m = M, .n = N, .x = x, .ldx = N, .out = first, .ldo = N, .seed = {{8, 9}}, .share = 6554};
    grads.dropout(&args);
    const uint32_t changes[][5] = {{1, 0, 0, 0, 0},      {0, 1, 0, 0, 0}, {0, 0, 1 << 16, 0, 0},
                                   {0, 0, 1 << 8, 0, 0}, {0, 0, 1, 0, 0}, {0, 0, 0, 1, 0},
                                   {0, 0, 0, 0, M}};
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
        sqzk_dropout_args changed = args;
        changed.out = other;
        changed.example += changes[c][0];
        changed.epoch += changes[c][1];
        changed.stream += changes[c][2];
        changed.seed.word[0] += changes[c][3];
        changed.row += changes[c][4];
        grads.dropout(&changed);
        size_t dropped = 0, both = 0;
        for (size_t j = 0; j < ALL; j++) {
            dropped += other[j] == 0;
            both += other[j] == 0 && first[j] == 0;
        }
        assert_in_range(dropped, 26216 - 5 * 154, 26216 + 5 * 154);
        assert_in_range(both, 2622 - 5 * 52, 2622 + 5 * 52);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_what_the_generator_says),
        cmocka_unit_test(a_row_alone_has_the_mask_that_it_has_among_others),
        cmocka_unit_test(a_tenth_is_dropped_and_masks_are_independent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
