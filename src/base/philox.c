/* SPDX-License-Identifier: Apache-2.0 */
/* Philox4x32-10; multipliers and Weyl constants are those of Random123. */
#include "base/philox.h"

enum { ROUNDS = 10 };

static sqzi_philox_block one_round(sqzi_philox_block x, sqzi_philox_key key)
{
    const uint64_t a = 0xD2511F53u * (uint64_t)x.word[0], b = 0xCD9E8D57u * (uint64_t)x.word[2];
    return (sqzi_philox_block){{(uint32_t)(b >> 32) ^ x.word[1] ^ key.word[0], (uint32_t)b,
                                (uint32_t)(a >> 32) ^ x.word[3] ^ key.word[1], (uint32_t)a}};
}

sqzi_philox_block sqzi_philox(sqzi_philox_block counter, sqzi_philox_key key)
{
    for (int i = 0; i < ROUNDS; i++) {
        counter = one_round(counter, key);
        key.word[0] += 0x9E3779B9u; /* the golden ratio */
        key.word[1] += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    return counter;
}
