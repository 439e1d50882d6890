/* SPDX-License-Identifier: Apache-2.0 */
/* Packing: group by group, with strides for the one order of numbers or the other. */
#include "nn/pack.h"

#include <string.h>

sqzi_matrix sqzi_matrix_of(const sqzk_gemm *gemm, uint32_t n_in, uint32_t n_out, uint32_t groups)
{
    return (
        sqzi_matrix){.n_in = n_in,
                     .n_out = n_out,
                     .groups = groups,
                     .gemm = gemm,
                     .group_bytes = sqzk_gemm_packed_bytes(gemm, n_in / groups, n_out / groups)};
}

sqzi_matrix sqzi_matrix_turned(const sqzi_matrix *matrix)
{
    sqzi_matrix turned = sqzi_matrix_of(sqzi_grad_gemm(matrix), matrix->n_out, matrix->n_in,
                                        matrix->groups);
    turned.packing.transposed = !matrix->packing.transposed;
    return turned;
}

size_t sqzi_matrix_bytes(const sqzi_matrix *matrix)
{
    return matrix->groups * matrix->group_bytes;
}

bool sqzi_matrix_is_permuted(const sqzi_matrix *matrix)
{
    return matrix->packing.in || matrix->packing.out;
}

typedef struct parts {
    unsigned char *data;
    float *scale;
} parts;

static parts lay_out(const sqzi_matrix *matrix, sqzi_type type, sqzi_arena *arena)
{
    const size_t k = matrix->n_in / matrix->groups;
    parts p;
    p.data = sqzi_arena_take(arena, matrix->n_out * k, sqzi_type_bytes(type));
    p.scale = sqzi_arena_take(arena, type == SQZI_S8 ? matrix->n_out : 0, sizeof *p.scale);
    return p;
}

size_t sqzi_placed_bytes(const sqzi_matrix *matrix, sqzi_type type)
{
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    (void)lay_out(matrix, type, &arena);
    return arena.used;
}

sqzi_numbers sqzi_pack_place(const sqzi_matrix *matrix, sqzi_numbers stored, void *memory)
{
    const size_t item = sqzi_type_bytes(stored.type), k = matrix->n_in / matrix->groups,
                 n = matrix->n_out / matrix->groups;
    const uint32_t *in = matrix->packing.in, *out = matrix->packing.out;
    sqzi_arena arena = sqzi_arena_over(memory, SIZE_MAX);
    const parts to = lay_out(matrix, stored.type, &arena);
    for (size_t r = 0; r < matrix->n_out; r++) {
        const size_t place = out ? out[r] : r;
        const unsigned char *from = (const unsigned char *)stored.data + r * k * item;
        unsigned char *row = to.data + place * k * item;
        if (stored.scale) to.scale[place] = stored.scale[r];
        if (!in) memcpy(row, from, k * item);
        for (size_t i = 0; in && i < k; i++)
            memcpy(row + in[r / n * k + i] % k * item, from + i * item, item);
    }
    return (sqzi_numbers){to.data, stored.type, stored.scale ? to.scale : NULL};
}

void sqzi_pack(const sqzi_matrix *matrix, sqzi_numbers placed, int32_t *sums, void *packed)
{
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const bool transposed = matrix->packing.transposed;
    for (uint32_t g = 0; g < matrix->groups; g++) {
        const unsigned char *source = placed.data;
        const sqzk_pack_args args = {.n = n,
                                     .k = k,
                                     .source = source + g * n * k * sqzi_type_bytes(placed.type),
                                     .n_stride = transposed ? 1 : k,
                                     .k_stride = transposed ? n : 1,
                                     .type = placed.type,
                                     .scale = placed.scale ? placed.scale + g * n : NULL,
                                     .unsigned_rows = matrix->unsigned_rows,
                                     .sums = sums ? sums + g * n : NULL};
        matrix->gemm->pack(&args, (unsigned char *)packed + g * matrix->group_bytes);
    }
}
