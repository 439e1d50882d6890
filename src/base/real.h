/* SPDX-License-Identifier: Apache-2.0 */
/* The number type of the maths: float; double where the tests build nn and the portable kernels a
 * second time (SQZI_DOUBLE). */
#ifndef SQZI_REAL_H
#define SQZI_REAL_H

#include <stddef.h>

#ifdef SQZI_DOUBLE
typedef double sqzi_real;
#else
typedef float sqzi_real;
#endif

/* Types of stored numbers; s16 of prepared rows and panels alone. */
typedef enum sqzi_type {
    SQZI_F32,
    SQZI_F16,
    SQZI_BF16,
    SQZI_S8,
    SQZI_I32,
    SQZI_F64,
    SQZI_S16
} sqzi_type;

/* Bytes of a number in memory; of F32 those of a real. */
static inline size_t sqzi_type_bytes(sqzi_type type)
{
    switch (type) {
    case SQZI_F64: return 8;
    case SQZI_F32: return sizeof(sqzi_real);
    case SQZI_I32: return 4;
    case SQZI_F16:
    case SQZI_S16:
    case SQZI_BF16: return 2;
    case SQZI_S8: return 1;
    }
    return 0;
}

#endif
