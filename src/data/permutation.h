/* SPDX-License-Identifier: Apache-2.0 */
/* Order by chance without a generator that runs along: Fisher and Yates' shuffle, each draw
 * Philox's at a counter of its own.
 *
 *   counter = {place, index, use, 2^32 - 1}, the last above what dropout counts (philox.h)
 */
#ifndef SQZI_PERMUTATION_H
#define SQZI_PERMUTATION_H

#include <stdint.h>

/* What the numbers are for: no two uses of a seed share any. */
typedef enum sqzi_chance {
    SQZI_CHANCE_ROWS,     /* order of an epoch's rows */
    SQZI_CHANCE_BATCHES,  /* and of its batches */
    SQZI_CHANCE_SOURCES,  /* which are held out */
    SQZI_CHANCE_RESAMPLES, /* of a bootstrap */
    SQZI_CHANCE_TEXTS,     /* which plain texts are taken */
    SQZI_CHANCE_PIECES     /* and which rows, up to a number of pieces */
} sqzi_chance;

/* A number below `below`, which is > 0, at a place: its odds are equal to 2^-32. */
uint32_t sqzi_draw(uint64_t seed, sqzi_chance use, uint32_t index, uint32_t place, uint32_t below);
/* Shuffle items [n]. */
void sqzi_permute(uint32_t *items, uint32_t n, uint64_t seed, sqzi_chance use, uint32_t index);

#endif
