/* SPDX-License-Identifier: Apache-2.0 */
/* Gathered rows, AVX-512: vgatherdps. */
#define KERNEL(name) gather_avx512_##name
#include "kernel/local_names.h"

#include "kernel/rows/row_kernels.h"
#include "kernel/vector_avx512.h"

void sqzk_gather_avx512(const sqzk_gather_args *args)
{
    for (size_t r = 0; r < args->m; r++) {
        const float *x = args->x + r * args->ldx,
                    *residual = args->residual ? args->residual + r * args->ldr : NULL;
        float *out = args->out + r * args->ldo;
        for (size_t j = 0; j < args->n; j += V_WIDTH) {
            const size_t part = args->n - j < V_WIDTH ? args->n - j : V_WIDTH;
            const __m512i index = _mm512_maskz_loadu_epi32(v_mask(part), args->index + j);
            const vec y = _mm512_mask_i32gather_ps(v_set(0.0f), v_mask(part), index, x, sizeof *x);
            v_store_part(out + j, residual ? v_add(y, v_load_part(residual + j, part)) : y, part);
        }
    }
}
