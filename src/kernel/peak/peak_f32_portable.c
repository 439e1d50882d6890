/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of portable C: four floats at a time, multiplied, then added, in what registers every
 * processor of a kind has. Also the portable reader. */
#define KERNEL(name) peak_f32_portable_##name
#include "kernel/local_names.h"

#include <string.h>

#include "kernel/peak/peak_sums.h"

typedef float sum __attribute__((vector_size(16)));
typedef sum input;

static inline input ones(void) { return (input){1, 1, 1, 1}; }
static inline sum zero(void) { return (sum){0, 0, 0, 0}; }
static inline sum step(sum s, input a, input b) { return s + a * b; }
static inline uint64_t count(sum s) { return (uint64_t)(s[0] + s[1] + s[2] + s[3]); }
#define hide(x) __asm__("" : "+m"(x))

#define SUMS PEAK_SUMS_12
#define STEP_OPERATIONS 8
#define PEAK_NAME sqzk_peak_f32_portable
#define PEAK_TEXT "multiply, add, 4 x f32"
#define PEAK_LEVEL "portable"
#define PEAK_FEATURE 0
#define PEAK_TYPE SQZI_F32
#include "kernel/peak/peak_template.h"

static uint64_t read_memory(const void *memory, size_t bytes)
{
    const unsigned char *from = memory;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < bytes; i += 32) {
        uint64_t word[4];
        memcpy(word, from + i, sizeof word);
        a += word[0];
        b += word[1];
        c += word[2];
        d += word[3];
    }
    return a + b + c + d;
}

extern const sqzk_reader sqzk_reader_portable;
const sqzk_reader sqzk_reader_portable = {
    .name = "64-bit loads", .level = "portable", .feature = 0, .run = read_memory};
