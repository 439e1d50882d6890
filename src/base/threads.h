/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool: one job at a time, run by a team in stages.
 *
 * A job is one function that every member of the team runs. Each stage is cut into parts; a member
 * takes those of its own share first, then what is left of others' shares, and a stage ends when
 * all its parts are done. So nobody waits for a thread that has not come: a worker that the system
 * wakes late, or never, finds its parts taken. What a part computes must not depend on who takes
 * it. A caller that finds the pool busy runs its job as a team of one.
 */
#ifndef SQZI_THREADS_H
#define SQZI_THREADS_H

#include <stdbool.h>

#include <squeezebert/context.h>

typedef struct sqzi_thread_pool sqzi_thread_pool;

typedef struct sqzi_team {
    uint32_t member;  /* 0 .. members-1; 0 is the caller */
    uint32_t members;
    sqzi_thread_pool *pool; /* NULL for a team of one */
} sqzi_team;

typedef void sqzi_job(void *argument, const sqzi_team *team);

/* SQZ_ENOMEM: no memory, or a thread could not be started; none is left then. */
SQZ_NODISCARD sqz_status sqzi_thread_pool_open(const sqz_allocator *allocator, uint32_t n_threads,
                                               sqzi_thread_pool **pool, sqz_error *error);
void sqzi_thread_pool_close(sqzi_thread_pool *pool);
uint32_t sqzi_thread_pool_size(const sqzi_thread_pool *pool);

/* Run job(argument, team) on the caller and on those of at most max_members - 1 workers that come
 * before its end; returns when all have left it. */
void sqzi_thread_pool_run(sqzi_thread_pool *pool, uint32_t max_members, sqzi_job *job,
                          void *argument);

/* Where a member is in its job. Begin with {.team = team}. */
typedef struct sqzi_turn {
    const sqzi_team *team;
    /* stages passed; parts of all of them; parts this member took of the one now running */
    uint32_t stage, due, taken;
} sqzi_turn;

/* Take a part, 0..n-1, of the stage now running, or return false when all n are done: the member is
 * in the next stage then and sees all that was written before. Members pass the same n in the same
 * order of stages. Where all come in time, member i of m takes parts i n/m to (i + 1) n/m.
 * A member that waits spins for at most 50 us, then sleeps; it does not spin where the pool has
 * more threads than CPUs. */
bool sqzi_take_part(sqzi_turn *turn, uint32_t n, uint32_t *part);

typedef struct sqzi_range {
    size_t begin, end;
} sqzi_range;

/* Part `part` of `parts` of n items; parts differ by at most one item. */
static inline sqzi_range sqzi_share(size_t n, size_t part, size_t parts)
{
    return (sqzi_range){n * part / parts, n * (part + 1) / parts};
}

#endif
