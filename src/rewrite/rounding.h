/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of floats to the types that a model file stores, and what that costs: the arithmetic of
 * quantising, without files. */
#ifndef SQZI_ROUNDING_H
#define SQZI_ROUNDING_H

#include <stddef.h>
#include <stdint.h>

/* Sums over numbers x that became y. */
typedef struct sqzi_rounding_error {
    double squares; /* of x */
    double errors;  /* of x - y */
} sqzi_rounding_error;

/* The scale of an int8 row: max |x| / 127; 0 for a row of zeros. With it no weight is cut off. (A
 * scale of least squared error, searched over 0.7 .. 1 of this one, was measured and is no better
 * on whole models: doc/results.md "Quantised models".) */
float sqzi_s8_scale(const float *x, size_t n);

/* q = round-half-even(x / scale) within [-127, 127], x = about scale * q. Adds to *error. */
void sqzi_s8_row(const float *x, size_t n, float scale, int8_t *q, sqzi_rounding_error *error);

/* The error alone, of integers that were chosen otherwise. */
void sqzi_s8_row_error(const float *x, size_t n, float scale, const int8_t *q,
                       sqzi_rounding_error *error);

/* To nearest even. n where every number is finite after it, else the index of the first that is
 * not. Adds to *error. */
size_t sqzi_bf16_row(const float *x, size_t n, uint16_t *y, sqzi_rounding_error *error);
size_t sqzi_f16_row(const float *x, size_t n, uint16_t *y, sqzi_rounding_error *error);

#endif
