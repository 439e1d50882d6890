/* SPDX-License-Identifier: Apache-2.0 */
/* The loops that measure a machine's peak do the arithmetic they are counted for, all of it, and
 * the readers read every word. No clock is looked at. */
#include "kernel/peak/peak.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "kernel/kernel.h"
#include "support/test.h"

static bool runs_here(uint32_t feature, const char *name)
{
    if ((feature & ~sqzi_cpu_detect()) == 0) return true;
    printf("%s: not run here\n", name);
    return false;
}

/* All inputs are 1, so the sums are the number of multiply-adds: an instruction left out or counted
 * twice shows. */
static void every_multiply_add_is_done(void **state)
{
    (void)state;
    const sqzk_peak *peak;
    const uint64_t rounds[] = {1, 2, 1000, 1 << 18};
    for (uint32_t i = 0; (peak = sqzk_peak_list(i)); i++) {
        if (!runs_here(peak->feature, peak->name)) continue;
        for (size_t r = 0; r < sizeof rounds / sizeof *rounds; r++) {
            const uint64_t done = peak->run(rounds[r]);
            if (2 * done != rounds[r] * peak->operations)
                fail_msg("%s: %llu multiply-adds in %llu rounds of %llu operations", peak->name,
                         (unsigned long long)done, (unsigned long long)rounds[r],
                         (unsigned long long)peak->operations);
        }
    }
}

static void every_word_is_read(void **state)
{
    (void)state;
    enum { WORDS = 512 };
    const sqzk_reader *reader;
    uint64_t *words = aligned_alloc(64, WORDS * sizeof *words), sum = 0;
    assert_non_null(words);
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        sum += words[i];
    }
    for (uint32_t i = 0; (reader = sqzk_reader_list(i)); i++)
        if (runs_here(reader->feature, reader->name))
            assert_int_equal(reader->run(words, WORDS * sizeof *words), sum);
    free(words);
}

/* A gemm is compared with the loop of its level: of the same type and not of another level, but
 * that bf16 is converted where there is no instruction for it. */
static void each_gemm_has_the_peak_of_its_level(void **state)
{
    (void)state;
    const sqzk_gemm *gemm;
    for (uint32_t i = 0; (gemm = sqzk_gemm_list(i)); i++) {
        uint32_t features;
        sqz_error error;
        sqzt_assert_ok(sqzi_cpu_mask(UINT32_MAX, gemm->level, &features, &error), &error);
        const sqzk_peak *peak = sqzk_peak_best(gemm->type, features);
        assert_string_equal(peak->level, gemm->level);
        if (gemm->type != SQZI_BF16) assert_int_equal(peak->type, gemm->type);
    }
    assert_int_equal(sqzk_peak_best(SQZI_BF16, 0)->type, SQZI_F32);
    assert_non_null(sqzk_reader_best(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_multiply_add_is_done),
        cmocka_unit_test(every_word_is_read),
        cmocka_unit_test(each_gemm_has_the_peak_of_its_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
