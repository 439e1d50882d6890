/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: workers that wait for a job, and the barrier at which a team meets. Both spin for at most 50 us and then sleep on a condition. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

#define SPIN_NS 50000

/* A counter that threads wait for. Waiters sleep only when they gave up spinning, so raising it costs a lock only then. */
typedef struct signal_counter {
    _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
} signal_counter;

struct meeting {
    signal_counter passed;
    _Atomic uint32_t arrived;
};

struct sqzi_pool {
    sqz_allocator allocator;
    uint32_t n_threads;
    uint32_t n_started;
    pthread_t *threads;          /* [n_threads - 1] */
    struct worker *workers;
    atomic_flag busy;
    _Atomic bool stop;
    sqzi_job *job;
    void *argument;
    uint32_t members;
    signal_counter jobs;         /* jobs given out */
    struct meeting stage;        /* where a team meets between stages */
    struct meeting end;          /* where every worker meets the caller after a job, members of the team or not */
};

struct worker {
    sqzi_pool *pool;
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

static void counter_raise(signal_counter *counter)
{
    atomic_fetch_add(&counter->value, 1);
    if (atomic_load(&counter->sleepers) == 0) return;
    pthread_mutex_lock(&counter->mutex);
    pthread_cond_broadcast(&counter->condition);
    pthread_mutex_unlock(&counter->mutex);
}

/* Return once the counter is no longer `seen`. Sequentially consistent: a sleeper announces itself before its last look, a raiser looks for
 * sleepers after raising, so one of them sees the other. */
static void counter_wait(signal_counter *counter, uint32_t seen)
{
    const uint64_t begin = now_ns();
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(&counter->value, memory_order_acquire) != seen) return;
            relax();
        }
    } while (now_ns() - begin < SPIN_NS);
    pthread_mutex_lock(&counter->mutex);
    atomic_fetch_add(&counter->sleepers, 1);
    while (atomic_load(&counter->value) == seen) pthread_cond_wait(&counter->condition, &counter->mutex);
    atomic_fetch_sub(&counter->sleepers, 1);
    pthread_mutex_unlock(&counter->mutex);
}

static void meet(struct meeting *meeting, uint32_t members)
{
    const uint32_t seen = atomic_load(&meeting->passed.value);
    if (atomic_fetch_add(&meeting->arrived, 1) + 1 == members) {
        atomic_store(&meeting->arrived, 0);
        counter_raise(&meeting->passed);
    } else {
        counter_wait(&meeting->passed, seen);
    }
}

void sqzi_team_barrier(const sqzi_team *team)
{
    if (team->members > 1) meet(&team->pool->stage, team->members);
}

static void *work(void *argument)
{
    const struct worker *me = argument;
    sqzi_pool *pool = me->pool;
    for (uint32_t seen = 0;; seen++) {
        counter_wait(&pool->jobs, seen);
        if (atomic_load(&pool->stop)) return NULL;
        const sqzi_team team = {me->member, pool->members, pool};
        if (me->member < pool->members) pool->job(pool->argument, &team);
        meet(&pool->end, pool->n_threads); /* the next job cannot begin while a worker still reads this one */
    }
}

void sqzi_pool_run(sqzi_pool *pool, uint32_t max_members, sqzi_job *job, void *argument)
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
    counter_raise(&pool->jobs);
    const sqzi_team team = {0, members, pool};
    job(argument, &team);
    meet(&pool->end, pool->n_threads);
    atomic_flag_clear(&pool->busy);
}

void sqzi_team_share(const sqzi_team *team, size_t n, size_t grain, size_t *begin, size_t *end)
{
    const size_t grains = (n + grain - 1) / grain;
    const size_t first = grains * team->member / team->members * grain, last = grains * (team->member + 1) / team->members * grain;
    *begin = first < n ? first : n;
    *end = last < n ? last : n;
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

static int counters_init(sqzi_pool *pool)
{
    if (counter_init(&pool->jobs) != 0) return -1;
    if (counter_init(&pool->stage.passed) == 0) {
        if (counter_init(&pool->end.passed) == 0) return 0;
        counter_free(&pool->stage.passed);
    }
    counter_free(&pool->jobs);
    return -1;
}

sqz_status sqzi_pool_open(const sqz_allocator *allocator, uint32_t n_threads, sqzi_pool **out, sqz_error *error)
{
    sqzi_pool *pool = sqzi_allocate_zeroed(allocator, 1, sizeof *pool);
    if (!pool) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the thread pool");
    pool->allocator = *allocator;
    pool->n_threads = n_threads;
    atomic_flag_clear(&pool->busy);
    if (counters_init(pool) != 0) {
        sqzi_release(allocator, pool, sizeof *pool);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the thread pool");
    }
    pool->threads = sqzi_allocate_zeroed(allocator, n_threads, sizeof *pool->threads);
    pool->workers = sqzi_allocate_zeroed(allocator, n_threads, sizeof *pool->workers);
    bool whole = pool->threads && pool->workers;
    for (uint32_t i = 1; whole && i < n_threads; i++) {
        pool->workers[i] = (struct worker){pool, i};
        whole = pthread_create(&pool->threads[i], NULL, work, &pool->workers[i]) == 0;
        if (whole) pool->n_started++;
    }
    if (!whole) {
        sqzi_pool_close(pool);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "cannot start %u threads", (unsigned)(n_threads - 1));
    }
    *out = pool;
    return SQZ_OK;
}

void sqzi_pool_close(sqzi_pool *pool)
{
    if (!pool) return;
    atomic_store(&pool->stop, true);
    counter_raise(&pool->jobs);
    for (uint32_t i = 1; i <= pool->n_started; i++) pthread_join(pool->threads[i], NULL);
    counter_free(&pool->jobs);
    counter_free(&pool->stage.passed);
    counter_free(&pool->end.passed);
    const sqz_allocator allocator = pool->allocator;
    const uint32_t n = pool->n_threads;
    sqzi_release(&allocator, pool->threads, n * sizeof *pool->threads);
    sqzi_release(&allocator, pool->workers, n * sizeof *pool->workers);
    sqzi_release(&allocator, pool, sizeof *pool);
}

uint32_t sqzi_pool_threads(const sqzi_pool *pool)
{
    return pool->n_threads;
}

/* quota / period of a cgroup, rounded up; 0 where there is none. Version 2 has both in cpu.max, version 1 a file each. */
static uint32_t cgroup_cpus(void)
{
    char text[128] = "";
    long long quota = -1, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file) {
        if (fgets(text, sizeof text, file) && sscanf(text, "%lld %lld", &quota, &period) != 2) quota = -1;
        fclose(file);
    } else if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re")) != NULL) {
        if (fscanf(file, "%lld", &quota) != 1) quota = -1;
        fclose(file);
        if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re")) != NULL) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    if (quota <= 0 || period <= 0) return 0;
    return (uint32_t)((quota + period - 1) / period);
}

uint32_t sqz_cpu_count(void)
{
    uint32_t n = 1;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = (uint32_t)CPU_COUNT(&set);
#else
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online > 0) n = (uint32_t)online;
#endif
    const uint32_t quota = cgroup_cpus();
    if (quota && quota < n) n = quota;
    return n ? n : 1;
}
