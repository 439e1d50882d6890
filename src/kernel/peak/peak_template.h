/* SPDX-License-Identifier: Apache-2.0 */
/* One arithmetic loop: independent sums, each stepped once a round.
 *
 * Include after these: SUMS(X), X(0) X(1) ... for as many sums as registers hold besides the
 * inputs; `sum` and `input`, their types; ones(), an input; zero(), a sum; step(s, a, b), one
 * instruction's multiply-adds; hide(x), a statement after which the compiler knows nothing of input
 * x; count(s), the sum of a sum's lanes; STEP_OPERATIONS; and PEAK_NAME, PEAK_TEXT, PEAK_LEVEL,
 * PEAK_FEATURE, PEAK_TYPE.
 * Sums have names: gcc 12 keeps an array of them in memory.
 */
#include "base/cpu.h"
#include "kernel/peak/peak.h"

static uint64_t KERNEL(run)(uint64_t rounds)
{
    input a = ones(), b = ones();
#define DECLARE(i) sum s##i = zero();
    SUMS(DECLARE)
#undef DECLARE
    for (uint64_t i = 0; i < rounds; i++) {
#define STEP(n)               \
    hide(a);                  \
    s##n = step(s##n, a, b);
        SUMS(STEP)
#undef STEP
    }
    uint64_t counted = 0;
#define ADD(i) counted += count(s##i);
    SUMS(ADD)
#undef ADD
    return counted;
}

#define ONE(i) +1
extern const sqzk_peak PEAK_NAME;
const sqzk_peak PEAK_NAME = {
    .name = PEAK_TEXT,
    .level = PEAK_LEVEL,
    .feature = PEAK_FEATURE,
    .type = PEAK_TYPE,
    .operations = (uint64_t)(0 SUMS(ONE)) * STEP_OPERATIONS,
    .run = KERNEL(run),
};
