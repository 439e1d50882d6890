/* SPDX-License-Identifier: Apache-2.0 */
/* One array of numpy's .npy format, versions 1 to 3, read where it lies. */
#ifndef SQZI_NPY_ARRAY_H
#define SQZI_NPY_ARRAY_H

#include <squeezebert/status.h>
#include <stdbool.h>

typedef struct sqzi_npy_array {
    bool floats;            /* f4 or f8; else u1, i4, u4 or i8 */
    bool is_signed;
    uint32_t number_bytes, n_dims;
    uint64_t shape[4], n;   /* n: numbers in all */
    const unsigned char *data;
} sqzi_npy_array;

/* Read `bytes` bytes that hold the array `name` of the file `file` (both for error texts).
 * SQZ_EFORMAT, SQZ_EUNSUPPORTED. */
SQZ_NODISCARD sqz_status sqzi_npy_read(const char *file, const char *name,
                                       const unsigned char *data, size_t bytes,
                                       sqzi_npy_array *array, sqz_error *error);

double sqzi_npy_float(const sqzi_npy_array *array, uint64_t i);
/* Number i of an array of integers; UINT32_MAX where it is negative or does not fit. */
uint32_t sqzi_npy_uint(const sqzi_npy_array *array, uint64_t i);

#endif
