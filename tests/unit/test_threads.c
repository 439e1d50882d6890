/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool: every member runs, barriers order what is written, shares cover everything once, a busy pool gives a team of one. */
#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "support/test.h"

enum { MEMBERS = 4, STAGES = 200 };

typedef struct ring {
    uint32_t at[MEMBERS];
    _Atomic uint32_t wrong;
    _Atomic uint32_t ran;
} ring;

/* Each stage, a member reads what its neighbour wrote in the stage before. */
static void run_ring(void *argument, const sqzi_team *team)
{
    ring *r = argument;
    r->ran++;
    for (uint32_t stage = 1; stage <= STAGES; stage++) {
        r->at[team->member] = stage;
        sqzi_team_barrier(team);
        if (r->at[(team->member + 1) % team->members] != stage) r->wrong++;
        sqzi_team_barrier(team);
    }
}

static void test_barriers(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqzi_pool *pool;
    sqzt_assert_ok(sqzi_pool_open(&sqzi_default_allocator, MEMBERS, &pool, &error), &error);
    assert_int_equal(sqzi_pool_threads(pool), MEMBERS);
    for (uint32_t most = 1; most <= MEMBERS + 1; most++)
        for (int i = 0; i < 20; i++) {
            ring r = {.at = {0}};
            sqzi_pool_run(pool, most, run_ring, &r);
            assert_int_equal(r.ran, most < MEMBERS ? most : MEMBERS);
            assert_int_equal(r.wrong, 0);
        }
    sqzi_pool_close(pool);
}

static void test_shares(void **state)
{
    (void)state;
    for (uint32_t members = 1; members <= 5; members++)
        for (size_t n = 0; n < 40; n++)
            for (size_t grain = 1; grain <= 7; grain += 3) {
                size_t expected = 0, least = SIZE_MAX, most = 0;
                for (uint32_t member = 0; member < members; member++) {
                    size_t begin, end;
                    sqzi_team_share(&(sqzi_team){member, members, NULL}, n, grain, &begin, &end);
                    assert_int_equal(begin, expected);
                    assert_true(end >= begin && (end == n || end % grain == 0));
                    expected = end;
                    least = end - begin < least ? end - begin : least;
                    most = end - begin > most ? end - begin : most;
                }
                assert_int_equal(expected, n);
                assert_true(most - least <= 2 * grain);
            }
}

typedef struct contest {
    sqzi_pool *pool;
    _Atomic uint32_t *total;
} contest;

static void count_members(void *argument, const sqzi_team *team)
{
    (void)team;
    ++*(_Atomic uint32_t *)argument;
}

/* A job that always has one member in the end, whatever else the pool is doing. */
static void count_first(void *argument, const sqzi_team *team)
{
    if (team->member == 0) count_members(argument, team);
    sqzi_team_barrier(team);
}

static void *run_many(void *argument)
{
    contest *c = argument;
    for (int i = 0; i < 500; i++) sqzi_pool_run(c->pool, MEMBERS, count_first, c->total);
    return NULL;
}

static void test_callers_side_by_side(void **state)
{
    (void)state;
    enum { CALLERS = 3 };
    sqz_error error = {0};
    _Atomic uint32_t total = 0;
    contest c = {NULL, &total};
    pthread_t threads[CALLERS];
    sqzt_assert_ok(sqzi_pool_open(&sqzi_default_allocator, MEMBERS, &c.pool, &error), &error);
    for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_many, &c), 0);
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(total, CALLERS * 500);
    sqzi_pool_close(c.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_barriers), cmocka_unit_test(test_shares), cmocka_unit_test(test_callers_side_by_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
