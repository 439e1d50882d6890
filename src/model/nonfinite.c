/* SPDX-License-Identifier: Apache-2.0 */
/* The one loop of opening a model that reads every weight besides packing: apart from
 * load_weights.c, which is compiled for size (cmake/libraries.cmake). Fixed inner loops, so that
 * they become vector code. */
#include "model/loader.h"

bool sqzi_has_nonfinite(const void *data, size_t n, sqzi_type type)
{
    enum { LANES = 32 };
    if (type == SQZI_F32) {
        const uint32_t *bits = data;
        uint32_t seen[LANES] = {0};
        size_t i = 0;
        for (; i + LANES <= n; i += LANES)
            for (size_t j = 0; j < LANES; j++)
                seen[j] |= ((bits[i + j] & 0x7F800000u) + 0x00800000u) & 0x80000000u;
        for (; i < n; i++) seen[0] |= ((bits[i] & 0x7F800000u) + 0x00800000u) & 0x80000000u;
        for (size_t j = 1; j < LANES; j++) seen[0] |= seen[j];
        return seen[0] != 0;
    }
    const uint16_t mask = type == SQZI_F16 ? 0x7C00 : 0x7F80;
    const uint16_t *bits = data;
    for (size_t i = 0; i < n; i++)
        if ((bits[i] & mask) == mask) return true;
    return false;
}
