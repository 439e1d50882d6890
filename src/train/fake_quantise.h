/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices that are trained through the rounding with which they are stored. Of a row w of masters
 *
 *     w' = scale * q,   q integers: within [-127, 127], or levels times multipliers
 * (group_scales.h)
 *
 * is what everybody reads: the forward multiplies int8 rows with q as inference does, the backward
 * is that of y = W' x in floats, and its gradient of W' goes to the masters unchanged (straight
 * through). Scales of int8 and multipliers of packed rows are chosen anew each time, so what is
 * read is a function of the masters alone.
 *
 * Rows are those of the file; groups of 32 run along its columns, also where a matrix lies in
 * memory in another order (nn/pack.h).
 */
#ifndef SQZI_FAKE_QUANTISE_H
#define SQZI_FAKE_QUANTISE_H

#include "train/parameters.h"

/* What is stored of a parameter with bits, placed: row j makes output j. */
typedef struct sqzi_rounded {
    int8_t *integers;     /* [n] */
    float *scale;         /* [rows] */
    uint8_t *multipliers; /* [rows, ceil(columns / 32)] of packed rows, else NULL */
    /* of a matrix whose rows are unsigned with a zero point, else NULL: [rows] sums of integers and
     * the bias that is read, which takes off what the zero point adds */
    int32_t *sums;
    float *bias;
} sqzi_rounded;

/* Lay it out; NULL base: counts. The parameter's matrix is one of s8 already. */
void sqzi_rounded_layout(const sqzi_parameter *parameter, sqzi_rounded *rounded, sqzi_arena *arena);

/* Masters to integers, to p->rounded, and to what the matrix reads; bias [rows] NULL: there is
 * none. */
void sqzi_fake_quantise(const sqzi_parameter *parameter, uint32_t features, const sqzi_real *bias,
                        const sqzi_rounded *rounded);

/* Row r of what a file stores: integers [columns] in its order, and multipliers of packed rows.
 * Returns the row's scale. */
float sqzi_rounded_row(const sqzi_parameter *parameter, const sqzi_rounded *rounded, size_t r,
                       int8_t *integers, const uint8_t **multipliers);

#endif
