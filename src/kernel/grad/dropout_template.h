/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout on vectors: W_LANES counters of Philox at once, as words in the lower halves of 64 bits.
 * Include after a vector_<isa>.h and a dropout_<isa>.h with LEVEL(name) defined, which makes the
 * level's function name.
 *
 * A row's counters follow those of the row before it, so a block of half-words serves many short
 * rows. */
#include "kernel/grad/grad_kernels.h"

#include <stdbool.h>

enum { ROUNDS = 10, COUNTERS = 32 * W_LANES, OF_COUNTER = 8 };

typedef struct mask_block {
    uint32_t begin, end; /* counters */
    /* a vector may be read where the last number of the block stands */
    uint16_t halves[COUNTERS * OF_COUNTER + V_WIDTH];
} mask_block;

static void fill_block(const sqzk_dropout_args *args, uint32_t counter, uint32_t n,
                       mask_block *block)
{
    uint32_t keys[ROUNDS][2];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        keys[i][0] = args->seed.word[0] + i * 0x9E3779B9u;
        keys[i][1] = args->seed.word[1] + i * 0xBB67AE85u;
    }
    block->begin = counter;
    block->end = counter + n;
    const wide first = w_set(0xD2511F53u), second = w_set(0xCD9E8D57u);
    for (uint32_t c = 0; c < n; c += W_LANES) {
        wide x = w_count(counter + c), y = w_set(args->example), z = w_set(args->epoch),
             w = w_set(args->stream);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            const wide a = w_multiply(x, first), b = w_multiply(z, second);
            x = w_xor(w_xor(w_upper(b), y), w_set(keys[i][0]));
            z = w_xor(w_xor(w_upper(a), w), w_set(keys[i][1]));
            y = b;
            w = a;
        }
        w_store(block->halves + (size_t)c * OF_COUNTER, x, y, z, w);
    }
}

/* `part` numbers from j on, whose half-words begin at `halves`. */
static inline void drop_part(const float *x, const float *residual, float *out, size_t part,
                             const uint16_t *halves, uint32_t share, vec scale)
{
    const vec kept = w_kept(v_mul(v_load_part(x, part), scale), halves, share);
    v_store_part(out, residual ? v_add(kept, v_load_part(residual, part)) : kept, part);
}

void LEVEL(sqzk_dropout)(const sqzk_dropout_args *args)
{
    const size_t of_row = (args->n + OF_COUNTER - 1) / OF_COUNTER;
    const uint32_t first = (uint32_t)(args->row * of_row);
    const size_t counters = args->m * of_row;
    const vec scale = v_set(65536 / (float)(65536 - args->share));
    mask_block block = {.begin = 0};
    size_t made = 0; /* counters before the block's end */
    for (size_t r = 0; r < args->m; r++) {
        const float *x = args->x + r * args->ldx;
        const float *residual = args->residual ? args->residual + r * args->ldr : NULL;
        float *out = args->out + r * args->ldo;
        for (size_t j = 0; j < args->n;) {
            const size_t at = r * of_row + j / OF_COUNTER;
            if (at == made) {
                const size_t n = counters - made < COUNTERS ? counters - made : COUNTERS;
                fill_block(args, first + (uint32_t)at, (uint32_t)n, &block);
                made += n;
            }
            const size_t here = (made - at) * OF_COUNTER,
                         stop = args->n - j < here ? args->n : j + here;
            const uint16_t *halves = block.halves +
                                     (size_t)(first + (uint32_t)at - block.begin) * OF_COUNTER;
            for (; j < stop; j += V_WIDTH, halves += V_WIDTH)
                drop_part(x + j, residual ? residual + j : NULL, out + j,
                          stop - j < V_WIDTH ? stop - j : V_WIDTH, halves, args->share, scale);
            j = stop;
        }
    }
}
