/* SPDX-License-Identifier: Apache-2.0 */
/* Packing a linear's matrices, for the first time or again.
 *
 * Numbers of a matrix lie in memory in one of two orders:
 *
 *   stored   as a file holds them: row j makes output out[j] of the linear, and column i of its
 *            group reads input in[..] (sqzi_packing)
 *   placed   with those permutations applied. What is packed lies so, and so do the masters of a
 *            model that is trained and their gradients: for them a permutation is nothing
 *
 * A model that is opened goes from stored to placed to packed, once; after each step of training
 * its matrices are packed again from placed masters. The bits are those of a model opened from a
 * file with the same numbers.
 *
 * The matrix of the gradient of the inputs, dx = dy W, is a matrix of its own, packed from the same
 * placed numbers: sqzi_matrix_turned.
 */
#ifndef SQZI_PACK_H
#define SQZI_PACK_H

#include "nn/linear.h"

/* Numbers of a matrix, [n_out, n_in/groups] row after row, or [n_in, n_out] where its packing is
 * transposed; scale [n_out] of SQZI_S8 alone. */
typedef struct sqzi_numbers {
    const void *data;
    sqzi_type type;
    const float *scale;
} sqzi_numbers;

/* A matrix that nothing is packed in yet. */
sqzi_matrix sqzi_matrix_of(const sqzk_gemm *gemm, uint32_t n_in, uint32_t n_out, uint32_t groups);

/* The transpose of every group, with the gemm of gradients: y = x W' where this matrix is y = W x.
 * Not packed yet; from the same placed numbers, which it reads along their columns. Of float gemms:
 * the scales of int8 belong to rows. */
sqzi_matrix sqzi_matrix_turned(const sqzi_matrix *matrix);

/* Bytes of the panels of all groups. */
size_t sqzi_matrix_bytes(const sqzi_matrix *matrix);

/* The stored order differs from the placed one. */
bool sqzi_matrix_is_permuted(const sqzi_matrix *matrix);

/* Placed numbers from stored ones, of a matrix that is not transposed. `memory` has
 * sqzi_placed_bytes, aligned to SQZI_ALIGNMENT; what comes back lies there. */
size_t sqzi_placed_bytes(const sqzi_matrix *matrix, sqzi_type type);
sqzi_numbers sqzi_pack_place(const sqzi_matrix *matrix, sqzi_numbers stored, void *memory);

/* Placed numbers to panels.
 *
 *   packed   sqzi_matrix_bytes, aligned to SQZI_ALIGNMENT; may be what matrix->packed points to
 *   sums     [n_out] of SQZI_S8: the sum of each output's integers is written here; NULL for none
 *
 * F32, F16 and BF16 for a float gemm, SQZI_S8 for that of s8. Cost: bytes read and written once. */
void sqzi_pack(const sqzi_matrix *matrix, sqzi_numbers placed, int32_t *sums, void *packed);

#endif
