/* SPDX-License-Identifier: Apache-2.0 */
/* The work that measures a machine's peak, done by the threads of a context. */
#include <squeezebert/peak.h>
#include <stdatomic.h>

#include "kernel/peak/peak.h"
#include "model/context.h"

enum { READ_GRAIN = 512 }; /* what a reader takes at a time, at most */

typedef struct measurement {
    const sqzk_peak *peak;
    uint64_t rounds;
    const sqzk_reader *reader;
    const unsigned char *memory;
    size_t grains;
    _Atomic uint64_t done;
} measurement;

static void compute(void *argument, const sqzi_team *team)
{
    measurement *m = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t part; sqzi_take_part(&turn, team->members, &part);) {
        (void)m->peak->run(m->rounds);
        atomic_fetch_add(&m->done, m->rounds * m->peak->operations);
    }
}

static void read_memory(void *argument, const sqzi_team *team)
{
    measurement *m = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t part; sqzi_take_part(&turn, team->members, &part);) {
        const sqzi_range share = sqzi_share(m->grains, part, team->members);
        (void)m->reader->run(m->memory + share.begin * READ_GRAIN,
                             (share.end - share.begin) * READ_GRAIN);
        atomic_fetch_add(&m->done, (share.end - share.begin) * READ_GRAIN);
    }
}

static const sqzk_peak *peak_of(const sqz_context *context, sqz_peak_type type)
{
    static const sqzi_type types[] = {
        [SQZ_PEAK_F32] = SQZI_F32, [SQZ_PEAK_BF16] = SQZI_BF16, [SQZ_PEAK_S8] = SQZI_S8};
    return sqzk_peak_best(types[type], context->kernels.features);
}

uint64_t sqz_peak_arithmetic(sqz_context *context, sqz_peak_type type, uint64_t rounds)
{
    measurement m = {.peak = peak_of(context, type), .rounds = rounds};
    sqzi_thread_pool_run(context->pool, sqzi_thread_pool_size(context->pool), compute, &m);
    return m.done;
}

uint64_t sqz_peak_read(sqz_context *context, const void *memory, size_t bytes)
{
    measurement m = {.reader = sqzk_reader_best(context->kernels.features),
                     .memory = memory,
                     .grains = bytes / READ_GRAIN};
    sqzi_thread_pool_run(context->pool, sqzi_thread_pool_size(context->pool), read_memory, &m);
    return m.done;
}

const char *sqz_peak_instruction(const sqz_context *context, sqz_peak_type type)
{
    return peak_of(context, type)->name;
}
