/* SPDX-License-Identifier: Apache-2.0 */
/* The number type of the maths: float; double where the tests build nn and the portable kernels a
 * second time (SQZI_DOUBLE). */
#ifndef SQZI_REAL_H
#define SQZI_REAL_H

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

#endif
