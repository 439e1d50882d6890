/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool: one job at a time, run by a team that meets at barriers.
 *
 * A job is one function that every member of the team runs to its end; between its stages the members wait for each other. The work of a stage
 * is split by member number, so what a member does never depends on timing. A caller that finds the pool busy runs its job as a team of one.
 */
#ifndef SQZI_THREADS_H
#define SQZI_THREADS_H

#include <squeezebert/context.h>

typedef struct sqzi_pool sqzi_pool;

typedef struct sqzi_team {
    uint32_t member;  /* 0 .. members-1; 0 is the caller */
    uint32_t members;
    sqzi_pool *pool;  /* NULL for a team of one */
} sqzi_team;

typedef void sqzi_job(void *argument, const sqzi_team *team);

SQZ_NODISCARD sqz_status sqzi_pool_open(const sqz_allocator *allocator, uint32_t n_threads, sqzi_pool **pool, sqz_error *error);
void sqzi_pool_close(sqzi_pool *pool);
uint32_t sqzi_pool_threads(const sqzi_pool *pool);

/* Run job(argument, team) on the caller and at most max_members - 1 workers; returns when all have finished. */
void sqzi_pool_run(sqzi_pool *pool, uint32_t max_members, sqzi_job *job, void *argument);

/* Wait until every member has come here. Spins for at most 50 us, then sleeps. Everything written before is visible after. */
void sqzi_team_barrier(const sqzi_team *team);

/* The member's part [begin, end) of n items given out in whole multiples of `grain`; parts differ by at most one grain. */
void sqzi_team_share(const sqzi_team *team, size_t n, size_t grain, size_t *begin, size_t *end);

#endif
