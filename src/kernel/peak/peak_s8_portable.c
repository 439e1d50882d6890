/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of portable C: four 32-bit integers at a time, which is what bytes are converted to. */
#define KERNEL(name) peak_s8_portable_##name
#include "kernel/local_names.h"

#include "kernel/peak/peak_sums.h"

typedef int32_t sum __attribute__((vector_size(16)));
typedef sum input;

static inline input ones(void) { return (input){1, 1, 1, 1}; }
static inline sum zero(void) { return (sum){0, 0, 0, 0}; }
static inline sum step(sum s, input a, input b) { return s + a * b; }
static inline uint64_t count(sum s)
{
    return (uint64_t)s[0] + (uint64_t)s[1] + (uint64_t)s[2] + (uint64_t)s[3];
}
#define hide(x) __asm__("" : "+m"(x))

#define SUMS PEAK_SUMS_12
#define STEP_OPERATIONS 8
#define PEAK_NAME sqzk_peak_s8_portable
#define PEAK_TEXT "multiply, add, 4 x s32"
#define PEAK_LEVEL "portable"
#define PEAK_FEATURE 0
#define PEAK_TYPE SQZI_S8
#include "kernel/peak/peak_template.h"
