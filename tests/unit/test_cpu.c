/* SPDX-License-Identifier: Apache-2.0 */
/* Features of a CPU: how a list masks them, and which gemm of attention a table made for them
 * holds. */
#include "base/cpu.h"

#include <string.h>

#include "kernel/kernel.h"
#include "support/test.h"

enum {
    VNNI = SQZI_CPU_SSE2 | SQZI_CPU_AVX2 | SQZI_CPU_AVX512 | SQZI_CPU_AVX512VNNI,
    SLOW = VNNI | SQZI_CPU_AVX512BF16, /* vdpbf16ps at half an fma's rate */
    FAST = SLOW | SQZI_CPU_FASTBF16,
    TILES = SLOW | SQZI_CPU_AMX
};

static uint32_t masked(uint32_t features, const char *list)
{
    uint32_t left;
    sqz_error error;
    sqzt_assert_ok(sqzi_cpu_mask(features, list, &left, &error), &error);
    return left;
}

static void a_list_masks_features(void **state)
{
    (void)state;
    assert_int_equal(masked(TILES, NULL), TILES);
    assert_int_equal(masked(TILES, "-amx"), SLOW);
    assert_int_equal(masked(FAST | SQZI_CPU_AMX, "avx512bf16"), FAST);
    assert_int_equal(masked(FAST, "-fastbf16"), SLOW);
    assert_int_equal(masked(SLOW, "fastbf16"), SLOW);
    assert_int_equal(masked(FAST, "-avx512bf16"), VNNI);
    assert_int_equal(masked(TILES, "-avx512bf16"), VNNI | SQZI_CPU_AMX);
    assert_int_equal(masked(FAST | SQZI_CPU_AMX, "-avx512"), SQZI_CPU_SSE2 | SQZI_CPU_AVX2);
    assert_int_equal(masked(FAST, "portable"), 0);
}

static void an_unknown_feature_is_named(void **state)
{
    (void)state;
    uint32_t left;
    sqz_error error;
    assert_int_equal(sqzi_cpu_mask(TILES, "avx2,-avx1024", &left, &error), SQZ_EINVAL);
    assert_int_equal(error.offset, 5);
    assert_non_null(strstr(error.text, "'-avx1024'"));
    for (uint32_t i = 0; i < SQZI_CPU_COUNT; i++)
        assert_non_null(strstr(error.text, sqzi_cpu_feature_name(1u << i)));
}

/* Each feature that this machine has stands on what it builds on, and full speed on the
 * instruction. */
static void what_is_found_is_complete(void **state)
{
    (void)state;
    const uint32_t found = sqzi_cpu_detect();
    for (uint32_t i = 0; i < SQZI_CPU_COUNT; i++) {
        const uint32_t feature = 1u << i;
        if (found & feature) assert_true(masked(found, sqzi_cpu_feature_name(feature)) & feature);
    }
    if (found & SQZI_CPU_FASTBF16) assert_true(found & SQZI_CPU_AVX512BF16);
}

#ifdef __x86_64__
static const sqzi_type of_vnni = SQZI_S16;
#else
static const sqzi_type of_vnni = SQZI_F32; /* its kernels are not in */
#endif

static void attention_multiplies_what_is_faster(void **state)
{
    (void)state;
    const struct {
        uint32_t features;
        sqzi_type of_bf16, of_s8;
    } sets[] = {
        {0, SQZI_F32, SQZI_F32},
        {VNNI, SQZI_F32, of_vnni},
        {SLOW, SQZI_BF16, of_vnni},
        {FAST, SQZI_BF16, SQZI_BF16},
        {TILES, SQZI_BF16, SQZI_BF16},
        {SQZI_CPU_NEON, SQZI_F32, SQZI_F32},
        {SQZI_CPU_NEON | SQZI_CPU_ARMBF16, SQZI_BF16, SQZI_BF16},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        sqzk_table table;
        sqzk_table_init(&table, sets[i].features);
        assert_int_equal(table.attention_bf16->type, sets[i].of_bf16);
        assert_int_equal(table.attention_s8->type, sets[i].of_s8);
        assert_int_equal(table.attention_s8->feature & ~sets[i].features, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_masks_features),
        cmocka_unit_test(an_unknown_feature_is_named),
        cmocka_unit_test(what_is_found_is_complete),
        cmocka_unit_test(attention_multiplies_what_is_faster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
