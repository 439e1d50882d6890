/* SPDX-License-Identifier: Apache-2.0 */
/* The pool where there are no threads (WebAssembly): every job is run by its caller, a team of one.
 * Takes the place of threads.c. */
#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"

struct sqzi_thread_pool {
    sqz_allocator allocator;
};

sqz_status sqzi_thread_pool_open(const sqz_allocator *allocator, uint32_t n_threads,
                                 sqzi_thread_pool **out, sqz_error *error)
{
    (void)n_threads;
    sqzi_thread_pool *pool = sqzi_allocate_zeroed(allocator, 1, sizeof *pool);
    if (!pool) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the thread pool");
    pool->allocator = *allocator;
    *out = pool;
    return SQZ_OK;
}

void sqzi_thread_pool_close(sqzi_thread_pool *pool)
{
    if (!pool) return;
    const sqz_allocator allocator = pool->allocator;
    sqzi_release(&allocator, pool, sizeof *pool);
}

uint32_t sqzi_thread_pool_size(const sqzi_thread_pool *pool)
{
    (void)pool;
    return 1;
}

void sqzi_thread_pool_run(sqzi_thread_pool *pool, uint32_t max_members, sqzi_job *job,
                          void *argument)
{
    (void)pool;
    (void)max_members;
    const sqzi_team alone = {0, 1, NULL};
    job(argument, &alone);
}

bool sqzi_take_part(sqzi_turn *turn, uint32_t n, uint32_t *part)
{
    *part = turn->taken++;
    if (*part < n) return true;
    turn->taken = 0;
    return false;
}

double sqz_cpu_quota(void)
{
    return 0;
}

uint32_t sqz_cpu_count(void)
{
    return 1;
}
