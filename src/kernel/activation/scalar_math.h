/* SPDX-License-Identifier: Apache-2.0 */
/* The activations on one number, by the C library: what the portable kernels use and the vector
 * ones are checked against. */
#ifndef SQZK_SCALAR_MATH_H
#define SQZK_SCALAR_MATH_H

#include <math.h>

#include "kernel/kernel.h"

#ifdef SQZI_DOUBLE
#define REAL(function) function
#else
#define REAL(function) function##f
#endif

static inline sqzi_real sqzk_scalar_activate(sqzk_activation activation, sqzi_real x)
{
    switch (activation) {
    case SQZK_IDENTITY: return x;
    case SQZK_GELU:
        return x * (sqzi_real)0.5 * (1 + REAL(erf)(x * (sqzi_real)0.70710678118654752440));
    case SQZK_GELU_TANH: /* sqrt(2/pi) */
        return x * (sqzi_real)0.5 *
               (1 + REAL(tanh)((sqzi_real)0.79788456080286535588 *
                               (x + (sqzi_real)0.044715 * x * x * x)));
    case SQZK_RELU: return x < 0 ? 0 : x;
    /* tanhf of glibc is off by more than 2 ulp */
    case SQZK_TANH: return (sqzi_real)tanh((double)x);
    }
    return x;
}

#endif
