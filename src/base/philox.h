/* SPDX-License-Identifier: Apache-2.0 */
/* Philox4x32-10, a generator of random numbers without state (Salmon, Moraes, Dror and Shaw:
 * Parallel Random Numbers: As Easy as 1, 2, 3; 2011).
 *
 *   out = bijection of the 128-bit counter, chosen by the 64-bit key
 *
 * Whoever needs the numbers of a place names the place in the counter: any order, any thread and
 * any repetition gives the same ones, and none has to be kept. The streams of two keys, and the
 * outputs of two counters, are independent as far as TestU01's BigCrush can tell. Integers alone,
 * so every machine gives the same bits.
 */
#ifndef SQZI_PHILOX_H
#define SQZI_PHILOX_H

#include <stdint.h>

typedef struct sqzi_philox_key {
    uint32_t word[2];
} sqzi_philox_key;

typedef struct sqzi_philox_block {
    uint32_t word[4];
} sqzi_philox_block;

/* The block of 128 random bits at a counter. */
sqzi_philox_block sqzi_philox(sqzi_philox_block counter, sqzi_philox_key key);

#endif
