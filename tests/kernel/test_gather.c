/* SPDX-License-Identifier: Apache-2.0 */
/* Gathered rows, by portable C and by what this CPU has: exact, odd lengths and strides, nothing
 * read or written past the last column. */
#include <math.h>

#include "base/cpu.h"
#include "kernel/kernel.h"
#include "support/guarded.h"
#include "support/random.h"
#include "support/row_levels.h"
#include "support/test.h"

static sqzt_guarded order_of(sqzt_random *random, size_t n)
{
    sqzt_guarded g = sqzt_guarded_open(n * sizeof(uint32_t));
    uint32_t *order = g.p;
    for (size_t j = 0; j < n; j++) order[j] = (uint32_t)j;
    for (size_t j = n; j-- > 1;) {
        const size_t k = (size_t)sqzt_below(random, j + 1);
        const uint32_t kept = order[j];
        order[j] = order[k];
        order[k] = kept;
    }
    return g;
}

/* What is added may be what is written. */
static void check(const sqzk_table *kernels, size_t n, bool adds)
{
    const size_t ldx = n + 5, ldo = n + 2;
    sqzt_random random = sqzt_random_of(31 + n);
    sqzt_guarded x = rows_of(&random, n, ldx, 0, 1), out = rows_of(&random, n, ldo, 0, 1),
                 before = sqzt_guarded_open(out.bytes), index = order_of(&random, n);
    const float *from = x.p, *residual = before.p, *y = out.p;
    const uint32_t *order = index.p;
    memcpy(before.p, out.p, out.bytes);
    kernels->gather(&(sqzk_gather_args){.m = ROWS,
                                        .n = n,
                                        .x = from,
                                        .ldx = ldx,
                                        .index = order,
                                        .residual = adds ? y : NULL,
                                        .ldr = ldo,
                                        .out = out.p,
                                        .ldo = ldo});
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < n; j++) {
            const float wanted = from[r * ldx + order[j]] + (adds ? residual[r * ldo + j] : 0);
            if (y[r * ldo + j] != wanted)
                fail_msg("features %x, n %zu: [%zu, %zu] is %.9g, %.9g expected", kernels->features,
                         n, r, j, (double)y[r * ldo + j], (double)wanted);
        }
    for (size_t r = 0; r + 1 < ROWS; r++) assert_true(isnan(y[r * ldo + n]));
    sqzt_guarded *const all[] = {&x, &out, &before, &index};
    for (size_t g = 0; g < 4; g++) sqzt_guarded_close(all[g]);
}

static void rows_are_gathered(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 7, 15, 16, 17, 31, 32, 33, 48, 300, 768, 3072};
    const uint32_t sets[] = {0, sqzi_cpu_detect()};
    for (size_t s = 0; s < 2; s++) {
        sqzk_table kernels;
        sqzk_table_init(&kernels, sets[s]);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            check(&kernels, lengths[i], false);
            check(&kernels, lengths[i], true);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_gathered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
