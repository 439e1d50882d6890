/* SPDX-License-Identifier: Apache-2.0 */
/* Time by stage: each member of a team has a stopwatch and says after a stage which one it was. A
 * stopwatch that is not on costs a branch. */
#ifndef SQZI_STOPWATCH_H
#define SQZI_STOPWATCH_H

#include <stdbool.h>

#include <squeezebert/session.h>

#include "base/clock.h"

typedef struct sqzi_stopwatch {
    bool on;
    uint64_t last; /* when the stage now running began */
    uint64_t calls[SQZ_STAGES], ns[SQZ_STAGES];
} sqzi_stopwatch;

/* The member's run begins. */
static inline void sqzi_stopwatch_begin(sqzi_stopwatch *watch)
{
    if (watch->on) watch->last = sqzi_clock_ns();
}

/* What the member did since the last mark was this stage. */
static inline void sqzi_stopwatch_mark(sqzi_stopwatch *watch, sqz_stage stage)
{
    if (!watch->on) return;
    const uint64_t now = sqzi_clock_ns();
    watch->ns[stage] += now - watch->last;
    watch->calls[stage]++;
    watch->last = now;
}

#endif
