/* SPDX-License-Identifier: Apache-2.0 */
/* The work that measures a machine's peak, done by the threads of a context. */
#include "kernel/peak/peak.h"

#include <stdatomic.h>

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
    (void)team;
    (void)m->peak->run(m->rounds);
    atomic_fetch_add(&m->done, m->rounds * m->peak->operations);
}

static void read_part(void *argument, const sqzi_team *team)
{
    measurement *m = argument;
    size_t begin, end;
    sqzi_team_share(team, m->grains, 1, &begin, &end);
    (void)m->reader->run(m->memory + begin * READ_GRAIN, (end - begin) * READ_GRAIN);
    atomic_fetch_add(&m->done, (end - begin) * READ_GRAIN);
}

static const sqzk_peak *peak_of(const sqz_context *context, sqz_peak_type type)
{
    static const sqzi_type types[] = {[SQZ_PEAK_F32] = SQZI_F32, [SQZ_PEAK_BF16] = SQZI_BF16, [SQZ_PEAK_S8] = SQZI_S8};
    return sqzk_peak_best(types[type], context->kernels.features);
}

uint64_t sqz_peak_arithmetic(sqz_context *context, sqz_peak_type type, uint64_t rounds)
{
    measurement m = {.peak = peak_of(context, type), .rounds = rounds};
    sqzi_pool_run(context->pool, sqzi_pool_threads(context->pool), compute, &m);
    return m.done;
}

uint64_t sqz_peak_read(sqz_context *context, const void *memory, size_t bytes)
{
    measurement m = {.reader = sqzk_reader_best(context->kernels.features), .memory = memory, .grains = bytes / READ_GRAIN};
    sqzi_pool_run(context->pool, sqzi_pool_threads(context->pool), read_part, &m);
    return m.done;
}

const char *sqz_peak_instruction(const sqz_context *context, sqz_peak_type type)
{
    return peak_of(context, type)->name;
}
