/* SPDX-License-Identifier: Apache-2.0 */
/* A draw is the upper part of the product of 64 random bits and the range: no rejection, no loop.
 */
#include "data/permutation.h"

#include "base/philox.h"

uint32_t sqzi_draw(uint64_t seed, sqzi_chance use, uint32_t index, uint32_t place, uint32_t below)
{
    const sqzi_philox_key key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const sqzi_philox_block at = {{place, index, (uint32_t)use, UINT32_MAX}};
    const sqzi_philox_block bits = sqzi_philox(at, key);
    const uint64_t low = (uint64_t)bits.word[1] * below >> 32;
    return (uint32_t)(((uint64_t)bits.word[0] * below + low) >> 32);
}

void sqzi_permute(uint32_t *items, uint32_t n, uint64_t seed, sqzi_chance use, uint32_t index)
{
    for (uint32_t i = n; i-- > 1;) {
        const uint32_t j = sqzi_draw(seed, use, index, i, i + 1), item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}
