/* SPDX-License-Identifier: Apache-2.0 */
/* One loop over tiles: six sums of 16 x 16, two inputs. Include after these: step(sum), a tile
 * product of tiles 6 and 7; WORD, 32 bits of ones of the type; STEP_OPERATIONS; LANE, the type of a
 * sum's lanes; and PEAK_NAME, PEAK_TEXT, PEAK_TYPE. The caller's tile configuration comes back. */
#include <immintrin.h>
#include <stdint.h>

#include "base/cpu.h"
#include "kernel/peak/peak.h"

#if !defined(__AMX_TILE__) && !defined(__AMXTILE__) /* gcc's name, clang's */
#error "compile this file with AMX"
#endif

#define TILE_SUMS(X) X(0) X(1) X(2) X(3) X(4) X(5)

enum { TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_LANES = 256 };

/* What ldtilecfg reads: palette 1, then bytes of a row and rows of each tile. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Written out: gcc 12's intrinsics do not say that these read and write more than eight bytes. */
#define LOAD_TILE(tile, from)                                                                      \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     :                                                                             \
                     : "r"(from), "r"((size_t)TILE_ROW_BYTES)                                      \
                     : "memory")
#define STORE_TILE(tile, to)                                                                       \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"(to), "r"((size_t)TILE_ROW_BYTES)                                        \
                     : "memory")

static void configure(void)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = TILE_ROW_BYTES;
        config.rows[i] = TILE_ROWS;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

static uint64_t count(const LANE *lanes)
{
    uint64_t all = 0;
    for (int i = 0; i < TILE_LANES; i++) all += (uint64_t)lanes[i];
    return all;
}

static uint64_t KERNEL(run)(uint64_t rounds)
{
    tile_config before;
    uint32_t words[TILE_LANES];
    LANE lanes[TILE_LANES];
    uint64_t counted = 0;
    for (int i = 0; i < TILE_LANES; i++) words[i] = WORD;
    __asm__ volatile("sttilecfg %0" : "=m"(before));
    configure();
#define ZERO(i) _tile_zero(i);
    TILE_SUMS(ZERO)
#undef ZERO
    LOAD_TILE(6, words);
    LOAD_TILE(7, words);
    for (uint64_t i = 0; i < rounds; i++) {
#define STEP(n) step(n);
        TILE_SUMS(STEP)
#undef STEP
    }
#define ADD(i)              \
    STORE_TILE(i, lanes);   \
    counted += count(lanes);
    TILE_SUMS(ADD)
#undef ADD
    if (before.palette) __asm__ volatile("ldtilecfg %0" : : "m"(before));
    else _tile_release();
    return counted;
}

extern const sqzk_peak PEAK_NAME;
const sqzk_peak PEAK_NAME = {
    .name = PEAK_TEXT,
    .level = "amx",
    .feature = SQZI_CPU_AMX,
    .type = PEAK_TYPE,
    .operations = 6 * (uint64_t)STEP_OPERATIONS,
    .run = KERNEL(run),
};
