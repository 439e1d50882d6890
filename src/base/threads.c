/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: workers that wait for a job, the gate they enter it by, and the parts of a stage that
 * members take. */
#define _POSIX_C_SOURCE 200809L
#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

enum { LINE = 64 };

#define SPIN_NS 50000 /* that a thread spins before it sleeps */
#define OPEN 0x40000000u

/* A counter that threads wait for. Waiters sleep only when they gave up spinning, so adding to it
 * costs a lock only then. */
typedef struct signal_counter {
    _Alignas(LINE) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
} signal_counter;

/* A member's parts of a stage that are taken: stage << 32 | how many. Whoever finds an earlier
 * stage there is the first of this one. */
typedef struct part_queue {
    _Alignas(LINE) _Atomic uint64_t taken;
} part_queue;

struct sqzi_thread_pool {
    sqz_allocator allocator;
    uint32_t n_threads;
    uint32_t n_started;
    /* 0 where there are fewer CPUs than threads: who spins keeps another from working */
    uint64_t spin_ns;
    pthread_t *threads;          /* [n_threads - 1] */
    struct worker *workers;
    part_queue *queues;          /* [n_threads] */
    atomic_flag busy;
    _Atomic bool stop;
    sqzi_job *job;
    void *argument;
    uint32_t members;
    signal_counter jobs;         /* jobs given out */
    signal_counter done;         /* parts done, of all stages of the job */
    signal_counter gate;         /* OPEN while the job may be entered, less the workers inside */
};

