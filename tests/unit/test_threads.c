/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool: each part of a stage is taken once, stages order what is written, nobody waits
 * for a thread that has not come, a busy pool gives a team of one. */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "support/test.h"

enum { MEMBERS = 4, STAGES = 200, MOST_PARTS = 3 * MEMBERS + 1 };

static sqzi_thread_pool *open_pool(uint32_t n_threads)
{
    sqz_error error = {0};
    sqzi_thread_pool *pool;
    sqzt_assert_ok(sqzi_thread_pool_open(&sqzi_default_allocator, n_threads, &pool, &error),
                   &error);
    assert_int_equal(sqzi_thread_pool_size(pool), n_threads);
    return pool;
}

typedef struct ring {
    uint32_t n; /* parts of a stage */
    uint32_t at[MOST_PARTS], odd[MOST_PARTS + 1];
    _Atomic uint32_t wrong;
} ring;

/* A part reads what its neighbour wrote in the stage before; in between a stage of another number
 * of parts. Plain numbers: a stage that begins too early is a race. */
static void run_ring(void *argument, const sqzi_team *team)
{
    ring *r = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t stage = 1, part; stage <= STAGES; stage++) {
        while (sqzi_take_part(&turn, r->n, &part)) r->at[part]++;
        while (sqzi_take_part(&turn, r->n + 1, &part)) r->odd[part]++;
        while (sqzi_take_part(&turn, r->n, &part))
            if (r->at[(part + 1) % r->n] != stage) r->wrong++;
    }
}

static void each_part_is_taken_once_and_stages_are_ordered(void **state)
{
    (void)state;
    sqzi_thread_pool *pool = open_pool(MEMBERS);
    for (uint32_t most = 1; most <= MEMBERS + 1; most++)
        for (uint32_t n = 1; n <= MOST_PARTS; n++) {
            ring r = {.n = n};
            sqzi_thread_pool_run(pool, most, run_ring, &r);
            assert_int_equal(r.wrong, 0);
            for (uint32_t i = 0; i < n; i++) assert_int_equal(r.at[i], STAGES);
            for (uint32_t i = 0; i <= n; i++) assert_int_equal(r.odd[i], STAGES);
        }
    sqzi_thread_pool_close(pool);
}

typedef struct meeting {
    _Atomic uint32_t here, wrong;
} meeting;

/* All members are here before any takes a part. */
static void meet(meeting *m, const sqzi_team *team)
{
    m->here++;
    while (m->here < team->members) sched_yield();
}

/* With as many parts as members, no member may take a part of another's share before that one did:
 * each waits in its part for all. */
static void take_own(void *argument, const sqzi_team *team)
{
    meeting *m = argument;
    sqzi_turn turn = {.team = team};
    for (uint32_t part; sqzi_take_part(&turn, team->members, &part);) {
        if (part != team->member) m->wrong++;
        meet(m, team);
    }
}

static void members_take_their_own_share_first(void **state)
{
    (void)state;
    sqzi_thread_pool *pool = open_pool(MEMBERS);
    for (uint32_t most = 2; most <= MEMBERS; most++) {
        meeting m = {0};
        sqzi_thread_pool_run(pool, most, take_own, &m);
        assert_int_equal(m.here, most);
        assert_int_equal(m.wrong, 0);
    }
    sqzi_thread_pool_close(pool);
}

typedef struct slow {
    _Atomic uint32_t here, wrong;
    _Atomic bool done;
} slow;

/* Who takes part 0, mostly the caller, is slow over it while the others have nothing left to do; in
 * the next stage it must be done. */
static void run_slowly(void *argument, const sqzi_team *team)
{
    slow *s = argument;
    sqzi_turn turn = {.team = team};
    uint32_t part;
    s->here++;
    while (sqzi_take_part(&turn, team->members, &part)) {
        if (part != 0) continue;
        while (s->here < team->members) sched_yield();
        for (int i = 0; i < 200; i++) sched_yield();
        s->done = true;
    }
    s->wrong += !s->done;
}

static void a_stage_ends_when_all_its_parts_are_done(void **state)
{
    (void)state;
    for (uint32_t members = 2; members <= MEMBERS; members++) {
        sqzi_thread_pool *pool = open_pool(members);
        slow s = {0};
        sqzi_thread_pool_run(pool, members, run_slowly, &s);
        assert_int_equal(s.wrong, 0);
        sqzi_thread_pool_close(pool);
    }
}

typedef struct late {
    _Atomic bool finished;
    _Atomic uint32_t taken, wrong;
} late;

/* Workers stay away from their parts until the caller has done them all. */
static void run_without_workers(void *argument, const sqzi_team *team)
{
    late *l = argument;
    sqzi_turn turn = {.team = team};
    while (team->member != 0 && !l->finished) sched_yield();
    for (int stage = 0; stage < 3; stage++)
        for (uint32_t part; sqzi_take_part(&turn, 2 * MEMBERS, &part);) {
            l->wrong += team->member != 0;
            l->taken++;
        }
    l->finished = true;
}

static void nobody_waits_for_a_late_worker(void **state)
{
    (void)state;
    sqzi_thread_pool *pool = open_pool(MEMBERS);
    for (int i = 0; i < 50; i++) {
        late l = {0};
        sqzi_thread_pool_run(pool, MEMBERS, run_without_workers, &l);
        assert_int_equal(l.taken, 3 * 2 * MEMBERS);
        assert_int_equal(l.wrong, 0);
    }
    sqzi_thread_pool_close(pool);
}

static void shares_cover_everything_once(void **state)
{
    (void)state;
    for (size_t parts = 1; parts <= 5; parts++)
        for (size_t n = 0; n < 40; n++) {
            size_t expected = 0;
            for (size_t part = 0; part < parts; part++) {
                const sqzi_range share = sqzi_share(n, part, parts);
                assert_int_equal(share.begin, expected);
                assert_in_range(share.end - share.begin, n / parts, (n + parts - 1) / parts);
                expected = share.end;
            }
            assert_int_equal(expected, n);
        }
}

typedef struct contest {
    sqzi_thread_pool *pool;
    _Atomic uint32_t *total;
} contest;

/* One part in all, whatever else the pool is doing. */
static void count_one(void *argument, const sqzi_team *team)
{
    sqzi_turn turn = {.team = team};
    for (uint32_t part; sqzi_take_part(&turn, 1, &part);) ++*(_Atomic uint32_t *)argument;
}

static void *run_many(void *argument)
{
    contest *c = argument;
    for (int i = 0; i < 500; i++) sqzi_thread_pool_run(c->pool, MEMBERS, count_one, c->total);
    return NULL;
}

static void callers_run_side_by_side(void **state)
{
    (void)state;
    enum { CALLERS = 3 };
    _Atomic uint32_t total = 0;
    contest c = {open_pool(MEMBERS), &total};
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &c), 0);
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(total, CALLERS * 500);
    sqzi_thread_pool_close(c.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(
                                           each_part_is_taken_once_and_stages_are_ordered),
                                       cmocka_unit_test(members_take_their_own_share_first),
                                       cmocka_unit_test(a_stage_ends_when_all_its_parts_are_done),
                                       cmocka_unit_test(nobody_waits_for_a_late_worker),
                                       cmocka_unit_test(shares_cover_everything_once),
                                       cmocka_unit_test(callers_run_side_by_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
