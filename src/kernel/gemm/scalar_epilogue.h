/* SPDX-License-Identifier: Apache-2.0 */
/* The epilogue on one number, shared by the portable gemms of every type. */
#ifndef SQZK_SCALAR_EPILOGUE_H
#define SQZK_SCALAR_EPILOGUE_H

#include "kernel/activation/scalar_math.h"

static inline sqzi_real finish_scalar(sqzi_real y, const sqzk_epilogue *epilogue, size_t row,
                                      size_t column)
{
    if (!epilogue) return y;
    if (epilogue->bias) y += epilogue->bias[column];
    y = sqzk_scalar_activate(epilogue->activation, y);
    if (epilogue->residual) y += epilogue->residual[row * epilogue->ldr + column];
    return y;
}

#endif
