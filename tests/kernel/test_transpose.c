/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose, by every level of this CPU: exact to the bit, NaNs too, of every size around the
 * squares, with strides of any kind; zeros as far as asked, nothing read or written elsewhere. */
#include "kernel/grad/grad_table.h"

#include <stdio.h>

#include "support/guarded.h"
#include "support/random.h"
#include "support/row_levels.h"
#include "support/test.h"

/* A matrix of `rows` rows at an odd stride whose last number is the last before a page that cannot
 * be touched. */
static sqzt_guarded matrix_of(sqzt_random *random, size_t rows, size_t columns, size_t ld,
                              size_t bytes)
{
    sqzt_guarded g = sqzt_guarded_open(((rows - 1) * ld + columns) * bytes);
    unsigned char *p = g.p;
    for (size_t i = 0; i < g.bytes; i++) p[i] = (unsigned char)sqzt_bits(random);
    return g;
}

static void expect(const level *l, const sqzk_transpose_args *a, size_t bytes,
                   const unsigned char *before)
{
    static const unsigned char zero[sizeof(sqzi_real)];
    for (size_t j = 0; j < a->n; j++)
        for (size_t i = 0; i < a->ldo && (j + 1 < a->n || i < a->filled); i++) {
            const size_t place = (j * a->ldo + i) * bytes;
            const unsigned char *wanted = i < a->m ? (const unsigned char *)a->x +
                                                         (i * a->ldx + j) * bytes
                                          : i < a->filled ? zero
                                                          : before + place;
            if (memcmp((const unsigned char *)a->out + place, wanted, bytes) != 0)
                fail_msg("%s, %zu x %zu filled to %zu, type %d: wrong at [%zu, %zu]", l->name, a->m,
                         a->n, a->filled, (int)a->type, j, i);
        }
}

static void check(const level *l, sqzk_transpose_args a, sqzt_random *random)
{
    sqzk_grad_table kernels;
    sqzk_grad_table_init(&kernels, l->features);
    assert_string_equal(kernels.rows_level, l->name);
    const size_t bytes = a.type == SQZI_BF16 ? sizeof(uint16_t) : sizeof(sqzi_real);
    sqzt_guarded x = matrix_of(random, a.m, a.n, a.ldx, bytes),
                 out = matrix_of(random, a.n, a.filled, a.ldo, bytes),
                 before = sqzt_guarded_open(out.bytes);
    memcpy(before.p, out.p, out.bytes);
    a.x = x.p;
    a.out = out.p;
    kernels.transpose(&a);
    expect(l, &a, bytes, before.p);
    sqzt_guarded_close(&x);
    sqzt_guarded_close(&out);
    sqzt_guarded_close(&before);
}

static void rows_become_columns_to_the_bit(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 65, 131};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    level l;
    for (uint32_t i = 0; next_level(&i, &l);) {
        sqzt_random random = sqzt_random_of(41);
        for (size_t s = 0; s < 2 * SIZES * SIZES; s++) {
            const size_t m = sizes[s / 2 % SIZES], n = sizes[s / 2 / SIZES];
            const sqzi_type type = s % 2 ? SQZI_BF16 : SQZI_F32;
            const size_t prepared = (m + 31) / 32 * 32;
            check(&l, (sqzk_transpose_args){m, n, type, NULL, n, NULL, m, m}, &random);
            check(&l, (sqzk_transpose_args){m, n, type, NULL, n + 3, NULL, prepared + 5, prepared},
                  &random);
            check(&l, (sqzk_transpose_args){m, n, type, NULL, n + 4, NULL, m + 71, m + 70},
                  &random);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_become_columns_to_the_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
