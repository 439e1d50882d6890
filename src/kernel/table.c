/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the kernel table: portable C first, then each instruction set over it, ascending. */
#include "kernel/kernel.h"

#include <string.h>

#include "base/cpu.h"
#include "kernel/gemm/gemm_list.h"
#include "kernel/rows/row_kernels.h"

#define ROUND_UP(n, multiple) (((n) + (multiple) - 1) / (multiple) * (multiple))

size_t sqzk_gemm_panel_bytes(const sqzk_gemm *gemm, size_t k)
{
    const size_t weights = ROUND_UP(k, gemm->kr) * gemm->nr * sqzi_type_bytes(gemm->type);
    const size_t scales = gemm->type == SQZI_S8 || gemm->type == SQZI_S16 ? gemm->nr * sizeof(float)
                                                                          : 0;
    const size_t behind = scales + (gemm->type == SQZI_S8 ? gemm->nr * sizeof(int32_t) : 0);
    return ROUND_UP(weights + behind, 64);
}

size_t sqzk_gemm_packed_bytes(const sqzk_gemm *gemm, size_t k, size_t n)
{
    return (n + gemm->nr - 1) / gemm->nr * sqzk_gemm_panel_bytes(gemm, k);
}

size_t sqzk_gemm_prepared_bytes(const sqzk_gemm *gemm, size_t k)
{
    return ROUND_UP(ROUND_UP(k, gemm->kr) * sqzi_type_bytes(gemm->type), 64);
}

/* The last of a list that the features allow: lists are ordered from portable to best. */
static const sqzk_gemm *best(const sqzk_gemm *const *list, uint32_t features)
{
    const sqzk_gemm *found = NULL;
    for (; *list; list++)
        if (((*list)->feature & ~features) == 0) found = *list;
    return found;
}

void sqzk_table_init(sqzk_table *table, uint32_t features)
{
    memset(table, 0, sizeof *table);
    table->features = features;
    table->gemm_f32 = best(sqzk_gemm_f32_list, features);
    table->gemm_bf16 = best(sqzk_gemm_bf16_list, features);
    table->gemm_s8 = best(sqzk_gemm_s8_list, features);
    const uint32_t faster = SQZI_CPU_FASTBF16 | SQZI_CPU_AMX | SQZI_CPU_ARMBF16;
    table->attention_bf16 = features & (faster | SQZI_CPU_AVX512BF16) ? table->gemm_bf16
                                                                      : table->gemm_f32;
    const sqzk_gemm *s16 = best(sqzk_gemm_s16_list, features);
    table->attention_s8 = features & faster ? table->gemm_bf16 : s16 ? s16 : table->gemm_f32;
    sqzk_row_kernels_init(table, features);
}

const sqzk_gemm *sqzk_gemm_list(uint32_t i)
{
    const sqzk_gemm *const *const lists[] = {sqzk_gemm_f32_list, sqzk_gemm_bf16_list,
                                             sqzk_gemm_s8_list, sqzk_gemm_s16_list};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (const sqzk_gemm *const *gemm = lists[l]; *gemm; gemm++)
            if (i-- == 0) return *gemm;
    return NULL;
}
