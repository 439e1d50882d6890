/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one head over one sequence. Keys and values are packed once; queries go through in strips whose scores stay in cache, so memory grows
 * with T, not with T². */
#include "nn/encoder.h"

#include <math.h>
#include <string.h>

enum { QUERIES = 48, COLUMNS = 16 }; /* 48 is a whole number of tiles of every level; scores are computed in whole vectors */

static size_t padded(size_t n)
{
    return (n + COLUMNS - 1) / COLUMNS * COLUMNS;
}

void sqzi_attention_layout(sqzi_member_scratch *scratch, const sqzk_table *kernels, uint32_t head_width, uint32_t max_length, sqzi_arena *arena)
{
    const sqzk_gemm *gemm = kernels->gemm_f32;
    scratch->packed_k = sqzi_arena_take(arena, sqzk_gemm_packed_bytes(gemm, head_width, max_length), 1);
    scratch->packed_v = sqzi_arena_take(arena, sqzk_gemm_packed_bytes(gemm, max_length, head_width), 1);
    scratch->strip_ld = padded(max_length);
    scratch->strip = sqzi_arena_take(arena, QUERIES * scratch->strip_ld, sizeof *scratch->strip);
}

static void keep_scores(sqzi_real *scores, const sqzi_real *strip, size_t ld, size_t rows, size_t length, sqzi_real scale)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < length; j++) scores[i * length + j] = strip[i * ld + j] * scale;
}

void sqzi_attention_run(const sqzk_table *kernels, sqzi_workspace *workspace, sqzi_member_scratch *scratch, uint32_t head, uint32_t head_width, uint32_t begin, uint32_t end, sqzi_real *scores)
{
    const sqzk_gemm *gemm = kernels->gemm_f32;
    const size_t ld = workspace->qkv_width, length = end - begin, place = begin * ld + (size_t)head * head_width;
    const sqzi_real scale = (sqzi_real)(1 / sqrt((double)head_width));
    gemm->pack(&(sqzk_pack_args){.n = length, .k = head_width, .source = workspace->k + place, .n_stride = ld, .k_stride = 1, .type = SQZI_F32}, scratch->packed_k);
    gemm->pack(&(sqzk_pack_args){.n = head_width, .k = length, .source = workspace->v + place, .n_stride = 1, .k_stride = ld, .type = SQZI_F32}, scratch->packed_v);
    for (size_t query = 0; query < length; query += QUERIES) {
        const size_t rows = length - query < QUERIES ? length - query : QUERIES;
        sqzi_real *q = workspace->q + place + query * ld;
        gemm->run(&(sqzk_gemm_args){.m = rows, .n = padded(length), .k = head_width, .a = q, .lda = ld * sizeof *q, .b = scratch->packed_k,
                                    .c = scratch->strip, .ldc = scratch->strip_ld});
        if (scores) keep_scores(scores + query * length, scratch->strip, scratch->strip_ld, rows, length, scale);
        kernels->softmax(&(sqzk_softmax_args){.m = rows, .n = length, .x = scratch->strip, .ldx = scratch->strip_ld, .scale = scale});
        gemm->run(&(sqzk_gemm_args){.m = rows, .n = head_width, .k = length, .a = scratch->strip, .lda = scratch->strip_ld * sizeof *q, .b = scratch->packed_v, .c = q, .ldc = ld});
    }
}
