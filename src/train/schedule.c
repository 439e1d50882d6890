/* SPDX-License-Identifier: Apache-2.0 */
/* Warm-up and what follows, as get_*_schedule_with_warmup of Transformers. */
#include "train/schedule.h"

#include <math.h>

uint64_t sqzi_warmup_steps(double share, uint64_t steps)
{
    return share > 0 ? (uint64_t)(share * (double)steps) : 0;
}

double sqzi_schedule_at(sqz_schedule schedule, uint64_t s, uint64_t warmup, uint64_t steps)
{
    if (s < warmup) return (double)s / (double)warmup;
    if (schedule == SQZ_SCHEDULE_CONSTANT) return 1;
    if (s >= steps) return 0;
    const double rest = (double)(steps - warmup), done = (double)(s - warmup);
    if (schedule == SQZ_SCHEDULE_LINEAR) return (rest - done) / rest;
    return 0.5 * (1 + cos(3.14159265358979323846 * done / rest));
}
