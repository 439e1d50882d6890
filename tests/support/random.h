/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of tests: splitmix64, the same on every machine. */
#ifndef SQZT_RANDOM_H
#define SQZT_RANDOM_H

#include <math.h>
#include <stdint.h>

typedef struct sqzt_random {
    uint64_t state;
} sqzt_random;

static inline sqzt_random sqzt_random_of(uint64_t seed)
{
    return (sqzt_random){seed * 0x9E3779B97F4A7C15u + 1};
}

static inline uint64_t sqzt_bits(sqzt_random *random)
{
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 0 .. n-1. */
static inline uint64_t sqzt_below(sqzt_random *random, uint64_t n)
{
    return sqzt_bits(random) % n;
}

/* [0, 1). */
static inline double sqzt_uniform(sqzt_random *random)
{
    return (double)(sqzt_bits(random) >> 11) * 0x1p-53;
}

/* Normal, mean 0 and deviation 1 (Box and Muller). */
static inline double sqzt_normal(sqzt_random *random)
{
    const double u = 1 - sqzt_uniform(random), v = sqzt_uniform(random);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

#endif
