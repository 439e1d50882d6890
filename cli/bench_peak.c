/* SPDX-License-Identifier: Apache-2.0 */
/* Timing the machine's peak. Of several tries the fastest counts: a peak is what the machine can do
 * when nothing is in the way. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum {
    TRIES = 20,
    READ_TRIES = 6,
    MEMORY_BYTES = 512 << 20,
    ALIGNMENT = 64,
    LEAST_WEIGHTS = 1 << 16
};
static const double long_enough_ms = 4;

static double arithmetic(sqz_context *context, sqz_peak_type type)
{
    double best = 0;
    uint64_t rounds = 1 << 10;
    for (uint32_t tries = 0; tries < TRIES;) {
        const double begin = bench_now_ms();
        const uint64_t operations = sqz_peak_arithmetic(context, type, rounds);
        const double ms = bench_now_ms() - begin;
        if (ms < long_enough_ms && rounds < 1u << 27) {
            rounds *= 2;
            continue;
        }
        const double giga = (double)operations / ms / 1e6;
        if (giga > best) best = giga;
        tries++;
    }
    return best;
}

/* GB/s of reading bytes at memory again and again. */
static double reading(sqz_context *context, const void *memory, uint64_t bytes)
{
    double best = 0;
    uint32_t times = 1;
    for (uint32_t tries = 0; tries < READ_TRIES;) {
        uint64_t done = 0;
        const double begin = bench_now_ms();
        for (uint32_t i = 0; i < times; i++) done += sqz_peak_read(context, memory, bytes);
        const double ms = bench_now_ms() - begin;
        if (ms < long_enough_ms && times < 1u << 20) {
            times *= 2;
            continue;
        }
        const double giga = (double)done / ms / 1e6;
        if (giga > best) best = giga;
        tries++;
    }
    return best;
}

sqz_peak_type bench_peak_type(const char *type)
{
    return strcmp(type, "s8") == 0     ? SQZ_PEAK_S8
           : strcmp(type, "bf16") == 0 ? SQZ_PEAK_BF16
                                       : SQZ_PEAK_F32;
}

void bench_measure_peak(sqz_context *context, uint64_t weight_bytes, bench_peak *peak)
{
    memset(peak, 0, sizeof *peak);
    for (sqz_peak_type type = SQZ_PEAK_F32; type <= SQZ_PEAK_S8; type++) {
        peak->arithmetic[type] = arithmetic(context, type);
        peak->instruction[type] = sqz_peak_instruction(context, type);
    }
    if (peak->arithmetic[SQZ_PEAK_F32] > peak->arithmetic[SQZ_PEAK_BF16]) {
        peak->arithmetic[SQZ_PEAK_BF16] = peak->arithmetic[SQZ_PEAK_F32];
        peak->instruction[SQZ_PEAK_BF16] = peak->instruction[SQZ_PEAK_F32];
    }
    peak->memory_bytes = MEMORY_BYTES;
    peak->weight_bytes = weight_bytes < LEAST_WEIGHTS  ? LEAST_WEIGHTS
                         : weight_bytes < MEMORY_BYTES ? weight_bytes
                                                       : MEMORY_BYTES;
    char *block = cli_allocate(NULL, MEMORY_BYTES + ALIGNMENT),
         *memory = block + (ALIGNMENT - (uintptr_t)block % ALIGNMENT);
    memset(memory, 1, MEMORY_BYTES);
    peak->memory = reading(context, memory, peak->memory_bytes);
    peak->weights = reading(context, memory, peak->weight_bytes);
    free(block);
}

double bench_giga_operations(const bench_row *row)
{
    uint64_t products = 0;
    if (!row->profile.runs) return 0;
    for (uint32_t s = 0; s < SQZ_STAGES; s++) products += row->profile.stages[s].multiply_adds;
    return 2 * (double)products / (double)row->profile.runs / 1e9;
}

double bench_share_of_peak(const bench_row *row)
{
    return bench_giga_operations(row) / (row->run.median / 1e3) /
           row->peak.arithmetic[bench_peak_type(row->type)];
}
