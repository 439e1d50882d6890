/* SPDX-License-Identifier: Apache-2.0 */
/* Parts in turn, statuses beside them. */
#include "squeeze/parts.h"

#include "base/error.h"
#include "base/memory.h"
#include "model/loader.h"

typedef struct outcome {
    sqz_status status;
    sqz_error error;
} outcome;

typedef struct parts {
    sqzi_part_job *job;
    void *argument;
    uint32_t n;
    outcome *outcomes; /* [n] */
} parts;

static void take_parts(void *argument, const sqzi_team *team)
{
    const parts *p = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t i; sqzi_take_part(&turn, p->n, &i);)
        p->outcomes[i].status = p->job(p->argument, i, &p->outcomes[i].error);
}

sqz_status sqzi_run_parts(const sqz_context *context, uint32_t n, sqzi_part_job *job,
                          void *argument, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    parts p = {job, argument, n, sqzi_allocate_zeroed(&context->allocator, n, sizeof *p.outcomes)};
    if (!p.outcomes) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u statuses", n);
    sqzi_thread_pool_run(context->pool, sqzi_thread_pool_size(context->pool), take_parts, &p);
    for (uint32_t i = 0; i < n && status == SQZ_OK; i++) {
        status = p.outcomes[i].status;
        if (status != SQZ_OK && error) *error = p.outcomes[i].error;
    }
    sqzi_release(&context->allocator, p.outcomes, n * sizeof *p.outcomes);
    return status;
}
