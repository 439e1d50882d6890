/* SPDX-License-Identifier: Apache-2.0 */
/* Normal numbers by their place. */
#include "data/normal_numbers.h"

#include <math.h>

#include "base/philox.h"

double sqzi_normal_number(double deviation, uint64_t seed, uint64_t stream, uint64_t i)
{
    const sqzi_philox_key key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const sqzi_philox_block r = sqzi_philox((sqzi_philox_block){{(uint32_t)i, (uint32_t)(i >> 32),
                                                                 (uint32_t)(stream >> 32),
                                                                 (uint32_t)stream}},
                                            key);
    const uint64_t a = (uint64_t)r.word[0] << 32 | r.word[1],
                   b = (uint64_t)r.word[2] << 32 | r.word[3];
    const double u = (double)((a >> 11) + 1) * 0x1p-53, v = (double)(b >> 11) * 0x1p-53;
    return deviation * sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