struct worker {
    sqzi_thread_pool *pool;
    uint32_t member;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void counter_add(signal_counter *counter, uint32_t n)
{
    atomic_fetch_add(&counter->value, n);
    if (atomic_load(&counter->sleepers) == 0) return;
    pthread_mutex_lock(&counter->mutex);
    pthread_cond_broadcast(&counter->condition);
    pthread_mutex_unlock(&counter->mutex);
}

static bool reached(const signal_counter *counter, uint32_t target)
{
    return (int32_t)(atomic_load(&counter->value) - target) >= 0;
}

/* Return once the counter has come to the target. Sequentially consistent: a sleeper announces
 * itself before its last look, an adder looks for sleepers after adding, so one of them sees the
 * other. */
static void counter_wait(signal_counter *counter, uint32_t target, uint64_t spin_ns)
{
    if (reached(counter, target)) return;
    const uint64_t begin = spin_ns ? now_ns() : 0;
    while (spin_ns && now_ns() - begin < spin_ns)
        for (int i = 0; i < 64; i++) {
            if (reached(counter, target)) return;
            relax();
        }
    pthread_mutex_lock(&counter->mutex);
    atomic_fetch_add(&counter->sleepers, 1);
    while (!reached(counter, target)) pthread_cond_wait(&counter->condition, &counter->mutex);
    atomic_fetch_sub(&counter->sleepers, 1);
    pthread_mutex_unlock(&counter->mutex);
}

/* The next of a member's n parts of the stage, if any is left. */
static bool take_from(part_queue *queue, uint32_t stage, uint32_t n, uint32_t *part)
{
    uint64_t seen = atomic_load(&queue->taken);
    for (;;) {
        const uint32_t of_stage = (uint32_t)(seen >> 32),
                       taken = of_stage == stage ? (uint32_t)seen : 0;
        if (of_stage > stage || taken == n) return false;
        if (atomic_compare_exchange_weak(&queue->taken, &seen,
                                         (uint64_t)stage << 32 | (taken + 1))) {
            *part = taken;
            return true;
        }
    }
}

bool sqzi_take_part(sqzi_turn *turn, uint32_t n, uint32_t *part)
{
    const sqzi_team *team = turn->team;
    if (team->members == 1) {
        *part = turn->taken++;
        if (*part < n) return true;
        turn->taken = 0;
        return false;
    }
    sqzi_thread_pool *pool = team->pool;
    for (uint32_t i = 0; i < team->members; i++) {
        const uint32_t owner = (team->member + i) % team->members;
        const sqzi_range share = sqzi_share(n, owner, team->members);
        if (!take_from(&pool->queues[owner], turn->stage + 1, (uint32_t)(share.end - share.begin),
                       part))
            continue;
        *part += (uint32_t)share.begin;
        turn->taken++;
        return true;
    }
    if (turn->taken) counter_add(&pool->done, turn->taken);
    turn->taken = 0;
    turn->stage++;
    turn->due += n;
    counter_wait(&pool->done, turn->due, pool->spin_ns);
    return false;
}

/* A worker that comes late finds the gate closed, or stages whose parts are all taken. */
static void enter(sqzi_thread_pool *pool, uint32_t member)
{
    if ((int32_t)atomic_fetch_sub(&pool->gate.value, 1) > 0 && member < pool->members) {
        const sqzi_team team = {member, pool->members, pool};
        pool->job(pool->argument, &team);
    }
    counter_add(&pool->gate, 1);
}

static void *work(void *argument)
{
    const struct worker *me = argument;
    sqzi_thread_pool *pool = me->pool;
    for (uint32_t seen = 0;;) {
        counter_wait(&pool->jobs, seen + 1, pool->spin_ns);
        /* before the look at stop: who counts the job of the close must see that it is the last */
        seen = atomic_load(&pool->jobs.value);
        if (atomic_load(&pool->stop)) return NULL;
        enter(pool, me->member);
    }
}

void sqzi_thread_pool_run(sqzi_thread_pool *pool, uint32_t max_members, sqzi_job *job,
                          void *argument)
{
    const uint32_t members = max_members < pool->n_threads ? max_members : pool->n_threads;
    if (members <= 1 || atomic_flag_test_and_set(&pool->busy)) {
        const sqzi_team alone = {0, 1, NULL};
        job(argument, &alone);
        return;
    }
    pool->job = job;
    pool->argument = argument;
    pool->members = members;
    for (uint32_t i = 0; i < members; i++) atomic_store(&pool->queues[i].taken, 0);
    atomic_store(&pool->done.value, 0);
    atomic_fetch_add(&pool->gate.value, OPEN);
    counter_add(&pool->jobs, 1);
    const sqzi_team team = {0, members, pool};
    job(argument, &team);
    atomic_fetch_sub(&pool->gate.value, OPEN);
    counter_wait(&pool->gate, 0, pool->spin_ns); /* those inside have nothing left to take */
    atomic_flag_clear(&pool->busy);
}

static int counter_init(signal_counter *counter)
{
    if (pthread_mutex_init(&counter->mutex, NULL) != 0) return -1;
    if (pthread_cond_init(&counter->condition, NULL) != 0) {
        pthread_mutex_destroy(&counter->mutex);
        return -1;
    }
    return 0;
}

static void counter_free(signal_counter *counter)
{
    pthread_cond_destroy(&counter->condition);
    pthread_mutex_destroy(&counter->mutex);
}

static int counters_init(sqzi_thread_pool *pool)
{
    if (counter_init(&pool->jobs) != 0) return -1;
    if (counter_init(&pool->done) == 0) {
        if (counter_init(&pool->gate) == 0) return 0;
        counter_free(&pool->done);
    }
    counter_free(&pool->jobs);
    return -1;
}

static sqz_status start_workers(sqzi_thread_pool *pool, sqz_error *error)
{
    for (uint32_t i = 1; i < pool->n_threads; i++) {
        pool->workers[i] = (struct worker){pool, i};
        const int failed = pthread_create(&pool->threads[i], NULL, work, &pool->workers[i]);
        if (failed)
            return sqzi_fail(error, SQZ_ENOMEM, 0,
                             "cannot start thread %u of %u: %s; ask for fewer threads, or raise "
                             "the limit on processes or memory",
                             i + 1, pool->n_threads, strerror(failed));
        pool->n_started++;
    }
    return SQZ_OK;
}

sqz_status sqzi_thread_pool_open(const sqz_allocator *allocator, uint32_t n_threads,
                                 sqzi_thread_pool **out, sqz_error *error)
{
    sqzi_thread_pool *pool = sqzi_allocate_zeroed(allocator, 1, sizeof *pool);
    if (!pool) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the thread pool");
    pool->allocator = *allocator;
    pool->n_threads = n_threads;
    pool->spin_ns = n_threads <= sqz_cpu_count() ? SPIN_NS : 0;
    atomic_flag_clear(&pool->busy);
    if (counters_init(pool) != 0) {
        sqzi_release(allocator, pool, sizeof *pool);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the thread pool");
    }
    pool->threads = sqzi_allocate_zeroed(allocator, n_threads, sizeof *pool->threads);
    pool->workers = sqzi_allocate_zeroed(allocator, n_threads, sizeof *pool->workers);
    pool->queues = sqzi_allocate_zeroed(allocator, n_threads, sizeof *pool->queues);
    const sqz_status status = pool->threads && pool->workers && pool->queues
                                  ? start_workers(pool, error)
                                  : sqzi_fail(error, SQZ_ENOMEM, 0,
                                              "no memory for the thread pool");
    if (status == SQZ_OK) *out = pool;
    else sqzi_thread_pool_close(pool);
    return status;
}

void sqzi_thread_pool_close(sqzi_thread_pool *pool)
{
    if (!pool) return;
    atomic_store(&pool->stop, true);
    counter_add(&pool->jobs, 1);
    for (uint32_t i = 1; i <= pool->n_started; i++) pthread_join(pool->threads[i], NULL);
    counter_free(&pool->jobs);
    counter_free(&pool->done);
    counter_free(&pool->gate);
    const sqz_allocator allocator = pool->allocator;
    const uint32_t n = pool->n_threads;
    sqzi_release(&allocator, pool->threads, n * sizeof *pool->threads);
    sqzi_release(&allocator, pool->workers, n * sizeof *pool->workers);
    sqzi_release(&allocator, pool->queues, n * sizeof *pool->queues);
    sqzi_release(&allocator, pool, sizeof *pool);
}

uint32_t sqzi_thread_pool_size(const sqzi_thread_pool *pool)
{
    return pool->n_threads;
}
