/* SPDX-License-Identifier: Apache-2.0 */
/* What one tensor of an exported folder is made of, and how its bytes are written. What lies in the
 * file as a class wants it is copied; factors, sums, permutations, rows of integers and what is
 * filled up with zeros become one f32 matrix, computed in double and rounded once, a row at a time.
 */
#ifndef SQZI_TENSOR_SOURCE_H
#define SQZI_TENSOR_SOURCE_H

#include "export/exporter.h"
#include "export/safetensors_writer.h"
#include "io/stored_matrix.h"

/* A linear's inputs or outputs: n numbers in parts of `from`, each of which begins at the next
 * multiple of `to` of the numbers that are written; between them are zeros. Heads are such parts;
 * other sides are one. */
typedef struct sqzi_side {
    uint32_t n, from, to, written;
} sqzi_side;

typedef struct sqzi_tensor_source {
    const sqz_allocator *allocator;
    sqzi_stored whole, a, b;
    const sqzi_table *table;
    sqzi_stored projection;    /* of a factorised table, else without a tensor */
    const sqzk_table *kernels; /* that take a row from a table, exactly */
    const sqzi_linear *linear; /* of a matrix or a bias, else NULL */
    uint32_t groups;           /* that are written */
    sqzi_side in, out;
    double scale; /* of every number */
    uint64_t n;   /* zeros to write */
} sqzi_tensor_source;

/* Whether a side is written as it is. */
static inline bool sqzi_side_is_whole(const sqzi_side *side)
{
    return side->n == side->written;
}

/* Each takes a sqzi_tensor_source. */
sqzi_tensor_emit sqzi_emit_zeros;  /* n zeros */
sqzi_tensor_emit sqzi_emit_copy;   /* `whole` byte for byte */
sqzi_tensor_emit sqzi_emit_table;  /* `table`, or `table` times the transposed `projection` */
sqzi_tensor_emit sqzi_emit_linear; /* the terms of `linear` in `groups` groups */
sqzi_tensor_emit sqzi_emit_bias;   /* `whole`, each number in its output's place */

#endif
