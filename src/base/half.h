/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats: IEEE half and bfloat16 to and from float, round to nearest even. */
#ifndef SQZI_HALF_H
#define SQZI_HALF_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"

static inline float sqzi_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t sqzi_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float sqzi_from_bf16(uint16_t x)
{
    return sqzi_float_of_bits((uint32_t)x << 16);
}

static inline uint16_t sqzi_to_bf16(float x)
{
    const uint32_t bits = sqzi_bits_of_float(x);
    /* a NaN stays one */
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

static inline float sqzi_from_f16(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16, exponent = x >> 10 & 0x1Fu,
                   fraction = x & 0x3FFu;
    if (exponent == 31) return sqzi_float_of_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exact in float */
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return sqzi_float_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}

static inline uint16_t sqzi_to_f16(float x)
{
    const uint32_t bits = sqzi_bits_of_float(x), sign = bits >> 16 & 0x8000u,
                   magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    /* 65520 and more round to infinity */
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);
    /* below 2^-14: units of 2^-24 */
    if (magnitude < 0x38800000u)
        return (uint16_t)(sign | (uint32_t)lrintf(sqzi_float_of_bits(magnitude) * 0x1p24f));
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13));
}

/* The i-th of an array of F32, F16 or BF16 numbers (of reals, where SQZI_DOUBLE makes F32 mean the
 * real type in memory). */
static inline sqzi_real sqzi_load_real(const void *source, size_t i, sqzi_type type)
{
    switch (type) {
    case SQZI_F16: return sqzi_from_f16(((const uint16_t *)source)[i]);
    case SQZI_BF16: return sqzi_from_bf16(((const uint16_t *)source)[i]);
    default: return ((const sqzi_real *)source)[i];
    }
}

#endif
